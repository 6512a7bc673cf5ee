/* Sliding windows over planes: what convolution and pooling share. C channels of H x W, windows of
 * kh x kw every sh rows and sw columns, after ph rows and pw columns of padding on each side. */
#ifndef DS_WINDOW_H
#define DS_WINDOW_H

#include "descent/layer.h"

/* As the config gives them: a number for both directions, or [vertical, horizontal]. */
typedef struct ds_window_options {
    const ds_value *kernel, *stride, *padding;
} ds_window_options;

typedef struct ds_window {
    size_t c, h, w; /* of the input */
    size_t kh, kw, sh, sw, ph, pw;
    size_t oh, ow; /* of the output */
} ds_window;

/* Local. Fill from options and the layer's input shape (C, H, W); stride 0 in `fallback_stride`
 * means: as the kernel. Errors: USAGE naming layer, found, expected. */
ds_status ds_window_prepare(const ds_layer *layer, const ds_window_options *options,
                            size_t fallback_stride, ds_window *out) DS_NODISCARD;

/* Local. cols (n_channels kh kw, oh ow), row-major: column (i, j) holds the window of output (i, j)
 * of n_channels planes of x, zeros for padding; and back: dx (planes) += the columns' values. */
void ds_window_unfold(const ds_window *self, size_t n_channels, const float *x, float *cols);
void ds_window_fold(const ds_window *self, size_t n_channels, const float *cols, float *dx);

/* The part of [0, n) whose window element k lies inside a plane of `size`: k + i * step - pad. */
static inline void ds_window_span(size_t n, size_t k, size_t step, size_t pad, size_t size,
                                  size_t *from, size_t *to)
{
    size_t first = k >= pad ? 0 : (pad - k + step - 1) / step;
    size_t end = size + pad > k ? (size + pad - k - 1) / step + 1 : 0;
    *to = end < n ? end : n;
    *from = first < *to ? first : *to;
}

/* A 1 x 1 window every pixel: the planes are the columns. */
static inline bool ds_window_plain(const ds_window *w)
{
    return w->kh * w->kw == 1 && w->sh * w->sw == 1 && w->ph + w->pw == 0;
}

#endif
