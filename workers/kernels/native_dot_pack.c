/* Packing plain matrices for AVX512_BF16 in one pass: rounded, paired and, where the panel's order
 * is not the matrix', turned as pairs, half as many as floats. */
#include "native_parts.h"

#if defined(__x86_64__)
#include "native_deal.h"
#include "native_turn.h"

#define DOT __attribute__((target("avx512f,avx512bw,avx512bf16")))

/* The first n of sixteen lanes. */
static inline __mmask16 native_dot_lanes(size_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}

/* A step of pairs: the first elements of two rows, dealt out; zeros for a second row that is none.
 */
DOT static inline void native_dot_deal(__mmask16 lanes, const float *low, const float *high,
                                       float *dst)
{
    __m512 first = _mm512_maskz_loadu_ps(lanes, low), second = _mm512_setzero_ps();
    if (high != NULL)
        second = _mm512_maskz_loadu_ps(lanes, high);
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    _mm512_storeu_si512(dst, _mm512_permutexvar_epi16(ds_bf16_deal(), both));
}

/* Element (i, p) at src[p * ld + i]. */
DOT static void native_dot_copy(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                                size_t width)
{
    for (size_t p = 0; p < n; p += 2, src += 2 * ld, dst += width)
        for (size_t i = 0; i < width && i < rows; i += 16) {
            _mm_prefetch((const char *)(src + NATIVE_AHEAD * ld + i), _MM_HINT_T0);
            _mm_prefetch((const char *)(src + (NATIVE_AHEAD + 1) * ld + i), _MM_HINT_T0);
            native_dot_deal(native_dot_lanes(rows - i), src + i, p + 1 < n ? src + ld + i : NULL,
                            dst + i);
        }
}

/* Element (i, p) at src[i * ld + p]: 32 of a row are 16 pairs as they lie. Rows past the last
 * repeat it: nobody reads their sums. */
DOT static void native_dot_turn(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                                size_t width)
{
    _Alignas(64) float pair[8][16];
    const float *row[8];
    for (size_t q = 0; q < 8; q++)
        row[q] = pair[q];
    for (size_t i = 0; i < rows; i += 8)
        for (size_t p = 0; p < n; p += 32) {
            size_t left = n - p;
            __mmask16 first = native_dot_lanes(left);
            __mmask16 second = native_dot_lanes(left > 16 ? left - 16 : 0);
            for (size_t q = 0; q < 8; q++) {
                const float *at = src + (i + q < rows ? i + q : rows - 1) * ld + p;
                __m512 low = _mm512_maskz_loadu_ps(first, at), high = _mm512_setzero_ps();
                if (second != 0)
                    high = _mm512_maskz_loadu_ps(second, at + 16);
                _mm512_store_si512(pair[q], (__m512i)_mm512_cvtne2ps_pbh(high, low));
            }
            float *to = dst + p / 2 * width + i;
            native_turn_block(row, 0, to, width);
            if (left > 16)
                native_turn_block(row, 8, to + 8 * width, width);
        }
}

DOT size_t ds_bf16_copy_tiles(const ds_native_matrix *m, const ds_native_part *part, size_t tiles,
                              float *dst)
{
    size_t begin[NATIVE_TILES + 1];
    ds_native_begins(part->rows, tiles, begin);
    const float *src = m->data + part->depth * m->ld + part->row;
    for (size_t p = 0; p < part->n; p += 2, src += 2 * m->ld, dst += NATIVE_HEIGHT) {
        for (size_t i = 0; i < part->rows; i += 16) {
            _mm_prefetch((const char *)(src + NATIVE_ROWS_AHEAD * m->ld + i), _MM_HINT_T0);
            _mm_prefetch((const char *)(src + (NATIVE_ROWS_AHEAD + 1) * m->ld + i), _MM_HINT_T0);
        }
        for (size_t t = 0; t < tiles; t++) {
            const float *at = src + begin[t];
            native_dot_deal(native_dot_lanes(begin[t + 1] - begin[t]), at,
                            p + 1 < part->n ? at + m->ld : NULL, dst + t * NATIVE_TILE);
        }
    }
    return (part->n + 1) / 2;
}

size_t ds_bf16_pack(const ds_native_matrix *m, const ds_native_part *part, size_t width, float *dst)
{
    const float *src = m->data;
    if (m->turned)
        native_dot_copy(part->rows, part->n, src + part->depth * m->ld + part->row, m->ld, dst,
                        width);
    else
        native_dot_turn(part->rows, part->n, src + part->row * m->ld + part->depth, m->ld, dst,
                        width);
    return (part->n + 1) / 2;
}
#endif
