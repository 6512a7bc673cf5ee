/* Augmentation of image rows in place: mirrored, moved, with noise (Krizhevsky et al., NIPS 2012;
 * He et al., CVPR 2016: padding and crop are a move). What a sample gets is a pure function of
 * seed, epoch and its number in the training split. Noise is the sum of eight random bytes, scaled
 * to the deviation: within 0.15 of a normal's kurtosis, at most 4.9 deviations, and without libm,
 * whose bits differ between machines. Cost: a move is a memmove; noise about 3 ns an element. */
#include <string.h>

#include "descent/dataset.h"
#include "descent/rng.h"
#include "descent/simd.h"

enum { AUGMENT_LANES = 32, AUGMENT_GROUP = 2 * AUGMENT_LANES };

typedef struct augment_image {
    size_t channels, height, width;
} augment_image;

static augment_image augment_of(const ds_shape *input)
{
    const size_t *dim = input->dim + (input->n == 3);
    return (augment_image){input->n == 3 ? input->dim[0] : 1, dim[0], dim[1]};
}

ds_status ds_augment_check(const ds_augment *self, const ds_shape *input, const ds_value *at)
{
    char text[DS_SHAPE_TEXT];
    if (!ds_augment_any(self))
        return DS_OK;
    if (input->n != 2 && input->n != 3)
        return ds_value_fail(at,
                             "data.augment is for images: model.input is %s, expected [height, "
                             "width] or [channels, height, width] (a flatten layer follows)",
                             ds_shape_text(input, text));
    augment_image image = augment_of(input);
    size_t least = image.height < image.width ? image.height : image.width;
    if (self->shift > 0 && (uint64_t)self->shift >= least)
        return ds_value_fail(ds_value_find(at, "shift"),
                             "data.augment: shift is %lld pixels, expected less than the image's "
                             "%zu of model.input %s",
                             (long long)self->shift, least, ds_shape_text(input, text));
    return DS_OK;
}

static void augment_flip(size_t rows, size_t width, float *x)
{
    for (size_t r = 0; r < rows; r++, x += width)
        for (size_t i = 0; i < width / 2; i++) {
            float left = x[i];
            x[i] = x[width - 1 - i];
            x[width - 1 - i] = left;
        }
}

static void augment_fill(size_t n, float value, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = value;
}

/* One row from `from`, moved right by dx, to `to`; they may overlap. */
static void augment_row(size_t width, long dx, float outside, const float *from, float *to)
{
    size_t gap = (size_t)(dx < 0 ? -dx : dx), n = width - gap;
    memmove(to + (dx > 0 ? gap : 0), from + (dx < 0 ? gap : 0), n * sizeof *to);
    augment_fill(gap, outside, dx > 0 ? to : to + n);
}

/* A plane (height, width) moved down by dy and right by dx; rows go in the order in which none is
 * overwritten before it was read. */
static void augment_move(const augment_image *image, long dy, long dx, float outside, float *x)
{
    long height = (long)image->height;
    for (long i = 0; i < height; i++) {
        long row = dy > 0 ? height - 1 - i : i, from = row - dy;
        float *to = x + (size_t)row * image->width;
        if (from < 0 || from >= height)
            augment_fill(image->width, outside, to);
        else
            augment_row(image->width, dx, outside, x + (size_t)from * image->width, to);
    }
}

/* What raw 0 has become in channel c. */
static float augment_black(const ds_normalizer *by, size_t c, size_t channels)
{
    if (by == NULL || by->n == 0)
        return 0;
    size_t i = c * by->n / channels;
    return (0 * by->scale - by->mean[i]) / by->std[i];
}

/* Eight bytes: mean 1020, variance 8 (256^2 - 1) / 12. */
static inline float augment_sum(uint32_t a, uint32_t b)
{
    const uint32_t pair = 0x00ff00ffu;
    uint32_t s = (a & pair) + (a >> 8 & pair) + (b & pair) + (b >> 8 & pair);
    return (float)((int32_t)((s & 0xffffu) + (s >> 16)) - 1020);
}

/* Philox4x32-10 as ds_rng_block, counters (hi, lo), ..., (hi, lo + 31) at once: out's first 32 from
 * words 0 and 1 of each, the others from 2 and 3. */
DS_SIMD static void augment_group(const ds_rng *rng, uint64_t hi, uint64_t lo, float scale,
                                  float *restrict out)
{
    uint32_t a[AUGMENT_LANES], b[AUGMENT_LANES], c[AUGMENT_LANES], d[AUGMENT_LANES],
        high[AUGMENT_LANES];
    uint32_t k0 = rng->key[0], k1 = rng->key[1];
    for (uint32_t i = 0; i < AUGMENT_LANES; i++) {
        a[i] = (uint32_t)(lo + i);
        b[i] = (uint32_t)((lo + i) >> 32);
        c[i] = (uint32_t)hi;
        d[i] = (uint32_t)(hi >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < AUGMENT_LANES; i++) /* loops apart: gcc vectorises these */
            high[i] = (uint32_t)((uint64_t)0xCD9E8D57u * c[i] >> 32) ^ b[i] ^ k0;
        for (size_t i = 0; i < AUGMENT_LANES; i++) {
            b[i] = 0xCD9E8D57u * c[i];
            c[i] = (uint32_t)((uint64_t)0xD2511F53u * a[i] >> 32) ^ d[i] ^ k1;
        }
        for (size_t i = 0; i < AUGMENT_LANES; i++) {
            d[i] = 0xD2511F53u * a[i];
            a[i] = high[i];
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (size_t i = 0; i < AUGMENT_LANES; i++) {
        out[i] = augment_sum(a[i], b[i]) * scale;
        out[AUGMENT_LANES + i] = augment_sum(c[i], d[i]) * scale;
    }
}

/* Groups of 64 elements, 32 counters each. */
static void augment_noise(const ds_rng *rng, uint64_t epoch, uint64_t sample, float scale, size_t n,
                          float *x)
{
    float noise[AUGMENT_GROUP];
    size_t groups = (n + AUGMENT_GROUP - 1) / AUGMENT_GROUP;
    for (size_t g = 0; g < groups; g++) {
        size_t at = g * AUGMENT_GROUP, m = n - at < AUGMENT_GROUP ? n - at : AUGMENT_GROUP;
        augment_group(rng, epoch, (sample * groups + g) * AUGMENT_LANES, scale, noise);
        for (size_t i = 0; i < m; i++)
            x[at + i] += noise[i];
    }
}

static long augment_draw(uint32_t word, int64_t most)
{
    return (long)((uint64_t)word * (uint64_t)(2 * most + 1) >> 32) - (long)most;
}

void ds_augment_rows(const ds_augment_job *self, size_t n, const uint64_t *index, float *x,
                     size_t stride)
{
    const ds_augment *how = self->how;
    augment_image image = augment_of(self->input);
    ds_rng rng = ds_rng_for(self->seed, "augment"), grain = ds_rng_for(self->seed, "augment/noise");
    size_t area = image.height * image.width;
    float scale = (float)(how->noise / 209.02153);
    for (size_t i = 0; i < n; i++, x += stride) {
        uint32_t word[4];
        ds_rng_block(&rng, self->epoch, index[i], word);
        long dy = augment_draw(word[1], how->shift), dx = augment_draw(word[2], how->shift);
        if (how->flip && (word[0] & 1) != 0)
            augment_flip(image.channels * image.height, image.width, x);
        for (size_t c = 0; c < image.channels && (dy != 0 || dx != 0); c++)
            augment_move(&image, dy, dx, augment_black(self->normalizer, c, image.channels),
                         x + c * area);
        if (how->noise > 0)
            augment_noise(&grain, self->epoch, index[i], scale, image.channels * area, x);
    }
}
