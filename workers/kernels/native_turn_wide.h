/* Sixteen rows turned with AVX-512, four elements of each at a time: quarters of a register are
 * loaded from four rows (no shuffle), which two rounds of unpacking then turn within themselves. */
#ifndef DS_NATIVE_TURN_WIDE_H
#define DS_NATIVE_TURN_WIDE_H

#include <immintrin.h>

#include "native.h"

#define WIDE __attribute__((target("avx512f"), always_inline)) static inline

WIDE __m512 native_turn_quarters(const float *const *row, size_t p)
{
    __m512 r = _mm512_castps128_ps512(_mm_loadu_ps(row[0] + p));
    r = _mm512_mask_broadcast_f32x4(r, 0x00f0, _mm_loadu_ps(row[4] + p));
    r = _mm512_mask_broadcast_f32x4(r, 0x0f00, _mm_loadu_ps(row[8] + p));
    return _mm512_mask_broadcast_f32x4(r, 0xf000, _mm_loadu_ps(row[12] + p));
}

/* dst[q * width + i] = row[i][p + q] for 16 rows, 4 of q. */
WIDE void native_turn_wide(const float *const *row, size_t p, float *dst, size_t width)
{
    __m512 a = native_turn_quarters(row, p), b = native_turn_quarters(row + 1, p);
    __m512 c = native_turn_quarters(row + 2, p), d = native_turn_quarters(row + 3, p);
    __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
    __m512d cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
    __m512d ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
    __m512d cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
    _mm512_storeu_pd(dst, _mm512_unpacklo_pd(ab, cd));
    _mm512_storeu_pd(dst + width, _mm512_unpackhi_pd(ab, cd));
    _mm512_storeu_pd(dst + 2 * width, _mm512_unpacklo_pd(ab_high, cd_high));
    _mm512_storeu_pd(dst + 3 * width, _mm512_unpackhi_pd(ab_high, cd_high));
}

#undef WIDE

#endif
