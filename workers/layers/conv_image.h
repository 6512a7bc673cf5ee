/* Images of a convolution: what its products pack their columns from. */
#ifndef DS_CONV_IMAGE_H
#define DS_CONV_IMAGE_H

#include "window.h"

/* Planes of several samples with their padding. Strides in floats. */
typedef struct ds_conv_image {
    const ds_window *window;
    const float *data;
    size_t channels, points;
    size_t sample, channel, row, pixel;
    bool room; /* 16 floats may be read past the end */
} ds_conv_image;

/* Local. Samples at a time, and floats of room for them. */
size_t ds_conv_image_samples(const ds_window *w, size_t channels);
size_t ds_conv_image_floats(const ds_window *w, size_t channels);
/* Local. The image of that many samples of `channels` planes in `room`, zero as yet; mixed:
 * channels are the fastest. */
ds_conv_image ds_conv_image_create(const ds_window *w, size_t channels, bool mixed, float *room);
/* Local. x (n samples every `stride` floats, planes) into it. */
void ds_conv_image_fill(const ds_conv_image *self, size_t n, const float *x, size_t stride,
                        float *room);

/* Planes as they lie: element (channel, point of all samples). */
typedef struct ds_conv_planes {
    const float *data;
    size_t points, stride; /* from sample to sample, in floats */
} ds_conv_planes;

/* As ds_operand.pack, of ds_conv_planes. */
void ds_conv_pack_planes(const ds_operand *operand, size_t row, size_t rows, size_t depth, size_t n,
                         size_t width, float *dst);
/* The same of a ds_conv_image: dst[p width + i] is tap depth + p of point row + i; tap row + i, in
 * the order (tap, channel) of a mixed image, else (channel, tap), of point depth + p. */
void ds_conv_pack_points(const ds_operand *operand, size_t row, size_t rows, size_t depth, size_t n,
                         size_t width, float *dst);
void ds_conv_pack_taps(const ds_operand *operand, size_t row, size_t rows, size_t depth, size_t n,
                       size_t width, float *dst);

#endif
