/* What adam and adamw share: options, and one update from estimates of the gradient's first and
 * second moment. */
#ifndef DS_MOMENTS_H
#define DS_MOMENTS_H

#include <math.h>
#include <stddef.h>

#include "descent/optim.h"

typedef struct ds_moments_options {
    double beta1, beta2, eps, weight_decay;
    const ds_value *betas; /* until ds_moments_check */
} ds_moments_options;

#define DS_MOMENTS_OPTION_BETA1                                                                 \
    {                                                                                           \
        .name = "beta1", .type = DS_OPTION_REAL, .offset = offsetof(ds_moments_options, beta1), \
        .fallback = "0.9", .max = DS_BELOW_1, .help = "decay of the gradient's running mean"    \
    }
#define DS_MOMENTS_OPTION_BETA2                                                                 \
    {                                                                                           \
        .name = "beta2", .type = DS_OPTION_REAL, .offset = offsetof(ds_moments_options, beta2), \
        .fallback = "0.999", .max = DS_BELOW_1,                                                 \
        .help = "decay of the squared gradient's running mean"                                  \
    }
#define DS_MOMENTS_OPTION_BETAS                                                                  \
    {                                                                                            \
        .name = "betas", .type = DS_OPTION_VALUE, .offset = offsetof(ds_moments_options, betas), \
        .help = "[beta1, beta2] in one, as PyTorch writes it"                                    \
    }
/* eps 0 would make 0/0 of every weight that had no gradient yet. */
#define DS_MOMENTS_OPTION_EPS                                                               \
    {                                                                                       \
        .name = "eps", .type = DS_OPTION_REAL, .offset = offsetof(ds_moments_options, eps), \
        .fallback = "1e-8", .min = 1e-30, .max = 1, .help = "added to the denominator"      \
    }

/* Local. `betas`, if given, becomes beta1 and beta2. Errors: USAGE. */
ds_status ds_moments_check(void *options);
/* Local. One update; `l2` times w is added to the gradient, w is first multiplied by 1 - lr
 * `decoupled`. */
void ds_moments_step(const ds_moments_options *options, const ds_update *update, double l2,
                     double decoupled);

#endif
