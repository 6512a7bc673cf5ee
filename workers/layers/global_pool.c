/* Mean of each whole plane: (C, H, W) becomes (C), as torch's AdaptiveAvgPool2d(1) and a flatten.
 * Sums are kept in double. */
#include "activation.h"

static size_t global_pool_points(const ds_layer *self)
{
    return self->in.dim[1] * self->in.dim[2];
}

static ds_status global_pool_prepare(ds_layer *self, ds_layer_builder *builder)
{
    (void)builder;
    char text[DS_SHAPE_TEXT];
    DS_CHECK(self->in.n == 3, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [channels, height, width]", self->name,
             ds_shape_text(&self->in, text));
    self->out = (ds_shape){.n = 1, .dim = {self->in.dim[0]}};
    return DS_OK;
}

static ds_status global_pool_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                     const ds_rows *rows)
{
    (void)k, (void)params;
    size_t points = global_pool_points(self);
    for (size_t r = 0; r < rows->n; r++)
        for (size_t c = 0; c < self->in.dim[0]; c++) {
            const float *x = rows->x + r * rows->x_stride + c * points;
            double sum = 0;
            for (size_t i = 0; i < points; i++)
                sum += (double)x[i];
            rows->y[r * rows->y_stride + c] = (float)(sum / (double)points);
        }
    return DS_OK;
}

static ds_status global_pool_backward(const ds_layer *self, const ds_kernels *k,
                                      const float *params, const ds_rows *rows)
{
    (void)k, (void)params;
    size_t points = global_pool_points(self);
    for (size_t r = 0; r < rows->n; r++)
        for (size_t c = 0; c < self->in.dim[0]; c++) {
            float *dx = rows->dx + r * rows->x_stride + c * points;
            float share = rows->dy[r * rows->y_stride + c] / (float)points;
            for (size_t i = 0; i < points; i++)
                dx[i] = share;
        }
    return DS_OK;
}

extern const ds_layer_ops ds_layer_global_pool;
const ds_layer_ops ds_layer_global_pool = {
    .name = "global_pool",
    .help = "mean of each plane",
    .options = ds_activation_options,
    .in_dims = 3,
    .prepare = global_pool_prepare,
    .forward = global_pool_forward,
    .backward = global_pool_backward,
};
