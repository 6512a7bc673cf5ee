/* Parameters: tensors of one flat block of float32. Inside, a tensor is `rows` rows of `cols`
 * floats, a row every `stride` floats, padding zero; dense weights lie (in, out). Outside
 * (checkpoint, hash, export) it has the shape PyTorch keeps, without padding. */
#ifndef DS_PARAM_H
#define DS_PARAM_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/shape.h"

enum {
    DS_BLOCK = 4096
}; /* floats of a tensor that are never parted: slice and bucket borders, norms */

/* What a step makes of a trainable tensor. */
typedef enum ds_param_kind {
    DS_PARAM_LEARNED,   /* the optimizer takes its gradient */
    DS_PARAM_STATISTIC, /* a running mean. Its place in the gradient carries, summed over the
                           shards, samples x what it is the mean of; once a step it moves towards
                           their sum / samples. No norm, penalty, clipping, slot or averaged copy
                           counts it */
    DS_PARAM_FACTOR /* a statistic for the optimizer, which says when it moves: part of its state in
                       the checkpoint, not of the model's parameters or their hash */
} ds_param_kind;

typedef struct ds_param {
    const char *name; /* "dense1/weight" */
    ds_shape shape;   /* outside */
    bool transposed;  /* inside rows are outside columns: outside is (cols, rows) */
    bool trainable;   /* false: never updated, no gradient */
    size_t offset;    /* of its first float in the flat block; a multiple of 16 */
    size_t rows, cols, stride;
    ds_param_kind kind;
    double pace; /* of a statistic: the part of the way it moves, in (0, 1]; of a factor: what its
                    sum is multiplied by */
} ds_param;

typedef struct ds_layout {
    size_t n_params;
    const ds_param *param; /* in model order, offsets rising, without gaps but padding */
    size_t n_floats;       /* length of a flat block */
} ds_layout;

/* Local. Floats a tensor takes inside, padding included. */
static inline size_t ds_param_floats(const ds_param *self)
{
    return self->rows * self->stride;
}
/* Local. Does the optimizer take it? */
static inline bool ds_param_learns(const ds_param *self)
{
    return self->trainable && self->kind == DS_PARAM_LEARNED;
}
/* Local. Is it a running mean that moves? */
static inline bool ds_param_moves(const ds_param *self)
{
    return self->trainable && self->kind != DS_PARAM_LEARNED;
}
/* Local. n floats of a statistic: w += pace (share x sums - w). And of a factor, of which `keep`
 * stays: w = keep w + (1 - keep) share pace sums. */
DS_API void ds_param_move(const ds_param *self, size_t n, float share, const float *sums, float *w);
DS_API void ds_param_move_factor(const ds_param *self, size_t n, float share, double keep,
                                 const float *sums, float *w);
/* Local. Copy a tensor out of a flat block to its outside form (dense, elements of shape), and back
 * (padding untouched). */
DS_API void ds_param_export(const ds_param *self, const float *flat, float *outside);
DS_API void ds_param_import(const ds_param *self, const float *outside, float *flat);
/* Local. Elements of all tensors but factors, padding not counted. */
DS_API size_t ds_layout_elements(const ds_layout *self);
/* Local. params_hash: XXH3-64 of all tensors' but factors' outside forms in model order. Allocates
 * scratch. */
DS_API ds_status ds_layout_hash(const ds_layout *self, const float *flat,
                                uint64_t *out) DS_NODISCARD;

#endif
