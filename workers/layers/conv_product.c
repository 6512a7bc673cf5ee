/* The products of a convolution on columns that are never written out: kernels->product packs them
 * from images (conv_image.h), a few samples at a time.
 *   y:  a = W (out, taps), b (taps, points of all samples)
 *   dx: the same with dy as image and W turned by half a circle (stride 1)
 *   dW: a = dy (out, points), b (points, taps) from pixels that keep their channels side by side,
 * so that kw C taps are a run; its columns are put in W's order at the end As many flops as
 * products of the written columns, and C kh kw oh ow floats less through memory. */
#include <string.h>

#include "conv.h"
#include "conv_image.h"

/* ---- products ------------------------------------------------------------------------------- */

/* c (m, points of each sample) = w (m, taps of `window`) times the columns of x's `channels`
 * planes. */
typedef struct product_task {
    const ds_window *window;
    size_t channels, m;
    const float *w;
    size_t w_stride, n;
    const float *x;
    size_t x_stride;
    float *c;
    size_t c_stride;
    float *room;
} product_task;

static ds_status product_columns(const ds_kernels *k, const product_task *t)
{
    bool plain = ds_window_plain(t->window);
    size_t points = t->window->oh * t->window->ow,
           most = ds_conv_image_samples(t->window, t->channels);
    ds_window row = {
        .h = 1, .w = points, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .oh = 1, .ow = points};
    ds_conv_image image = {
        .window = &row, .points = points, .channel = points, .pixel = 1, .sample = t->x_stride};
    if (!plain)
        image = ds_conv_image_create(t->window, t->channels, false, t->room);
    ds_native_matrix w = {t->w, t->w_stride, false};
    ds_operand a = {ds_native_pack_plain, &w}, b = {ds_conv_pack_points, &image};
    for (size_t s = 0, n; s < t->n; s += n) {
        n = plain || t->n - s < most ? t->n - s : most;
        if (plain)
            image.data = t->x;
        else
            ds_conv_image_fill(&image, n, t->x + s * t->x_stride, t->x_stride, t->room);
        DS_TRY(k->product(&(ds_product){.m = t->m,
                                        .n = n * points,
                                        .k = t->channels * t->window->kh * t->window->kw,
                                        .a = &a,
                                        .b = &b,
                                        .c = t->c + s * t->c_stride,
                                        .ldc = points,
                                        .span = points,
                                        .skip = t->c_stride}));
    }
    return DS_OK;
}

ds_status ds_conv_product_forward(const ds_conv *self, const ds_kernels *k, const float *w,
                                  size_t stride, const ds_rows *rows)
{
    const ds_window *window = &self->window;
    for (size_t g = 0; g < self->groups; g++)
        DS_TRY(product_columns(
            k, &(product_task){.window = window,
                               .channels = self->group_in,
                               .m = self->group_out,
                               .w = w + g * self->group_out * stride,
                               .w_stride = stride,
                               .n = rows->n,
                               .x = rows->x + g * self->group_in * window->h * window->w,
                               .x_stride = rows->x_stride,
                               .c = rows->y + g * self->group_out * self->points,
                               .c_stride = rows->y_stride,
                               .room = rows->scratch}));
    return DS_OK;
}

/* ---- dx ------------------------------------------------------------------------------------- */

bool ds_conv_product_turns(const ds_conv *self)
{
    const ds_window *w = &self->window;
    return w->sh == 1 && w->sw == 1 && w->ph < w->kh && w->pw < w->kw;
}

/* dy as an image: its windows are dx. */
static ds_window product_back(const ds_conv *self)
{
    const ds_window *w = &self->window;
    return (ds_window){.c = self->group_out,
                       .h = w->oh,
                       .w = w->ow,
                       .kh = w->kh,
                       .kw = w->kw,
                       .sh = 1,
                       .sw = 1,
                       .ph = w->kh - 1 - w->ph,
                       .pw = w->kw - 1 - w->pw,
                       .oh = w->h,
                       .ow = w->w};
}

/* Floats from row to row of the turned W: (groups, group_in, group_out kh kw). */
static size_t product_turned_stride(const ds_conv *self)
{
    return ds_stride_for(self->group_out * self->window.kh * self->window.kw);
}

size_t ds_conv_product_shared(const ds_conv *self)
{
    return self->groups * self->group_in * product_turned_stride(self);
}

void ds_conv_product_share(const ds_conv *self, const float *w, size_t stride, float *shared)
{
    size_t kk = self->window.kh * self->window.kw;
    for (size_t row = 0; row < self->groups * self->group_in; row++) {
        size_t g = row / self->group_in, c = row % self->group_in;
        float *to = shared + row * product_turned_stride(self);
        for (size_t o = 0; o < self->group_out; o++)
            for (size_t t = 0; t < kk; t++)
                *to++ = w[(g * self->group_out + o) * stride + c * kk + kk - 1 - t];
    }
}

ds_status ds_conv_product_input(const ds_conv *self, const ds_kernels *k, const float *turned,
                                const ds_rows *rows)
{
    ds_window window = product_back(self);
    size_t plane = self->window.h * self->window.w;
    for (size_t g = 0; g < self->groups; g++)
        DS_TRY(product_columns(
            k, &(product_task){.window = &window,
                               .channels = self->group_out,
                               .m = self->group_in,
                               .w = turned + g * self->group_in * product_turned_stride(self),
                               .w_stride = product_turned_stride(self),
                               .n = rows->n,
                               .x = rows->dy + g * self->group_out * self->points,
                               .x_stride = rows->y_stride,
                               .c = rows->dx + g * self->group_in * plane,
                               .c_stride = rows->x_stride,
                               .room = rows->scratch}));
    return DS_OK;
}

/* ---- dW ------------------------------------------------------------------------------------- */

/* dst's columns (channel, tap) from those of a mixed image (tap, channel). */
static void product_unmix(const ds_conv *self, size_t m, const float *from, float *dst,
                          size_t stride)
{
    size_t kk = self->window.kh * self->window.kw;
    for (size_t o = 0; o < m; o++, from += self->taps, dst += stride)
        for (size_t c = 0; c < self->group_in; c++)
            for (size_t t = 0; t < kk; t++)
                dst[c * kk + t] = from[t * self->group_in + c];
}

ds_status ds_conv_product_weight(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                                 const ds_conv_part *part)
{
    const ds_window *w = &self->window;
    size_t most = ds_conv_image_samples(w, self->group_in), m = part->to - part->from;
    float *room = rows->scratch, *sums = room + ds_conv_image_floats(w, self->group_in);
    bool mixed = self->group_in > 1 && self->taps > self->group_in;
    ds_conv_image image = ds_conv_image_create(w, self->group_in, true, room);
    size_t first = part->group * self->group_in * w->h * w->w;
    for (size_t s = 0, n; s < rows->n; s += n) {
        n = rows->n - s < most ? rows->n - s : most;
        ds_conv_image_fill(&image, n, rows->x + s * rows->x_stride + first, rows->x_stride, room);
        ds_conv_planes dy = {rows->dy + s * rows->y_stride + part->from * self->points,
                             self->points, rows->y_stride};
        ds_operand a = {ds_conv_pack_planes, &dy}, b = {ds_conv_pack_taps, &image};
        DS_TRY(k->product(&(ds_product){.m = m,
                                        .n = self->taps,
                                        .k = n * self->points,
                                        .a = &a,
                                        .b = &b,
                                        .beta = s > 0 ? 1.0f : 0.0f,
                                        .c = mixed ? sums : part->dst,
                                        .ldc = mixed ? self->taps : part->stride}));
    }
    if (mixed)
        product_unmix(self, m, sums, part->dst, part->stride);
    return DS_OK;
}

size_t ds_conv_product_scratch(const ds_conv *self)
{
    size_t most =
        ds_conv_image_floats(&self->window, self->group_in) + self->group_out * self->taps;
    if (!ds_conv_product_turns(self))
        return most;
    ds_window back = product_back(self);
    size_t input = ds_conv_image_floats(&back, self->group_out);
    return input > most ? input : most;
}
