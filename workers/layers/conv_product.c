/* The products of a convolution on columns that are never written out: kernels->product packs them
 * from planes that lie with their padding, a few samples at a time, so that nothing has to be asked
 * at the borders.
 *   y:  a = W (out, taps), b (taps, points of all samples): rows of the image are runs of a row of
 * b dx: the same with dy as image and W turned by half a circle (stride 1) dW: a = dy (out,
 * points), b (points, taps) from pixels that keep their channels side by side, so that kw C taps
 * are a run; its columns are put in W's order at the end. As many flops as products of the written
 * columns, and C kh kw oh ow floats less through memory. */
#include <string.h>

#include "descent/simd.h"

#include "conv.h"

enum {
    PRODUCT_RUN = 16,       /* floats copied at a time, also where fewer are left */
    PRODUCT_ROOM = 1 << 17, /* floats of padded planes at a time */
    PRODUCT_SAMPLES = 16,
    PRODUCT_WIDTH = 32
};

/* Planes of several samples with their padding. Strides in floats. */
typedef struct product_image {
    const ds_window *window;
    const float *data;
    size_t channels, points;
    size_t sample, channel, row, pixel;
    bool room; /* PRODUCT_RUN floats may be read past the end */
} product_image;

static bool product_plain(const ds_window *w)
{
    return w->kh * w->kw == 1 && w->sh * w->sw == 1 && w->ph + w->pw == 0;
}

static size_t product_padded(const ds_window *w, size_t channels)
{
    return channels * (w->h + 2 * w->ph) * (w->w + 2 * w->pw);
}

/* Samples at a time. */
static size_t product_samples(const ds_window *w, size_t channels)
{
    size_t n = PRODUCT_ROOM / product_padded(w, channels);
    return n < 1 ? 1 : n > PRODUCT_SAMPLES ? PRODUCT_SAMPLES : n;
}

static size_t product_image_floats(const ds_window *w, size_t channels)
{
    return (product_samples(w, channels) * product_padded(w, channels) + 2 * PRODUCT_RUN - 1) /
           PRODUCT_RUN * PRODUCT_RUN;
}

/* ---- the image ------------------------------------------------------------------------------ */

/* A row of an image, each pixel's channels `step` floats apart. */
DS_SIMD static void product_mix(size_t n, size_t channels, const float *restrict x, size_t step,
                                float *restrict to)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            to[i * channels + c] = x[c * step + i];
}

/* The image of n samples of `channels` planes; mixed: channels are the fastest. */
static product_image product_pad(const ds_window *w, size_t channels, bool mixed, float *room)
{
    size_t width = w->w + 2 * w->pw, height = w->h + 2 * w->ph;
    memset(room, 0, product_image_floats(w, channels) * sizeof *room);
    return (product_image){.window = w,
                           .data = room,
                           .channels = channels,
                           .points = w->oh * w->ow,
                           .sample = channels * height * width,
                           .channel = mixed ? 1 : height * width,
                           .row = mixed ? width * channels : width,
                           .pixel = mixed ? channels : 1,
                           .room = true};
}

static void product_fill(const product_image *self, size_t n, const float *x, size_t stride,
                         float *room)
{
    const ds_window *w = self->window;
    for (size_t s = 0; s < n; s++)
        for (size_t r = 0; r < w->h; r++) {
            const float *from = x + s * stride + r * w->w;
            float *to = room + s * self->sample + (r + w->ph) * self->row + w->pw * self->pixel;
            if (self->channel == 1 && self->channels > 1)
                product_mix(w->w, self->channels, from, w->h * w->w, to);
            else
                for (size_t c = 0; c < self->channels; c++)
                    memcpy(to + c * self->channel, from + c * w->h * w->w, w->w * sizeof *to);
        }
}

/* ---- operands ------------------------------------------------------------------------------- */

/* A row of a packed panel from an image: pieces of PRODUCT_RUN floats, of which n count; the rest
 * runs on into what is written later. */
typedef struct product_piece {
    size_t from, to, n;
} product_piece;

typedef struct product_pieces {
    product_piece piece[PRODUCT_WIDTH];
    size_t n;
} product_pieces;

static void product_add(product_pieces *self, size_t from, size_t to, size_t n)
{
    for (size_t i = 0; i < n; i += PRODUCT_RUN)
        self->piece[self->n++] =
            (product_piece){from + i, to + i, n - i < PRODUCT_RUN ? n - i : PRODUCT_RUN};
}

/* Where the rows of a panel come from, one after the other: steps of `fast`, `middle`, `slow`. */
typedef struct product_walk {
    size_t count[2]; /* of fast and middle steps */
    size_t step[3];  /* floats */
    size_t at[3];    /* of the first row */
} product_walk;

/* As many pieces as the compiler can see keep their places in registers. */
__attribute__((always_inline)) static inline void
product_rows(const size_t n_pieces, const product_piece *piece, product_walk *walk, size_t n,
             const float *data, size_t width, float *dst)
{
    size_t fast = walk->at[0], middle = walk->at[1], slow = walk->at[2];
    for (size_t p = 0; p < n; p++, dst += width) {
        const float *from =
            data + slow * walk->step[2] + middle * walk->step[1] + fast * walk->step[0];
        for (size_t i = 0; i < n_pieces; i++)
            memcpy(dst + piece[i].to, from + piece[i].from, PRODUCT_RUN * sizeof *dst);
        if (++fast == walk->count[0])
            fast = 0, middle++;
        if (middle == walk->count[1])
            middle = 0, slow++;
    }
    walk->at[0] = fast, walk->at[1] = middle, walk->at[2] = slow;
}

/* n rows of a panel; the last ones, which nothing is written behind, float by float. */
DS_SIMD static void product_panel(const product_image *self, const product_pieces *pieces,
                                  product_walk *walk, size_t n, size_t width, float *dst)
{
    const product_piece *piece = pieces->piece;
    size_t end = piece[pieces->n - 1].to + PRODUCT_RUN, last = (end + width - 1) / width - 1;
    size_t whole = self->room && n > last ? n - last : 0, full = 0;
    while (full < pieces->n && piece[full].n == PRODUCT_RUN)
        full++;
    if (full == pieces->n)
        whole = n;
    if (pieces->n == 2)
        product_rows(2, piece, walk, whole, self->data, width, dst);
    else if (pieces->n == 3)
        product_rows(3, piece, walk, whole, self->data, width, dst);
    else if (pieces->n == 4)
        product_rows(4, piece, walk, whole, self->data, width, dst);
    else
        product_rows(pieces->n, piece, walk, whole, self->data, width, dst);
    for (size_t p = whole; p < n; p++) {
        const float *from = self->data + walk->at[2] * walk->step[2] + walk->at[1] * walk->step[1] +
                            walk->at[0] * walk->step[0];
        for (size_t i = 0; i < pieces->n; i++)
            for (size_t q = 0; q < piece[i].n; q++)
                dst[p * width + piece[i].to + q] = from[piece[i].from + q];
        if (++walk->at[0] == walk->count[0])
            walk->at[0] = 0, walk->at[1]++;
        if (walk->at[1] == walk->count[1])
            walk->at[1] = 0, walk->at[2]++;
    }
}

/* dst[p width + i]: tap depth + p of point row + i. */
static void product_pack_points(const ds_operand *operand, size_t row, size_t rows, size_t depth,
                                size_t n, size_t width, float *dst)
{
    const product_image *self = operand->source;
    const ds_window *w = self->window;
    product_pieces pieces = {.n = 0};
    for (size_t done = 0, length; done < rows; done += length) { /* runs: in a row of outputs */
        size_t sample = (row + done) / self->points, point = (row + done) % self->points;
        size_t j = point % w->ow, left = rows - done;
        length = w->sw > 1 ? 1 : w->ow - j < left ? w->ow - j : left;
        product_add(&pieces,
                    sample * self->sample + point / w->ow * w->sh * self->row +
                        j * w->sw * self->pixel,
                    done, length);
    }
    size_t kk = w->kh * w->kw;
    product_walk walk = {{w->kw, w->kh},
                         {1, self->row, self->channel},
                         {depth % w->kw, depth % kk / w->kw, depth / kk}};
    product_panel(self, &pieces, &walk, n, width, dst);
}

/* dst[p width + i]: tap row + i, in the order of a mixed image, of point depth + p. */
static void product_pack_taps(const ds_operand *operand, size_t row, size_t rows, size_t depth,
                              size_t n, size_t width, float *dst)
{
    const product_image *self = operand->source;
    const ds_window *w = self->window;
    product_pieces pieces = {.n = 0};
    for (size_t done = 0, length, line = w->kw * self->channels; done < rows; done += length) {
        size_t at = (row + done) % line, left = rows - done;
        length = line - at < left ? line - at : left;
        product_add(&pieces, (row + done) / line * self->row + at, done, length);
    }
    size_t point = depth % self->points;
    product_walk walk = {{w->ow, w->oh},
                         {w->sw * self->pixel, w->sh * self->row, self->sample},
                         {point % w->ow, point / w->ow, depth / self->points}};
    product_panel(self, &pieces, &walk, n, width, dst);
}

/* Planes of dy: element (channel, point of all samples). */
typedef struct product_planes {
    const float *data;
    size_t points, stride;
} product_planes;

static void product_pack_planes(const ds_operand *operand, size_t row, size_t rows, size_t depth,
                                size_t n, size_t width, float *dst)
{
    const product_planes *self = operand->source;
    for (size_t done = 0; done < n;) {
        size_t sample = (depth + done) / self->points, point = (depth + done) % self->points;
        size_t run = self->points - point < n - done ? self->points - point : n - done;
        ds_native_matrix m = {self->data + sample * self->stride, self->points, false};
        ds_native_pack_plain(&(ds_operand){.source = &m}, row, rows, point, run, width,
                             dst + done * width);
        done += run;
    }
}

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
    bool plain = product_plain(t->window);
    size_t points = t->window->oh * t->window->ow, most = product_samples(t->window, t->channels);
    ds_window row = {
        .h = 1, .w = points, .kh = 1, .kw = 1, .sh = 1, .sw = 1, .oh = 1, .ow = points};
    product_image image = {
        .window = &row, .points = points, .channel = points, .pixel = 1, .sample = t->x_stride};
    if (!plain)
        image = product_pad(t->window, t->channels, false, t->room);
    ds_native_matrix w = {t->w, t->w_stride, false};
    ds_operand a = {ds_native_pack_plain, &w}, b = {product_pack_points, &image};
    for (size_t s = 0, n; s < t->n; s += n) {
        n = plain || t->n - s < most ? t->n - s : most;
        if (plain)
            image.data = t->x;
        else
            product_fill(&image, n, t->x + s * t->x_stride, t->x_stride, t->room);
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
    size_t most = product_samples(w, self->group_in), m = part->to - part->from;
    float *room = rows->scratch, *sums = room + product_image_floats(w, self->group_in);
    bool mixed = self->group_in > 1 && self->taps > self->group_in;
    product_image image = product_pad(w, self->group_in, true, room);
    size_t first = part->group * self->group_in * w->h * w->w;
    for (size_t s = 0, n; s < rows->n; s += n) {
        n = rows->n - s < most ? rows->n - s : most;
        product_fill(&image, n, rows->x + s * rows->x_stride + first, rows->x_stride, room);
        product_planes dy = {rows->dy + s * rows->y_stride + part->from * self->points,
                             self->points, rows->y_stride};
        ds_operand a = {product_pack_planes, &dy}, b = {product_pack_taps, &image};
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
        product_image_floats(&self->window, self->group_in) + self->group_out * self->taps;
    if (!ds_conv_product_turns(self))
        return most;
    ds_window back = product_back(self);
    size_t input = product_image_floats(&back, self->group_out);
    return input > most ? input : most;
}
