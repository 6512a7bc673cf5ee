/* Packing rounded floats, pairs of k swapped, for fp32 tiles, once for whoever includes it: the
 * includer defines TARGET (attribute) and native_swap_round. */
#ifndef DS_NATIVE_SWAP_H
#define DS_NATIVE_SWAP_H

#define ROWS 2
#include "native_pairs.h"

/* Sixteen floats rounded to bfloat16. */
TARGET static inline __m512i native_swap_round(__m512 x);

TARGET static inline void native_pairs_place(__m512 low, __m512 high, float *dst, size_t width)
{
    _mm512_storeu_si512(dst, native_swap_round(high));
    _mm512_storeu_si512(dst + width, native_swap_round(low));
}

TARGET static inline __m512i native_pairs_line(const float *at, size_t left)
{
    __m512 x = _mm512_maskz_loadu_ps(native_pairs_lanes(left), at);
    return native_swap_round(_mm512_permute_ps(x, 0xb1));
}

#endif
