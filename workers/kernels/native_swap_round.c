/* The same where AVX512_BF16 rounds: half the operations. */
#include "native_parts.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512bf16")))
#include "native_swap.h"

TARGET static inline __m512i native_swap_round(__m512 x)
{
    return _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)), 16);
}

const ds_bf16_way ds_bf16_round = {.name = "fp32 tiles of AVX-512, rounded by vcvtneps2bf16",
                                   .isa = &ds_native_avx512,
                                   .least = 2,
                                   .bf16 = true,
                                   .convert = native_pairs_convert,
                                   .pack = native_pairs_pack,
                                   .tiles = native_pairs_tiles};
#endif
