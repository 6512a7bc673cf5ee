/* Tiles for AVX512_BF16: a step takes two of k: a and b hold pairs of bfloat16. */
#include "native.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bf16")))
#define FACTOR __m512bh
#define MULTIPLY_ADD(sum, x, y) _mm512_dpbf16_ps(sum, x, y)
#include "native_vector.h"

const ds_native_isa ds_native_dot = {
    .max_rows = 14, .tile = NATIVE_PAIRS_TILE, .by_steps = ALL(by_steps)};
#endif
