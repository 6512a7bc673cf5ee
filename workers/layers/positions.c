/* Learned positions: y = x + W, W of one sample's shape (Gehring et al. 2017). */
#include <string.h>

#include "descent/layer.h"

typedef struct positions_options {
    int init;
} positions_options;

static const ds_option options[] = {
    {.name = "init",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(positions_options, init),
     .fallback = "normal",
     .choices = DS_INIT_CHOICES,
     .help = "initial table"},
    {.name = NULL},
};

static ds_status positions_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const positions_options *o = self->options;
    char text[DS_SHAPE_TEXT];
    DS_CHECK(self->in.n == 2, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [positions, width]", self->name,
             ds_shape_text(&self->in, text));
    self->out = self->in;
    return ds_layer_add_param(builder, self,
                              &(ds_param_spec){.suffix = "weight",
                                               .shape = self->in,
                                               .init = (ds_init_kind)o->init,
                                               .fan_in = self->in.dim[0],
                                               .fan_out = self->in.dim[1]});
}

static ds_status positions_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    const ds_param *w = self->param[0];
    for (size_t r = 0; r < rows->n; r++)
        for (size_t t = 0; t < w->rows; t++) {
            const float *x = rows->x + r * rows->x_stride + t * w->cols;
            float *y = rows->y + r * rows->y_stride + t * w->cols;
            if (y == x)
                k->add(w->cols, y, params + w->offset + t * w->stride);
            else
                k->sum(w->cols, y, x, params + w->offset + t * w->stride);
        }
    return DS_OK;
}

/* Sum over samples in order. */
static ds_status positions_gradient(const ds_layer *self, const ds_kernels *k, size_t p,
                                    size_t from, size_t to, const ds_rows *rows, float *dst,
                                    bool add)
{
    const ds_param *w = self->param[p];
    DS_ASSERT(!add);
    for (size_t t = from; t < to; t++) {
        float *row = dst + (t - from) * w->stride;
        memset(row, 0, w->cols * sizeof *row);
        for (size_t r = 0; r < rows->n; r++)
            k->add(w->cols, row, rows->dy + r * rows->y_stride + t * w->cols);
    }
    return DS_OK;
}

extern const ds_layer_ops ds_layer_positions;
const ds_layer_ops ds_layer_positions = {
    .name = "positions",
    .help = "adds a learned row to each position",
    .options = options,
    .options_size = sizeof(positions_options),
    .in_place = true,
    .in_dims = 2,
    .prepare = positions_prepare,
    .forward = positions_forward,
    .gradient = positions_gradient,
};
