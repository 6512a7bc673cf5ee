/* Drawing the next token from scores. */
#ifndef DS_SAMPLING_H
#define DS_SAMPLING_H

#include <stdint.h>

#include "descent/kernels.h"
#include "descent/rng.h"

typedef struct sampling {
    size_t vocab;
    double temperature; /* 0: the highest score */
    size_t top;         /* how many of the highest scores count; 0: all */
    ds_rng rng;
    const ds_kernels *kernels; /* whose softmax calls no libm: unlike CPUs pick alike */
    float *weight;             /* (vocab) */
    uint32_t *order;           /* (vocab) */
} sampling;

ds_status sampling_create(sampling *self, uint64_t seed) DS_NODISCARD; /* vocab and the rest set */
void sampling_destroy(sampling *self);
/* Local. The token number `index` of the text, from its scores z (vocab): a pure function of these,
 * seed and settings. DIVERGED where a score is not finite. */
ds_status sampling_pick(sampling *self, const float *z, uint64_t index, size_t *token) DS_NODISCARD;

#endif
