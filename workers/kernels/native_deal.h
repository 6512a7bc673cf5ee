/* How two rows of rounded floats become one of pairs. */
#ifndef DS_NATIVE_DEAL_H
#define DS_NATIVE_DEAL_H

#include <immintrin.h>

/* For vpermw: sixteen of one row, then sixteen of the other -> pairs (first, second). */
__attribute__((target("avx512f"))) static inline __m512i ds_bf16_deal(void)
{
    const __m512i first = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(first,
                            _mm512_slli_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(16)), 16));
}

#endif
