/* Element-wise layers: one kernel call a shard in each direction. */
#include "activation.h"

const ds_option ds_activation_options[] = {{.name = NULL}};

ds_status ds_activation_prepare(ds_layer *self, ds_layer_builder *builder)
{
    (void)builder;
    self->out = self->in;
    return DS_OK;
}

ds_status ds_activation_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                const ds_rows *rows)
{
    (void)params;
    k->activate(self->ops->activation, rows->n, ds_shape_elements(&self->out), rows->x,
                rows->x_stride, rows->y, rows->y_stride);
    return DS_OK;
}

ds_status ds_activation_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                 const ds_rows *rows)
{
    (void)params;
    k->activate_gradient(self->ops->activation, rows->n, ds_shape_elements(&self->out), rows->x,
                         rows->x_stride, rows->y, rows->y_stride, rows->dy, rows->y_stride,
                         rows->dx, rows->x_stride);
    return DS_OK;
}

void ds_activation_held(const ds_layer *self, const float *base, const float *x, float *y)
{
    float below = self->ops->activation == DS_ACT_RELU ? 0.0f : 0.01f;
    for (size_t i = 0; i < ds_shape_elements(&self->in); i++)
        y[i] = base[i] > 0 ? x[i] : below * x[i];
}
