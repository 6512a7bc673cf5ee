/* What rows of 16 lanes end in. In vectors of AVX's width: gcc computes compares of wider ones one
 * by one where registers are narrower, and loops over a local array often lane by lane. */
#ifndef DS_LAYER_LANES_H
#define DS_LAYER_LANES_H

#include <string.h>

#include "descent/simd.h"

enum { LANES = 16 };

typedef float lanes_f8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float lanes_f4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int lanes_i8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef double lanes_d4 __attribute__((vector_size(32), aligned(8), may_alias));

/* The sum, halves added to halves: a chain of additions would wait for each. */
DS_SIMD_INLINE float lanes_sum(const float *lane)
{
    lanes_f8 eight = *(const lanes_f8 *)lane + *(const lanes_f8 *)(lane + 8);
    lanes_f4 low, high;
    memcpy(&low, &eight, sizeof low);
    memcpy(&high, (const char *)&eight + sizeof low, sizeof high);
    low += high;
    return (low[0] + low[2]) + (low[1] + low[3]);
}

DS_SIMD_INLINE double lanes_sum_double(const double *lane)
{
    const lanes_d4 *four = (const lanes_d4 *)lane;
    lanes_d4 sum = (four[0] + four[2]) + (four[1] + four[3]);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* Each lane of most becomes x where that is larger. */
DS_SIMD_INLINE void lanes_raise(lanes_f8 *most, const float *x)
{
    const lanes_f8 other = *(const lanes_f8 *)x;
    const lanes_i8 larger = other > *most;
    *most = (lanes_f8)((larger & (lanes_i8)other) | (~larger & (lanes_i8)*most));
}

/* The largest of n (a multiple of the lanes) numbers. */
DS_SIMD_INLINE float lanes_top(size_t n, const float *x)
{
    lanes_f8 low = *(const lanes_f8 *)x, high = *(const lanes_f8 *)(x + 8);
    for (size_t j = LANES; j < n; j += LANES) {
        lanes_raise(&low, x + j);
        lanes_raise(&high, x + j + 8);
    }
    lanes_raise(&low, (const float *)&high);
    float four[4], two[2];
    for (int l = 0; l < 4; l++)
        four[l] = low[l] > low[l + 4] ? low[l] : low[l + 4];
    for (int l = 0; l < 2; l++)
        two[l] = four[l] > four[l + 2] ? four[l] : four[l + 2];
    return two[0] > two[1] ? two[0] : two[1];
}

#endif
