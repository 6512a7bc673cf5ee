/* The norm of a whole tensor, as everywhere: squares in double by blocks of 4096 floats from its
 * start, block sums added in block order. */
#ifndef DS_TENSOR_NORM_H
#define DS_TENSOR_NORM_H

#include <math.h>

#include "descent/kernels.h"

enum { TENSOR_NORM_BLOCK = 4096 };

static inline double tensor_norm(const ds_kernels *k, size_t n, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += TENSOR_NORM_BLOCK)
        sum += k->squares(n - i < TENSOR_NORM_BLOCK ? n - i : TENSOR_NORM_BLOCK, x + i);
    return sqrt(sum);
}

#endif
