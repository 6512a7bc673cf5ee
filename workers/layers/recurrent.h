/* What lstm and gru share: options, parameters, the products that know no time. Dimensions: n
 * samples, T positions, C features of the input, H units, G gates; W (G H, C) outside as PyTorch
 * keeps it, (C, G H) inside. */
#ifndef DS_RECURRENT_H
#define DS_RECURRENT_H

#include "descent/layer.h"

typedef struct ds_recurrent_options {
    int64_t units;
    int init;
    bool last, bias;
} ds_recurrent_options;
extern const ds_option ds_recurrent_table[];

enum { DS_WEIGHT_IH, DS_WEIGHT_HH, DS_BIAS_IH, DS_BIAS_HH };

/* Sizes, and where the parts of a sample's kept floats begin: gates (T, G H), then their gradients;
 * `own` (T, H), of the kind; h (T, H) where y does not have it; dh, dc and work (H). */
typedef struct ds_recurrent {
    size_t positions, features, units, width; /* width: G H */
    size_t own, h, dh, dc, work, kept;
} ds_recurrent;

/* prepare for `gates` of them. */
ds_status ds_recurrent_prepare(ds_layer *self, ds_layer_builder *builder, size_t gates);
ds_recurrent ds_recurrent_sizes(const ds_layer *self);
/* Rows of h at position t, and their stride: in y, or kept where only the last is given on. */
float *ds_recurrent_h(const ds_layer *self, const ds_rows *rows, size_t t, size_t *stride);
/* gates = x W_ih + b_ih, all positions of a sample in one product. */
ds_status ds_recurrent_project(const ds_layer *self, const ds_kernels *k, const float *params,
                               const ds_rows *rows);
/* One step's product with columns [from, from + n) of W_hh: c (rows, n) = h W [+ c]. */
typedef struct ds_recurrent_step {
    size_t from, n;
    float *c; /* rows every kept_stride floats */
    float beta;
} ds_recurrent_step;
ds_status ds_recurrent_forth(const ds_layer *self, const ds_kernels *k, const float *params,
                             const ds_rows *rows, size_t t, const ds_recurrent_step *step);
/* And back: dh (rows, H) = c W^T [+ dh]. */
ds_status ds_recurrent_back(const ds_layer *self, const ds_kernels *k, const float *params,
                            const ds_rows *rows, const ds_recurrent_step *step);
/* dh += dy of position t, where y has it. */
void ds_recurrent_take(const ds_layer *self, const ds_kernels *k, const ds_rows *rows, size_t t);
/* y from h where only the last position is given on. */
void ds_recurrent_give(const ds_layer *self, const ds_rows *rows);

/* W_hh turned, once a pass, where the table would pack it anew each step. */
bool ds_recurrent_shares(const ds_layer *self, const ds_kernels *k, size_t n);
void ds_recurrent_share(const ds_layer *self, const ds_kernels *k, const float *params,
                        float *shared);
/* dx = dgates W_ih^T. */
ds_status ds_recurrent_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                const ds_rows *rows);

/* Columns [to, to + n) of a parameter's gradient from dgates that lie at `from` in kept, every `ld`
 * floats from position to position. */
typedef struct ds_recurrent_part {
    size_t p, to, n, from, ld;
} ds_recurrent_part;
ds_status ds_recurrent_gradient(const ds_layer *self, const ds_kernels *k,
                                const ds_recurrent_part *part, const ds_rows *rows, size_t row,
                                size_t end, float *dst);

#endif
