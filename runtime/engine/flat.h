/* Sums over flat blocks, in double: blocks of DS_BLOCK floats in 16 lanes folded in order, then the
 * blocks in order. */
#ifndef DS_FLAT_H
#define DS_FLAT_H

#include <stddef.h>

/* Local. Sum of a b; of (a - b)^2. */
double flat_dot(size_t n, const float *a, const float *b);
double flat_distance2(size_t n, const float *a, const float *b);

#endif
