/* Tiles for AVX-512: a step is one of k. */
#include "native.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f")))
#define FACTOR __m512
#define MULTIPLY_ADD(sum, x, y) _mm512_fmadd_ps(x, y, sum)
#include "native_vector.h"

const ds_native_isa ds_native_avx512 = {.max_rows = 14, .wide = ALL(wide), .narrow = ALL(narrow)};
#endif
