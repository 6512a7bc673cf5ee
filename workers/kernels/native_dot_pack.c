/* Packing for AVX512_BF16: pairs, half as many as floats, which are turned as they lie. */
#include "native_parts.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512bf16")))
#define ROWS 1
#include "native_pairs.h"

/* For vpermw: sixteen of one row, then sixteen of the other -> pairs (first, second). */
TARGET static inline __m512i native_dot_deal(void)
{
    const __m512i first = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(first,
                            _mm512_slli_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(16)), 16));
}

/* The instruction puts sixteen of one row behind sixteen of the other, the permutation deals them
 * out. */
TARGET static inline void native_pairs_place(__m512 low, __m512 high, float *dst, size_t width)
{
    (void)width;
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    _mm512_storeu_si512(dst, _mm512_permutexvar_epi16(native_dot_deal(), both));
}

TARGET static inline __m512i native_pairs_line(const float *at, size_t left)
{
    __m512 low = _mm512_maskz_loadu_ps(native_pairs_lanes(left), at), high = _mm512_setzero_ps();
    if (left > 16)
        high = _mm512_maskz_loadu_ps(native_pairs_lanes(left - 16), at + 16);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

const ds_bf16_way ds_bf16_dot = {.name = "vdpbf16ps",
                                 .isa = &ds_native_dot,
                                 .least = 2,
                                 .bf16 = true,
                                 .convert = native_pairs_convert,
                                 .pack = native_pairs_pack,
                                 .tiles = native_pairs_tiles};
#endif
