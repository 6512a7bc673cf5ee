/* Tiles for AVX512_BF16: a step takes two of k: a and b hold pairs of bfloat16. */
#include "native.h"

#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bf16")))
#define FACTOR __m512bh
#define MULTIPLY_ADD(sum, x, y) _mm512_dpbf16_ps(sum, x, y)
#include "native_deal.h"
#include "native_vector.h"

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

const ds_native_isa ds_native_dot = {.max_rows = 14, .wide = ALL(wide), .narrow = ALL(narrow)};
#endif
