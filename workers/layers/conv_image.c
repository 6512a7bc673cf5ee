/* Planes of several samples as they lie with their padding, and the columns of a convolution packed
 * straight from them: nothing has to be asked at the borders, rows of a panel are copied as runs of
 * IMAGE_RUN floats. */
#include "conv_image.h"

#include <string.h>

#include "descent/simd.h"

enum {
    IMAGE_RUN = 16,       /* floats copied at a time, also where fewer are left */
    IMAGE_ROOM = 1 << 17, /* floats of padded planes at a time */
    IMAGE_SAMPLES = 16,
    IMAGE_WIDTH = 32
};

static size_t image_padded(const ds_window *w, size_t channels)
{
    return channels * (w->h + 2 * w->ph) * (w->w + 2 * w->pw);
}

/* Samples at a time. */
size_t ds_conv_image_samples(const ds_window *w, size_t channels)
{
    size_t n = IMAGE_ROOM / image_padded(w, channels);
    return n < 1 ? 1 : n > IMAGE_SAMPLES ? IMAGE_SAMPLES : n;
}

size_t ds_conv_image_floats(const ds_window *w, size_t channels)
{
    return (ds_conv_image_samples(w, channels) * image_padded(w, channels) + 2 * IMAGE_RUN - 1) /
           IMAGE_RUN * IMAGE_RUN;
}

/* ---- the image ------------------------------------------------------------------------------ */

/* A row of an image, each pixel's channels `step` floats apart. */
DS_SIMD static void image_mix(size_t n, size_t channels, const float *restrict x, size_t step,
                              float *restrict to)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            to[i * channels + c] = x[c * step + i];
}

/* The image of n samples of `channels` planes; mixed: channels are the fastest. */
ds_conv_image ds_conv_image_create(const ds_window *w, size_t channels, bool mixed, float *room)
{
    size_t width = w->w + 2 * w->pw, height = w->h + 2 * w->ph;
    memset(room, 0, ds_conv_image_floats(w, channels) * sizeof *room);
    return (ds_conv_image){.window = w,
                           .data = room,
                           .channels = channels,
                           .points = w->oh * w->ow,
                           .sample = channels * height * width,
                           .channel = mixed ? 1 : height * width,
                           .row = mixed ? width * channels : width,
                           .pixel = mixed ? channels : 1,
                           .room = true};
}

void ds_conv_image_fill(const ds_conv_image *self, size_t n, const float *x, size_t stride,
                        float *room)
{
    const ds_window *w = self->window;
    for (size_t s = 0; s < n; s++)
        for (size_t r = 0; r < w->h; r++) {
            const float *from = x + s * stride + r * w->w;
            float *to = room + s * self->sample + (r + w->ph) * self->row + w->pw * self->pixel;
            if (self->channel == 1 && self->channels > 1)
                image_mix(w->w, self->channels, from, w->h * w->w, to);
            else
                for (size_t c = 0; c < self->channels; c++)
                    memcpy(to + c * self->channel, from + c * w->h * w->w, w->w * sizeof *to);
        }
}

/* ---- operands: from planes as they lie ------------------------------------------------------- */

void ds_conv_pack_planes(const ds_operand *operand, size_t row, size_t rows, size_t depth, size_t n,
                         size_t width, float *dst)
{
    const ds_conv_planes *self = operand->source;
    for (size_t done = 0; done < n;) {
        size_t sample = (depth + done) / self->points, point = (depth + done) % self->points;
        size_t run = self->points - point < n - done ? self->points - point : n - done;
        ds_native_matrix m = {self->data + sample * self->stride, self->points, false};
        ds_native_pack_plain(&(ds_operand){.source = &m}, row, rows, point, run, width,
                             dst + done * width);
        done += run;
    }
}

/* ---- operands: from an image
 * ------------------------------------------------------------------------------- */

/* A row of a packed panel from an image: pieces of IMAGE_RUN floats, of which n count; the rest
 * runs on into what is written later. */
typedef struct image_piece {
    size_t from, to, n;
} image_piece;

typedef struct image_pieces {
    image_piece piece[IMAGE_WIDTH];
    size_t n;
} image_pieces;

static void image_add(image_pieces *self, size_t from, size_t to, size_t n)
{
    for (size_t i = 0; i < n; i += IMAGE_RUN)
        self->piece[self->n++] =
            (image_piece){from + i, to + i, n - i < IMAGE_RUN ? n - i : IMAGE_RUN};
}

/* Where the rows of a panel come from, one after the other: steps of `fast`, `middle`, `slow`. */
typedef struct image_walk {
    size_t count[2]; /* of fast and middle steps */
    size_t step[3];  /* floats */
    size_t at[3];    /* of the first row */
} image_walk;

/* As many pieces as the compiler can see keep their places in registers. */
__attribute__((always_inline)) static inline void
image_rows(const size_t n_pieces, const image_piece *piece, image_walk *walk, size_t n,
           const float *data, size_t width, float *dst)
{
    size_t fast = walk->at[0], middle = walk->at[1], slow = walk->at[2];
    for (size_t p = 0; p < n; p++, dst += width) {
        const float *from =
            data + slow * walk->step[2] + middle * walk->step[1] + fast * walk->step[0];
        for (size_t i = 0; i < n_pieces; i++)
            memcpy(dst + piece[i].to, from + piece[i].from, IMAGE_RUN * sizeof *dst);
        if (++fast == walk->count[0])
            fast = 0, middle++;
        if (middle == walk->count[1])
            middle = 0, slow++;
    }
    walk->at[0] = fast, walk->at[1] = middle, walk->at[2] = slow;
}

/* n rows of a panel; the last ones, which nothing is written behind, float by float. */
DS_SIMD static void image_panel(const ds_conv_image *self, const image_pieces *pieces,
                                image_walk *walk, size_t n, size_t width, float *dst)
{
    const image_piece *piece = pieces->piece;
    size_t end = piece[pieces->n - 1].to + IMAGE_RUN, last = (end + width - 1) / width - 1;
    size_t whole = self->room && n > last ? n - last : 0, full = 0;
    while (full < pieces->n && piece[full].n == IMAGE_RUN)
        full++;
    if (full == pieces->n)
        whole = n;
    if (pieces->n == 2)
        image_rows(2, piece, walk, whole, self->data, width, dst);
    else if (pieces->n == 3)
        image_rows(3, piece, walk, whole, self->data, width, dst);
    else if (pieces->n == 4)
        image_rows(4, piece, walk, whole, self->data, width, dst);
    else
        image_rows(pieces->n, piece, walk, whole, self->data, width, dst);
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
void ds_conv_pack_points(const ds_operand *operand, size_t row, size_t rows, size_t depth, size_t n,
                         size_t width, float *dst)
{
    const ds_conv_image *self = operand->source;
    const ds_window *w = self->window;
    image_pieces pieces = {.n = 0};
    for (size_t done = 0, length; done < rows; done += length) { /* runs: in a row of outputs */
        size_t sample = (row + done) / self->points, point = (row + done) % self->points;
        size_t j = point % w->ow, left = rows - done;
        length = w->sw > 1 ? 1 : w->ow - j < left ? w->ow - j : left;
        image_add(&pieces,
                  sample * self->sample + point / w->ow * w->sh * self->row +
                      j * w->sw * self->pixel,
                  done, length);
    }
    size_t kk = w->kh * w->kw;
    image_walk walk = {{w->kw, w->kh},
                       {1, self->row, self->channel},
                       {depth % w->kw, depth % kk / w->kw, depth / kk}};
    image_panel(self, &pieces, &walk, n, width, dst);
}

/* dst[p width + i]: tap row + i, in the image's order, of point depth + p. */
void ds_conv_pack_taps(const ds_operand *operand, size_t row, size_t rows, size_t depth, size_t n,
                       size_t width, float *dst)
{
    const ds_conv_image *self = operand->source;
    const ds_window *w = self->window;
    image_pieces pieces = {.n = 0};
    for (size_t done = 0, length, run = w->kw * self->pixel; done < rows; done += length) {
        size_t at = (row + done) % run, line = (row + done) / run, left = rows - done;
        length = run - at < left ? run - at : left;
        image_add(&pieces, line / w->kh * self->channel + line % w->kh * self->row + at, done,
                  length);
    }
    size_t point = depth % self->points;
    image_walk walk = {{w->ow, w->oh},
                       {w->sw * self->pixel, w->sh * self->row, self->sample},
                       {point % w->ow, point / w->ow, depth / self->points}};
    image_panel(self, &pieces, &walk, n, width, dst);
}
