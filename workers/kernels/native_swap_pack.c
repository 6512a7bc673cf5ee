/* Packing rounded floats for AVX-512 alone: as native_bf16.c in one pass. */
#include "native_parts.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f")))
#include "native_swap.h"

/* As native_bf16_bits: to nearest even; NaN quiet; denormals, whose exponent is zero, to zero. */
TARGET static inline __m512i native_swap_round(__m512 x)
{
    const __m512i u = (__m512i)x, upper = _mm512_set1_epi32(-0x10000);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    up = _mm512_mask_or_epi32(up, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u,
                              _mm512_set1_epi32(0x400000));
    up = _mm512_mask_and_epi32(up, _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000)), u,
                               _mm512_set1_epi32(-0x7fffffff - 1));
    return _mm512_and_si512(up, upper);
}

const ds_bf16_way ds_bf16_avx512 = {.name = "fp32 tiles of AVX-512",
                                    .isa = &ds_native_avx512,
                                    .least = 2,
                                    .convert = native_pairs_convert,
                                    .pack = native_pairs_pack,
                                    .tiles = native_pairs_tiles};
#endif
