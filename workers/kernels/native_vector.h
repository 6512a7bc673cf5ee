/* Tiles of 512 bits, once for whoever includes it: r x 32 or r x 16 sums in registers, r <= 14: 28
 * accumulators, two of b and one of a. A step costs r 2 multiply-adds, 2 loads of b, r broadcasts:
 * Zen 4 and Skylake are then bound by the multiply-adds. The includer defines TARGET (attribute),
 * FACTOR (type of 512 bits) and MULTIPLY_ADD(sum, x, y), and takes ALL(wide) and ALL(narrow). */
#ifndef DS_NATIVE_VECTOR_H
#define DS_NATIVE_VECTOR_H

#include <immintrin.h>

#include "native.h"

TARGET __attribute__((always_inline)) static inline void
native_vector_tile(const int rows, const int vectors, size_t k, const float *a, const float *b,
                   size_t ldb, float *c, size_t ldc, bool add)
{
    __m512 sum[NATIVE_MAX_ROWS][2];
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
        _mm_prefetch((const char *)(c + (size_t)r * ldc), _MM_HINT_T0);
        if (vectors > 1)
            _mm_prefetch((const char *)(c + (size_t)r * ldc + 16), _MM_HINT_T0);
    }
    for (size_t p = 0; p < k; p++, a += NATIVE_HEIGHT, b += ldb) {
        FACTOR b0 = (FACTOR)_mm512_loadu_ps(b);
        FACTOR b1 = vectors > 1 ? (FACTOR)_mm512_loadu_ps(b + 16) : b0;
        _mm_prefetch((const char *)(b + NATIVE_AHEAD * ldb), _MM_HINT_T0);
        if (vectors > 1)
            _mm_prefetch((const char *)(b + NATIVE_AHEAD * ldb + 16), _MM_HINT_T0);
        NATIVE_UNROLL
        for (int r = 0; r < rows; r++) {
            FACTOR x = (FACTOR)_mm512_set1_ps(a[r]);
            sum[r][0] = MULTIPLY_ADD(sum[r][0], x, b0);
            if (vectors > 1)
                sum[r][1] = MULTIPLY_ADD(sum[r][1], x, b1);
        }
    }
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++, c += ldc)
        for (int v = 0; v < vectors; v++)
            _mm512_storeu_ps(c + 16 * v, add ? _mm512_add_ps(_mm512_loadu_ps(c + 16 * v), sum[r][v])
                                             : sum[r][v]);
}

#define TILE(rows)                                                                             \
    TARGET static void native_vector_wide_##rows(size_t k, const float *a, const float *b,     \
                                                 size_t ldb, float *c, size_t ldc, bool add)   \
    {                                                                                          \
        native_vector_tile(rows, 2, k, a, b, ldb, c, ldc, add);                                \
    }                                                                                          \
    TARGET static void native_vector_narrow_##rows(size_t k, const float *a, const float *b,   \
                                                   size_t ldb, float *c, size_t ldc, bool add) \
    {                                                                                          \
        native_vector_tile(rows, 1, k, a, b, ldb, c, ldc, add);                                \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)

#define ALL(kind)                                                                            \
    {                                                                                        \
        native_vector_##kind##_1, native_vector_##kind##_2, native_vector_##kind##_3,        \
            native_vector_##kind##_4, native_vector_##kind##_5, native_vector_##kind##_6,    \
            native_vector_##kind##_7, native_vector_##kind##_8, native_vector_##kind##_9,    \
            native_vector_##kind##_10, native_vector_##kind##_11, native_vector_##kind##_12, \
            native_vector_##kind##_13, native_vector_##kind##_14                             \
    }

#endif
