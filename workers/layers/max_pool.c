/* Largest value of each window, as torch.nn.MaxPool2d: padding never wins, NaN does. Backward finds
 * the winner again (the first of equals) instead of keeping where it was. */
#include <math.h>
#include <string.h>

#include "pool.h"

/* Index of the window's winner in the plane. */
static size_t max_pool_winner(const ds_window *w, size_t i, size_t j, const float *x)
{
    size_t r0, r1, c0, c1, best = 0;
    ds_pool_cell(w, i, j, &r0, &r1, &c0, &c1);
    float most = -INFINITY;
    best = r0 * w->w + c0;
    for (size_t r = r0; r < r1; r++)
        for (size_t c = c0; c < c1; c++) {
            float value = x[r * w->w + c];
            if (value > most || isnan(value)) {
                most = value;
                best = r * w->w + c;
            }
        }
    return best;
}

static void max_pool_plane(const ds_window *w, const float *x, float *y)
{
    for (size_t i = 0; i < w->oh; i++)
        for (size_t j = 0; j < w->ow; j++)
            y[i * w->ow + j] = x[max_pool_winner(w, i, j, x)];
}

static void max_pool_plane_back(const ds_window *w, const float *x, const float *dy, float *dx)
{
    memset(dx, 0, w->h * w->w * sizeof *dx);
    for (size_t i = 0; i < w->oh; i++)
        for (size_t j = 0; j < w->ow; j++)
            dx[max_pool_winner(w, i, j, x)] += dy[i * w->ow + j];
}

static ds_status max_pool_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                  const ds_rows *rows)
{
    (void)k, (void)params;
    const ds_window *w = self->plan;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t c = 0; c < w->c; c++)
            max_pool_plane(w, rows->x + r * rows->x_stride + c * w->h * w->w,
                           rows->y + r * rows->y_stride + c * w->oh * w->ow);
    return DS_OK;
}

static ds_status max_pool_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)k, (void)params;
    const ds_window *w = self->plan;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t c = 0; c < w->c; c++)
            max_pool_plane_back(w, rows->x + r * rows->x_stride + c * w->h * w->w,
                                rows->dy + r * rows->y_stride + c * w->oh * w->ow,
                                rows->dx + r * rows->x_stride + c * w->h * w->w);
    return DS_OK;
}

static void max_pool_held(const ds_layer *self, const float *base, const float *x, float *y)
{
    const ds_window *w = self->plan;
    for (size_t c = 0; c < w->c; c++, base += w->h * w->w, x += w->h * w->w)
        for (size_t i = 0; i < w->oh; i++)
            for (size_t j = 0; j < w->ow; j++)
                *y++ = x[max_pool_winner(w, i, j, base)];
}

extern const ds_layer_ops ds_layer_max_pool;
const ds_layer_ops ds_layer_max_pool = {
    .name = "max_pool",
    .help = "largest value of each window, as torch.nn.MaxPool2d",
    .options = ds_pool_options,
    .options_size = sizeof(ds_window_options),
    .in_dims = 3,
    .prepare = ds_pool_prepare,
    .forward = max_pool_forward,
    .backward = max_pool_backward,
    .held = max_pool_held,
};
