/* Gradients of a convolution from a dy that is mostly zeros, as it is below max pooling (one window
 * element in kh kw) and relu: only what differs from zero is multiplied. 16 channels of x (or dx)
 * side by side are a vector; the kh kw taps of such a vector are as many sums, which stay in
 * registers. dW: for each output channel, over the points where its dy is not zero, sums += dy x
 * window. dx: for each point, over the output channels not zero there, sums += dy x taps of W; a
 * step to the right moves the window's sums by one column, of which one is stored and one loaded.
 * Products and sums are rounded apart, in a fixed order: the same bits on each instruction set.
 * Cost: 2 nnz(dy) (C rounded up to 16) kh kw flops each, at about 0.7 of the rate of a product. */
#include <string.h>

#include "descent/simd.h"

#include "conv.h"
#include "conv_tile.h"

enum { SPARSE_LEAST = 8, SPARSE_OUT = 16 };

/* Planes of 16 channels side by side, with their padding: pixel (r, c) of block b. */
typedef struct sparse_grid {
    size_t blocks, rows, pitch; /* pitch: pixels from row to row, whole steps of kw and one more */
} sparse_grid;

static sparse_grid sparse_grid_of(const ds_conv *self)
{
    const ds_window *w = &self->window;
    size_t steps = (w->ow + w->kw - 1) / w->kw;
    return (sparse_grid){(w->c + DS_LANES - 1) / DS_LANES, w->oh + w->kh - 1, (steps + 1) * w->kw};
}

static size_t sparse_plane(const sparse_grid *g)
{
    return (g->rows * g->pitch + 1) * DS_LANES; /* one pixel more: a step's load may go that far */
}

bool ds_conv_sparse_fits(const ds_conv *self)
{
    const ds_window *w = &self->window;
    return self->groups == 1 && w->kh == w->kw && (w->kw == 3 || w->kw == 5) && w->sh == 1 &&
           w->sw == 1 && w->c >= SPARSE_LEAST && w->ph < w->kh && w->pw < w->kw;
}

size_t ds_conv_sparse_shared(const ds_conv *self)
{
    size_t blocks = (self->window.c + DS_LANES - 1) / DS_LANES;
    return blocks * self->group_out * self->window.kh * self->window.kw * DS_LANES;
}

/* Entries of one output channel, or of one block of them. */
static size_t sparse_list(const ds_conv *self)
{
    sparse_grid g = sparse_grid_of(self);
    size_t entries = SPARSE_OUT * self->points + 1, starts = self->window.oh * g.pitch + 1;
    return (entries * sizeof(ds_conv_entry) / sizeof(float) + starts + 15) / 16 * 16;
}

size_t ds_conv_sparse_scratch(const ds_conv *self)
{
    sparse_grid g = sparse_grid_of(self);
    return g.blocks * sparse_plane(&g) + sparse_list(self) + ds_conv_sparse_shared(self);
}

/* ---- layouts -------------------------------------------------------------------------------- */

/* to (n, lanes 16) = from (lanes, n) transposed; lanes past `lanes` are zero. */
DS_SIMD static void sparse_gather(size_t n, size_t lanes, const float *restrict from, size_t step,
                                  float *restrict to)
{
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < DS_LANES; l++)
            to[i * DS_LANES + l] = l < lanes ? from[l * step + i] : 0.0f;
}

DS_SIMD static void sparse_scatter(size_t n, size_t lanes, const float *restrict from, size_t step,
                                   float *restrict to)
{
    for (size_t l = 0; l < lanes; l++)
        for (size_t i = 0; i < n; i++)
            to[l * step + i] = from[i * DS_LANES + l];
}

static size_t sparse_lanes(const ds_window *w, size_t b)
{
    return w->c - b * DS_LANES < DS_LANES ? w->c - b * DS_LANES : DS_LANES;
}

static void sparse_load(const ds_conv *self, const float *x, float *planes)
{
    const ds_window *w = &self->window;
    sparse_grid g = sparse_grid_of(self);
    for (size_t b = 0; b < g.blocks; b++)
        for (size_t r = 0; r < w->h; r++)
            sparse_gather(
                w->w, sparse_lanes(w, b), x + (b * DS_LANES * w->h + r) * w->w, w->h * w->w,
                planes + b * sparse_plane(&g) + ((r + w->ph) * g.pitch + w->pw) * DS_LANES);
}

static void sparse_store(const ds_conv *self, const float *planes, float *dx)
{
    const ds_window *w = &self->window;
    sparse_grid g = sparse_grid_of(self);
    for (size_t b = 0; b < g.blocks; b++)
        for (size_t r = 0; r < w->h; r++)
            sparse_scatter(w->w, sparse_lanes(w, b),
                           planes + b * sparse_plane(&g) +
                               ((r + w->ph) * g.pitch + w->pw) * DS_LANES,
                           w->h * w->w, dx + (b * DS_LANES * w->h + r) * w->w);
}

/* shared (blocks, out, kh kw, 16). */
void ds_conv_sparse_share(const ds_conv *self, const float *w, size_t stride, float *shared)
{
    size_t kk = self->window.kh * self->window.kw;
    for (size_t b = 0; b * DS_LANES < self->window.c; b++)
        for (size_t o = 0; o < self->group_out; o++, shared += kk * DS_LANES)
            sparse_gather(kk, sparse_lanes(&self->window, b), w + o * stride + b * DS_LANES * kk,
                          kk, shared);
}

/* ---- what is not zero ----------------------------------------------------------------------- */

DS_SIMD static size_t sparse_count(size_t n, const float *x)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] != 0.0f;
    return count;
}

/* Measured (Zen 4): the loops over entries reach 0.7 of the rate of a dense product. */
bool ds_conv_sparse_pays(const ds_conv *self, const ds_rows *rows)
{
    size_t all = self->group_out * self->points, n = 0;
    if (!ds_conv_sparse_fits(self))
        return false;
    for (size_t r = 0; r < rows->n; r++)
        n += sparse_count(all, rows->dy + r * rows->y_stride);
    return n <= all * rows->n / 2;
}

/* The points where dy (one channel) is not zero, in order. */
static size_t sparse_points(const ds_conv *self, size_t pitch, const float *dy, ds_conv_entry *list)
{
    size_t n = 0;
    for (size_t i = 0; i < self->window.oh; i++)
        for (size_t j = 0; j < self->window.ow; j++) {
            float value = dy[i * self->window.ow + j];
            list[n] = (ds_conv_entry){(uint32_t)((i * pitch + j) * DS_LANES), value};
            n += value != 0.0f;
        }
    return n;
}

/* For each point in order the channels o < n_out not zero there; start (oh, whole steps of kw). */
static void sparse_channels(const ds_conv *self, size_t width, size_t n_out, const float *dy,
                            ds_conv_entry *list, uint32_t *start)
{
    const ds_window *w = &self->window;
    uint32_t n = 0, taps = (uint32_t)(w->kh * w->kw * DS_LANES);
    for (size_t i = 0; i < w->oh; i++)
        for (size_t j = 0; j < width; j++) {
            *start++ = n;
            for (uint32_t o = 0; o < n_out && j < w->ow; o++) {
                float value = dy[o * self->points + i * w->ow + j];
                list[n] = (ds_conv_entry){o * taps, value};
                n += value != 0.0f;
            }
        }
    *start = n;
}

/* ---- the two gradients ---------------------------------------------------------------------- */

void ds_conv_sparse_weight(const ds_conv *self, const ds_rows *rows, size_t from, size_t to,
                           float *dst, size_t stride)
{
    const ds_window *w = &self->window;
    sparse_grid g = sparse_grid_of(self);
    size_t kk = w->kh * w->kw;
    float *planes = rows->scratch, *sums = planes + g.blocks * sparse_plane(&g) + sparse_list(self);
    ds_conv_entry *list = (ds_conv_entry *)(planes + g.blocks * sparse_plane(&g));
    memset(planes, 0, g.blocks * sparse_plane(&g) * sizeof *planes);
    memset(sums, 0, g.blocks * (to - from) * kk * DS_LANES * sizeof *sums);
    for (size_t r = 0; r < rows->n; r++) {
        sparse_load(self, rows->x + r * rows->x_stride, planes);
        for (size_t o = from; o < to; o++) {
            const float *dy = rows->dy + r * rows->y_stride + o * self->points;
            size_t n = sparse_points(self, g.pitch, dy, list);
            for (size_t b = 0; b < g.blocks; b++)
                ds_conv_tile_weight(w->kw, n, list, planes + b * sparse_plane(&g), g.pitch,
                                    sums + (b * (to - from) + o - from) * kk * DS_LANES);
        }
    }
    for (size_t b = 0; b < g.blocks; b++)
        for (size_t o = 0; o < to - from; o++)
            sparse_scatter(kk, sparse_lanes(w, b), sums + (b * (to - from) + o) * kk * DS_LANES, kk,
                           dst + o * stride + b * DS_LANES * kk);
}

void ds_conv_sparse_input(const ds_conv *self, const ds_rows *rows)
{
    const ds_window *w = &self->window;
    sparse_grid g = sparse_grid_of(self);
    size_t kk = w->kh * w->kw, plane = sparse_plane(&g), width = g.pitch - w->kw;
    float *planes = rows->scratch;
    ds_conv_entry *list = (ds_conv_entry *)(planes + g.blocks * plane);
    uint32_t *start = (uint32_t *)(list + SPARSE_OUT * self->points + 1);
    for (size_t r = 0; r < rows->n; r++) {
        const float *dy = rows->dy + r * rows->y_stride;
        memset(planes, 0, g.blocks * plane * sizeof *planes);
        for (size_t o = 0; o < self->group_out; o += SPARSE_OUT) {
            size_t n_out = self->group_out - o < SPARSE_OUT ? self->group_out - o : SPARSE_OUT;
            sparse_channels(self, width, n_out, dy + o * self->points, list, start);
            for (size_t b = 0; b < g.blocks; b++)
                for (size_t i = 0; i < w->oh; i++)
                    ds_conv_tile_input(w->kw, width, list, start + i * width,
                                       rows->shared + (b * self->group_out + o) * kk * DS_LANES,
                                       planes + b * plane + i * g.pitch * DS_LANES, g.pitch);
        }
        sparse_store(self, planes, rows->dx + r * rows->x_stride);
    }
}
