/* Windows as a matrix ("im2col"): each window a column, so that convolution is a matrix product. A
 * row of the matrix is one window element over all outputs: contiguous pieces of the plane when the
 * stride is 1. Cost: C kh kw oh ow floats written once. */
#include "window.h"

#include <string.h>

#include "descent/simd.h"

static ds_status window_number(const ds_layer *layer, const char *name, const ds_value *value,
                               size_t *out)
{
    int64_t n = 0;
    DS_TRY(ds_value_int(value, layer->name, name, &n));
    if (n < 0 || n > 1 << 20)
        return ds_value_fail(value, "layer '%s': %s is %lld, expected 0 to %d", layer->name, name,
                             (long long)n, 1 << 20);
    *out = (size_t)n;
    return DS_OK;
}

/* Both directions of an option; absent: the fallback stands. */
static ds_status window_pair(const ds_layer *layer, const char *name, const ds_value *value,
                             size_t *vertical, size_t *horizontal)
{
    if (ds_value_is_null(value))
        return DS_OK;
    if (value->kind == DS_VALUE_SCALAR) {
        DS_TRY(window_number(layer, name, value, vertical));
        *horizontal = *vertical;
        return DS_OK;
    }
    if (value->kind != DS_VALUE_LIST || value->n != 2)
        return ds_value_fail(value, "layer '%s': %s must be a number or [vertical, horizontal]",
                             layer->name, name);
    DS_TRY(window_number(layer, name, value->child[0], vertical));
    return window_number(layer, name, value->child[1], horizontal);
}

static ds_status window_padding(const ds_layer *layer, const ds_value *value, ds_window *self)
{
    bool same = !ds_value_is_null(value) && value->kind == DS_VALUE_SCALAR &&
                strcmp(value->text, "same") == 0;
    if (!same && !ds_value_is_null(value) && value->kind == DS_VALUE_SCALAR &&
        strspn(value->text, "+-0123456789.") == 0)
        return ds_value_fail(value, "layer '%s': padding is '%.60s', expected a number or same",
                             layer->name, value->text);
    if (!same)
        return window_pair(layer, "padding", value, &self->ph, &self->pw);
    if (self->kh % 2 == 0 || self->kw % 2 == 0 || self->sh != 1 || self->sw != 1)
        return ds_value_fail(value,
                             "layer '%s': padding same needs an odd kernel and stride 1, found "
                             "kernel %zu x %zu, stride %zu x %zu; give a number",
                             layer->name, self->kh, self->kw, self->sh, self->sw);
    self->ph = self->kh / 2;
    self->pw = self->kw / 2;
    return DS_OK;
}

ds_status ds_window_prepare(const ds_layer *layer, const ds_window_options *options,
                            size_t fallback_stride, ds_window *out)
{
    char text[DS_SHAPE_TEXT];
    DS_CHECK(layer->in.n == 3, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [channels, height, width]; put "
             "`reshape: {shape: [C, H, W]}` before it, or say model.input so",
             layer->name, ds_shape_text(&layer->in, text));
    ds_window self = {.c = layer->in.dim[0], .h = layer->in.dim[1], .w = layer->in.dim[2]};
    DS_TRY(window_pair(layer, "kernel", options->kernel, &self.kh, &self.kw));
    self.sh = fallback_stride > 0 ? fallback_stride : self.kh;
    self.sw = fallback_stride > 0 ? fallback_stride : self.kw;
    DS_TRY(window_pair(layer, "stride", options->stride, &self.sh, &self.sw));
    DS_CHECK(self.kh > 0 && self.kw > 0 && self.sh > 0 && self.sw > 0, DS_ERR_USAGE,
             "layer '%s': kernel %zu x %zu, stride %zu x %zu: each must be at least 1", layer->name,
             self.kh, self.kw, self.sh, self.sw);
    DS_TRY(window_padding(layer, options->padding, &self));
    DS_CHECK(self.kh <= self.h + 2 * self.ph && self.kw <= self.w + 2 * self.pw, DS_ERR_USAGE,
             "layer '%s': a kernel of %zu x %zu does not fit into %zu x %zu with padding %zu x %zu",
             layer->name, self.kh, self.kw, self.h, self.w, self.ph, self.pw);
    self.oh = (self.h + 2 * self.ph - self.kh) / self.sh + 1;
    self.ow = (self.w + 2 * self.pw - self.kw) / self.sw + 1;
    *out = self;
    return DS_OK;
}

/* One row of the matrix: window element (ki, kj) of one plane, over all outputs. */
static void window_unfold_row(const ds_window *self, size_t ki, size_t kj, const float *plane,
                              float *row)
{
    size_t i0, i1, j0, j1, step = self->sw;
    ds_window_span(self->oh, ki, self->sh, self->ph, self->h, &i0, &i1);
    ds_window_span(self->ow, kj, self->sw, self->pw, self->w, &j0, &j1);
    memset(row, 0, i0 * self->ow * sizeof *row);
    memset(row + i1 * self->ow, 0, (self->oh - i1) * self->ow * sizeof *row);
    for (size_t i = i0; i < i1; i++) {
        const float *x = plane + (i * self->sh + ki - self->ph) * self->w;
        float *to = row + i * self->ow;
        memset(to, 0, j0 * sizeof *to);
        memset(to + j1, 0, (self->ow - j1) * sizeof *to);
        if (step == 1 && j1 > j0)
            memcpy(to + j0, x + j0 + kj - self->pw, (j1 - j0) * sizeof *to);
        for (size_t j = j0; j < j1 && step > 1; j++)
            to[j] = x[j * step + kj - self->pw];
    }
}

/* x[j step] += from[j]. */
DS_SIMD static void window_scatter(size_t n, size_t step, const float *restrict from,
                                   float *restrict x)
{
    if (step == 1)
        for (size_t j = 0; j < n; j++)
            x[j] += from[j];
    else
        for (size_t j = 0; j < n; j++)
            x[j * step] += from[j];
}

static void window_fold_row(const ds_window *self, size_t ki, size_t kj, const float *row,
                            float *plane)
{
    size_t i0, i1, j0, j1, step = self->sw;
    ds_window_span(self->oh, ki, self->sh, self->ph, self->h, &i0, &i1);
    ds_window_span(self->ow, kj, self->sw, self->pw, self->w, &j0, &j1);
    for (size_t i = i0; i < i1; i++) {
        float *x = plane + (i * self->sh + ki - self->ph) * self->w;
        window_scatter(j1 - j0, step, row + i * self->ow + j0, x + j0 * step + kj - self->pw);
    }
}

void ds_window_unfold(const ds_window *self, size_t n_channels, const float *x, float *cols)
{
    for (size_t c = 0; c < n_channels; c++)
        for (size_t ki = 0; ki < self->kh; ki++)
            for (size_t kj = 0; kj < self->kw; kj++) {
                window_unfold_row(self, ki, kj, x + c * self->h * self->w, cols);
                cols += self->oh * self->ow;
            }
}

void ds_window_fold(const ds_window *self, size_t n_channels, const float *cols, float *dx)
{
    for (size_t c = 0; c < n_channels; c++)
        for (size_t ki = 0; ki < self->kh; ki++)
            for (size_t kj = 0; kj < self->kw; kj++) {
                window_fold_row(self, ki, kj, cols, dx + c * self->h * self->w);
                cols += self->oh * self->ow;
            }
}
