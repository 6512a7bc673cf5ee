/* Mean of each window, as torch.nn.AvgPool2d: padding counts as zeros (count_include_pad). */
#include <string.h>

#include "pool.h"

static void avg_pool_plane(const ds_window *w, const float *x, float *y)
{
    float scale = 1.0f / (float)(w->kh * w->kw);
    size_t r0, r1, c0, c1;
    for (size_t i = 0; i < w->oh; i++)
        for (size_t j = 0; j < w->ow; j++) {
            float sum = 0;
            ds_pool_cell(w, i, j, &r0, &r1, &c0, &c1);
            for (size_t r = r0; r < r1; r++)
                for (size_t c = c0; c < c1; c++)
                    sum += x[r * w->w + c];
            y[i * w->ow + j] = sum * scale;
        }
}

static void avg_pool_plane_back(const ds_window *w, const float *dy, float *dx)
{
    float scale = 1.0f / (float)(w->kh * w->kw);
    size_t r0, r1, c0, c1;
    memset(dx, 0, w->h * w->w * sizeof *dx);
    for (size_t i = 0; i < w->oh; i++)
        for (size_t j = 0; j < w->ow; j++) {
            float share = dy[i * w->ow + j] * scale;
            ds_pool_cell(w, i, j, &r0, &r1, &c0, &c1);
            for (size_t r = r0; r < r1; r++)
                for (size_t c = c0; c < c1; c++)
                    dx[r * w->w + c] += share;
        }
}

static ds_status avg_pool_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                  const ds_rows *rows)
{
    (void)k, (void)params;
    const ds_window *w = self->plan;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t c = 0; c < w->c; c++)
            avg_pool_plane(w, rows->x + r * rows->x_stride + c * w->h * w->w,
                           rows->y + r * rows->y_stride + c * w->oh * w->ow);
    return DS_OK;
}

static ds_status avg_pool_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)k, (void)params;
    const ds_window *w = self->plan;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t c = 0; c < w->c; c++)
            avg_pool_plane_back(w, rows->dy + r * rows->y_stride + c * w->oh * w->ow,
                                rows->dx + r * rows->x_stride + c * w->h * w->w);
    return DS_OK;
}

extern const ds_layer_ops ds_layer_avg_pool;
const ds_layer_ops ds_layer_avg_pool = {
    .name = "avg_pool",
    .help = "mean of each window, as torch.nn.AvgPool2d",
    .options = ds_pool_options,
    .options_size = sizeof(ds_window_options),
    .in_dims = 3,
    .prepare = ds_pool_prepare,
    .forward = avg_pool_forward,
    .backward = avg_pool_backward,
};
