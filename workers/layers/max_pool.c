/* Largest value of each window, as torch.nn.MaxPool2d: padding never wins, NaN does. A window
 * element at a time over a whole row of outputs, so that rows go in vectors; backward finds the
 * winner (the first of equals) again by comparing with y instead of keeping where it was. */
#include <math.h>
#include <string.h>

#include "descent/simd.h"

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

DS_SIMD static void max_pool_larger(size_t n, size_t step, const float *restrict x,
                                    float *restrict y)
{
    if (step == 2) /* the common one: a constant step loads in vectors */
        for (size_t j = 0; j < n; j++)
            y[j] = ((x[2 * j] > y[j]) | (x[2 * j] != x[2 * j])) ? x[2 * j] : y[j];
    else
        for (size_t j = 0; j < n; j++)
            y[j] = ((x[j * step] > y[j]) | (x[j * step] != x[j * step])) ? x[j * step] : y[j];
}

/* dx of the windows whose winner this element is, unless an earlier one was. */
DS_SIMD static void max_pool_give(size_t n, size_t step, const float *restrict x,
                                  const float *restrict y, float *restrict left, float *restrict dx)
{
    for (size_t j = 0; j < n; j++) {
        float dy = x[j * step] >= y[j] ? left[j] : 0.0f;
        dx[j * step] += dy;
        left[j] = x[j * step] >= y[j] ? 0.0f : left[j];
    }
}

/* The outputs [*j0, *j1) of row i that have element (ki, kj) inside the plane; the element of the
 * first of them, or NULL. */
static size_t max_pool_span(const ds_window *w, size_t i, size_t ki, size_t kj, size_t *j0,
                            size_t *j1)
{
    size_t r = i * w->sh + ki;
    ds_window_span(w->ow, kj, w->sw, w->pw, w->w, j0, j1);
    if (r < w->ph || r - w->ph >= w->h)
        *j1 = *j0;
    return *j1 > *j0 ? (r - w->ph) * w->w + *j0 * w->sw + kj - w->pw : 0;
}

static void max_pool_plane(const ds_window *w, const float *x, float *y)
{
    size_t j0, j1;
    for (size_t i = 0; i < w->oh; i++, y += w->ow) {
        for (size_t j = 0; j < w->ow; j++)
            y[j] = -INFINITY;
        for (size_t e = 0; e < w->kh * w->kw; e++) {
            size_t at = max_pool_span(w, i, e / w->kw, e % w->kw, &j0, &j1);
            max_pool_larger(j1 - j0, w->sw, x + at, y + j0);
        }
    }
}

static void max_pool_plane_back(const ds_window *w, const float *x, const float *y, const float *dy,
                                float *left, float *dx)
{
    size_t j0, j1;
    memset(dx, 0, w->h * w->w * sizeof *dx);
    for (size_t i = 0; i < w->oh; i++, y += w->ow, dy += w->ow) {
        memcpy(left, dy, w->ow * sizeof *left);
        for (size_t e = 0; e < w->kh * w->kw; e++) {
            size_t at = max_pool_span(w, i, e / w->kw, e % w->kw, &j0, &j1);
            max_pool_give(j1 - j0, w->sw, x + at, y + j0, left + j0, dx + at);
        }
    }
}

static ds_status max_pool_prepare(ds_layer *self, ds_layer_builder *builder)
{
    DS_TRY(ds_pool_prepare(self, builder));
    self->scratch = self->out.dim[2];
    return DS_OK;
}

static ds_status max_pool_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                  const ds_rows *rows)
{
    (void)k, (void)params;
    const ds_window *w = self->plan;
    bool pairs = ds_pool_pairs_fit(w);
    for (size_t r = 0; r < rows->n && pairs; r++)
        ds_pool_pairs_forward(w, rows->x + r * rows->x_stride, rows->y + r * rows->y_stride);
    for (size_t r = 0; r < rows->n && !pairs; r++)
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
    bool pairs = ds_pool_pairs_fit(w);
    for (size_t r = 0; r < rows->n && pairs; r++)
        ds_pool_pairs_backward(w, rows->x + r * rows->x_stride, rows->y + r * rows->y_stride,
                               rows->dy + r * rows->y_stride, rows->dx + r * rows->x_stride);
    for (size_t r = 0; r < rows->n && !pairs; r++)
        for (size_t c = 0; c < w->c; c++)
            max_pool_plane_back(w, rows->x + r * rows->x_stride + c * w->h * w->w,
                                rows->y + r * rows->y_stride + c * w->oh * w->ow,
                                rows->dy + r * rows->y_stride + c * w->oh * w->ow, rows->scratch,
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
    .reads_y = true,
    .in_dims = 3,
    .prepare = max_pool_prepare,
    .forward = max_pool_forward,
    .backward = max_pool_backward,
    .held = max_pool_held,
};
