/* The inner loops of conv_sparse.c. */
#ifndef DS_CONV_TILE_H
#define DS_CONV_TILE_H

#include <stddef.h>
#include <stdint.h>

enum { DS_LANES = 16 };

/* An element of dy that is not zero, and where what it meets begins, in floats. */
typedef struct ds_conv_entry {
    uint32_t at;
    float value;
} ds_conv_entry;

/* Local. sums (k k, 16) += over the entries in order: value x the k x k window of pixels at x + at,
 * rows `pitch` pixels apart. k is 3 or 5. */
void ds_conv_tile_weight(size_t k, size_t n, const ds_conv_entry *list, const float *x,
                         size_t pitch, float *sums);
/* Local. One row of outputs: dx's window at pixel j += over the entries [start[j], start[j + 1]) of
 * each j < width in order: value x (k k, 16) at w + at. width is a multiple of k; dx has a pixel
 * more than width + k. */
void ds_conv_tile_input(size_t k, size_t width, const ds_conv_entry *list, const uint32_t *start,
                        const float *w, float *dx, size_t pitch);

#endif
