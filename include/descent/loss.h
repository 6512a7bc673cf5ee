/* Losses. Value and gradient are sums over samples; the one division, by the step's sample count,
 * comes with the update. Formulas as PyTorch's: mse is the mean over a sample's elements,
 * cross_entropy takes logits. */
#ifndef DS_LOSS_H
#define DS_LOSS_H

#include <stdint.h>

#include "descent/kernels.h"
#include "descent/option.h"
#include "descent/shape.h"

typedef enum ds_target_kind { DS_TARGET_CLASS, DS_TARGET_REAL } ds_target_kind;

/* Targets of n rows: one of the two is set. (A model with positions has n x T labels for n
 * samples.)
 */
typedef struct ds_targets {
    const int32_t *label; /* (n), 0 <= label < classes */
    const float *value;   /* (n, width), dense */
    size_t width;
    const float *weight; /* (classes) of CLASS targets: a row counts as its class's; NULL: as 1 */
} ds_targets;

typedef struct ds_loss_ops {
    const char *name;
    const char *help;
    const ds_option *options; /* NULL-name terminated, may be empty */
    size_t options_size;
    ds_target_kind target;
    double target_min, target_max; /* of REAL targets, inclusive; both 0: any */
    /* What an output says in the target's own terms (scores, not the loss); NULL: itself. */
    double (*link)(double z);
    /* z (n, cols): outputs. *sum: loss summed over the rows in row order, in double, from z as it
     * stands (for cross_entropy the log-sum-exp in double). dz (n, cols, stride as z): gradient of
     * that sum; NULL when not needed; may be z itself. */
    void (*value)(const void *options, size_t n, size_t cols, const float *z, size_t stride,
                  const ds_targets *targets, double *sum, float *dz);
    /* For gradient checks, where the loss has kinks: its sum at z by the smooth piece on which
     * `base` (as z, same stride) lies. NULL: the loss is smooth. */
    double (*piece)(const void *options, size_t n, size_t cols, const float *z, const float *base,
                    size_t stride, const ds_targets *targets);
} ds_loss_ops;

DS_API const ds_loss_ops *ds_loss_at(size_t i); /* NULL past the end */
DS_API const ds_loss_ops *ds_loss_find(const char *name);

#endif
