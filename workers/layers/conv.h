/* What the parts of the convolution share: conv.c (the layer), conv_sparse.c (gradients that are
 * mostly zeros). */
#ifndef DS_CONV_H
#define DS_CONV_H

#include "window.h"

typedef struct ds_conv {
    ds_window window;
    size_t groups, group_in, group_out; /* channels of one group */
    size_t taps;                        /* group_in kh kw: columns of W */
    size_t points;                      /* oh ow */
} ds_conv;

/* Local. Are there loops for gradients with many zeros: 3 x 3 or 5 x 5, stride 1, a single group,
 * 8 channels or more? */
bool ds_conv_sparse_fits(const ds_conv *self);
/* Local. Floats of scratch, and of W in the order that dx needs (rows->shared). */
size_t ds_conv_sparse_scratch(const ds_conv *self);
size_t ds_conv_sparse_shared(const ds_conv *self);
/* Local. shared = w (out rows of `stride`). */
void ds_conv_sparse_share(const ds_conv *self, const float *w, size_t stride, float *shared);
/* Local. So few elements of the shard's dy differ from zero that the loops over them win: a
 * function of dy's values alone, so each rank and each run decides alike. */
bool ds_conv_sparse_pays(const ds_conv *self, const ds_rows *rows);
/* Local. dx from dy and shared; dst (to - from rows of `stride`) = dW of output channels [from, to)
 * from dy and x. Zeros in dy are left out of the sums. */
void ds_conv_sparse_input(const ds_conv *self, const ds_rows *rows);
void ds_conv_sparse_weight(const ds_conv *self, const ds_rows *rows, size_t from, size_t to,
                           float *dst, size_t stride);

#endif
