/* Tiles for AVX-512: a step is one of k, and a may lie by rows, too. */
#include "native.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f")))
#define FACTOR __m512
#define MULTIPLY_ADD(sum, x, y) _mm512_fmadd_ps(x, y, sum)
#include "native_vector.h"
TILES(by_rows, NATIVE_BY_ROWS)

const ds_native_isa ds_native_avx512 = {
    .max_rows = 14, .tile = NATIVE_TILE, .by_steps = ALL(by_steps), .by_rows = ALL(by_rows)};
#endif
