/* Tiles for AVX512_BF16: as for AVX-512, a step takes two of k: a and b hold pairs of bfloat16. */
#include "native.h"

#if defined(__x86_64__)
#include "native_deal.h"

#define DOT __attribute__((target("avx512f,avx512bf16")))

/* Two rows of a panel become one of pairs; widths are 16 or 32. The instruction puts sixteen of one
 * row behind sixteen of the other, the permutation deals them out. */
__attribute__((target("avx512f,avx512bw,avx512bf16"))) size_t ds_bf16_pairs(size_t n, size_t width,
                                                                            float *panel)
{
    size_t even = ds_bf16_even(n, width, panel);
    const __m512i deal = ds_bf16_deal();
    float *out = panel;
    for (size_t p = 0; p < even; p += 2, out += width)
        for (size_t i = 0; i < width; i += 16) {
            const float *at = panel + p * width + i;
            __m512 low = _mm512_loadu_ps(at), high = _mm512_loadu_ps(at + width);
            __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
            _mm512_storeu_si512(out + i, _mm512_permutexvar_epi16(deal, both));
        }
    return even / 2;
}

DOT __attribute__((always_inline)) static inline void
native_dot_tile(const int rows, const int vectors, size_t k, const float *a, const float *b,
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
        __m512bh b0 = (__m512bh)_mm512_loadu_ps(b);
        __m512bh b1 = vectors > 1 ? (__m512bh)_mm512_loadu_ps(b + 16) : b0;
        _mm_prefetch((const char *)(b + 8 * ldb), _MM_HINT_T0);
        if (vectors > 1)
            _mm_prefetch((const char *)(b + 8 * ldb + 16), _MM_HINT_T0);
        NATIVE_UNROLL
        for (int r = 0; r < rows; r++) {
            __m512bh x = (__m512bh)_mm512_set1_ps(a[r]);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, b0);
            if (vectors > 1)
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, b1);
        }
    }
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++, c += ldc)
        for (int v = 0; v < vectors; v++)
            _mm512_storeu_ps(c + 16 * v, add ? _mm512_add_ps(_mm512_loadu_ps(c + 16 * v), sum[r][v])
                                             : sum[r][v]);
}

#define TILE(rows)                                                                                 \
    DOT static void native_dot_wide_##rows(size_t k, const float *a, const float *b, size_t ldb,   \
                                           float *c, size_t ldc, bool add)                         \
    {                                                                                              \
        native_dot_tile(rows, 2, k, a, b, ldb, c, ldc, add);                                       \
    }                                                                                              \
    DOT static void native_dot_narrow_##rows(size_t k, const float *a, const float *b, size_t ldb, \
                                             float *c, size_t ldc, bool add)                       \
    {                                                                                              \
        native_dot_tile(rows, 1, k, a, b, ldb, c, ldc, add);                                       \
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

#define ALL(kind)                                                                   \
    {                                                                               \
        native_dot_##kind##_1, native_dot_##kind##_2, native_dot_##kind##_3,        \
            native_dot_##kind##_4, native_dot_##kind##_5, native_dot_##kind##_6,    \
            native_dot_##kind##_7, native_dot_##kind##_8, native_dot_##kind##_9,    \
            native_dot_##kind##_10, native_dot_##kind##_11, native_dot_##kind##_12, \
            native_dot_##kind##_13, native_dot_##kind##_14                          \
    }
const ds_native_isa ds_native_dot = {.max_rows = 14, .wide = ALL(wide), .narrow = ALL(narrow)};
#endif
