/* What the parts of the convolution share: conv.c (the layer), conv_product.c (products on columns
 * that are packed from the planes), conv_sparse.c (gradients that are mostly zeros), conv_factor.c
 * (k-fac's factors). */
#ifndef DS_CONV_H
#define DS_CONV_H

#include "window.h"

typedef struct ds_conv {
    ds_window window;
    size_t groups, group_in, group_out; /* channels of one group */
    size_t taps;                        /* group_in kh kw: columns of W */
    size_t points;                      /* oh ow */
} ds_conv;

/* Local. The columns (taps, points) of group g of a sample: written to scratch, or the planes
 * themselves. */
const float *ds_conv_columns(const ds_conv *self, size_t g, const float *x, float *scratch);

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

/* Floats of scratch that the three products below may use. */
size_t ds_conv_product_scratch(const ds_conv *self);
/* Local. y of all rows but for the bias; w: (out, taps), rows of `stride`. */
ds_status ds_conv_product_forward(const ds_conv *self, const ds_kernels *k, const float *w,
                                  size_t stride, const ds_rows *rows) DS_NODISCARD;
/* Local. Is dx the convolution of dy with W turned (stride 1, less padding than the kernel)? Then
 * share fills `turned`, of so many floats, and input finds dx. */
bool ds_conv_product_turns(const ds_conv *self);
size_t ds_conv_product_shared(const ds_conv *self);
void ds_conv_product_share(const ds_conv *self, const float *w, size_t stride, float *turned);
ds_status ds_conv_product_input(const ds_conv *self, const ds_kernels *k, const float *turned,
                                const ds_rows *rows) DS_NODISCARD;
/* Local. dst (rows of `stride`) = dW of output channels [from, to), which lie in one group. */
typedef struct ds_conv_part {
    size_t group, from, to;
    float *dst;
    size_t stride;
} ds_conv_part;
ds_status ds_conv_product_weight(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                                 const ds_conv_part *part) DS_NODISCARD;
/* Local. dst = rows [from, to) of the factors of a group: of the inputs, A = sum of columns cols^T
 * (taps, taps) over samples and points; of the outputs, dy dy^T (group_out, group_out). */
ds_status ds_conv_factor(const ds_conv *self, const ds_kernels *k, const ds_rows *rows,
                         const ds_conv_part *part, bool input) DS_NODISCARD;

#endif
