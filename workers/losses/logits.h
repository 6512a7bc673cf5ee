/* exp in double without libm, so that every instruction set and library gives the same bits; for
 * the losses that turn logits into probabilities. */
#ifndef DS_LOGITS_H
#define DS_LOGITS_H

#include <stddef.h>

/* e (n) = exp(z - top), z <= top; below -708 as at -708, which is 0 in float. */
void ds_exponential(size_t n, const float *restrict z, double top, double *restrict e);

#endif
