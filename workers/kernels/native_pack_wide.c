/* Packing plain matrices with AVX-512 into panels of whole sixteens: sixteen rows turned at once;
 * copies by a load and a store for each sixteen, lanes past the last row zero. */
#include "native_parts.h"

#if defined(__x86_64__)
#include "native_turn_wide.h"

#define WIDE __attribute__((target("avx512f")))

WIDE void ds_native_turn_sixteen(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                                 size_t width)
{
    size_t whole = n / 4 * 4;
    for (size_t i = 0; i < rows; i += 16) {
        const float *row[16];
        for (size_t q = 0; q < 16; q++)
            row[q] = src + (i + q < rows ? i + q : rows - 1) * ld;
        for (size_t p = 0; p < whole; p += 4)
            native_turn_wide(row, p, dst + p * width + i, width);
        for (size_t p = whole; p < n; p++)
            for (size_t q = 0; q < 16; q++)
                dst[p * width + i + q] = row[q][p];
    }
}

WIDE void ds_native_copy_sixteen(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                                 size_t width)
{
    for (size_t i = 0; i < rows; i += 16) {
        const __mmask16 lanes = (__mmask16)(rows - i < 16 ? (1u << (rows - i)) - 1 : 0xffffu);
        for (size_t p = 0; p < n; p++)
            _mm512_storeu_ps(dst + p * width + i, _mm512_maskz_loadu_ps(lanes, src + p * ld + i));
    }
}
#endif
