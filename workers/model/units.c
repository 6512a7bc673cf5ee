/* Which units of a layer were ever active in what a workspace holds. A unit is what one set of
 * weights feeds: an element of a vector, a feature of a sequence (T, C), a channel of a map
 * (C, H, W). Cost: one reading of the layer's outputs. */
#include "rank.h"

/* A sample lies as outer x units x inner. */
typedef struct units_shape {
    size_t outer, units, inner;
} units_shape;

static units_shape units_of(const ds_shape *out)
{
    if (out->n == 3)
        return (units_shape){1, out->dim[0], out->dim[1] * out->dim[2]};
    size_t units = out->n > 0 ? out->dim[out->n - 1] : 1;
    return (units_shape){units > 0 ? ds_shape_elements(out) / units : 0, units, 1};
}

size_t ds_model_units(const ds_model *self, size_t layer)
{
    const ds_layer *l = &self->layer[layer];
    return l->ops->activation == DS_ACT_RELU ? units_of(&l->out).units : 0;
}

static bool units_any(const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (y[i] > 0)
            return true;
    return false;
}

void ds_workspace_alive(const ds_workspace *self, size_t layer, size_t rows, double *alive)
{
    const units_shape shape = units_of(&self->spec.model->layer[layer].out);
    for (size_t r = 0; r < rows; r++) {
        const float *y = self->act[layer + 1] + r * self->stride[layer + 1];
        for (size_t o = 0; o < shape.outer; o++)
            for (size_t u = 0; u < shape.units; u++, y += shape.inner)
                if (alive[u] <= 0 && units_any(y, shape.inner))
                    alive[u] = 1;
    }
}
