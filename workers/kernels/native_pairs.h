/* Packing plain matrices for products of bfloat16 in one pass, once for whoever includes it:
 * rounded, paired and, where the panel's order is not the matrix', turned. The includer defines
 * TARGET (attribute), ROWS (of a panel that a pair of k takes: 1, both in one; 2, each its own),
 * native_pairs_place (a pair of rows where it belongs) and native_pairs_line (32 / ROWS of k in one
 * row, as sixteen columns of the panel), and takes native_pairs_convert, _pack and _tiles. */
#ifndef DS_NATIVE_PAIRS_H
#define DS_NATIVE_PAIRS_H

#include <immintrin.h>

#include "native_parts.h"
#include "native_turn_wide.h"

enum { PAIRS_TILE = ROWS == 1 ? NATIVE_PAIRS_TILE : NATIVE_TILE };

/* The first n of sixteen lanes. */
static inline __mmask16 native_pairs_lanes(size_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}

/* dst (ROWS, width), of which sixteen columns, = rows `low` and `high` of k. */
TARGET static inline void native_pairs_place(__m512 low, __m512 high, float *dst, size_t width);
/* Sixteen columns of k as the panel has them, turned, of `left` floats at `at`; then zeros. */
TARGET static inline __m512i native_pairs_line(const float *at, size_t left);

/* A step of pairs: the first elements of two rows; zeros for a second row that is none. */
TARGET static inline void native_pairs_step(__mmask16 lanes, const float *low, const float *high,
                                            float *dst, size_t width)
{
    __m512 second = _mm512_setzero_ps();
    if (high != NULL)
        second = _mm512_maskz_loadu_ps(lanes, high);
    native_pairs_place(_mm512_maskz_loadu_ps(lanes, low), second, dst, width);
}

/* In place: a panel of rows of floats, `width` (16 or 32) wide. */
TARGET static size_t native_pairs_convert(size_t n, size_t width, float *panel)
{
    size_t even = ds_bf16_even(n, width, panel);
    float *out = panel;
    for (size_t p = 0; p < even; p += 2, out += ROWS * width)
        for (size_t i = 0; i < width; i += 16) {
            const float *at = panel + p * width + i;
            native_pairs_place(_mm512_loadu_ps(at), _mm512_loadu_ps(at + width), out + i, width);
        }
    return even / 2 * ROWS;
}

/* Element (i, p) at src[p * ld + i]. */
TARGET static void native_pairs_copy(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                                     size_t width)
{
    for (size_t p = 0; p < n; p += 2, src += 2 * ld, dst += ROWS * width)
        for (size_t i = 0; i < width && i < rows; i += 16) {
            _mm_prefetch((const char *)(src + NATIVE_AHEAD * ld + i), _MM_HINT_T0);
            _mm_prefetch((const char *)(src + (NATIVE_AHEAD + 1) * ld + i), _MM_HINT_T0);
            native_pairs_step(native_pairs_lanes(rows - i), src + i,
                              p + 1 < n ? src + ld + i : NULL, dst + i, width);
        }
}

/* Element (i, p) at src[i * ld + p]. Rows past the last repeat it: nobody reads their sums. */
TARGET static void native_pairs_turn(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                                     size_t width)
{
    _Alignas(64) float line[16][16];
    const float *row[16];
    for (size_t q = 0; q < 16; q++)
        row[q] = line[q];
    for (size_t i = 0; i < rows; i += 16)
        for (size_t p = 0; p < n; p += 32 / ROWS) {
            size_t left = n - p;
            for (size_t q = 0; q < 16; q++) {
                const float *at = src + (i + q < rows ? i + q : rows - 1) * ld + p;
                _mm512_store_si512(line[q], native_pairs_line(at, left));
            }
            float *to = dst + p / 2 * ROWS * width + i;
            for (size_t q = 0; q < 16 && q < (left * ROWS + 1) / 2; q += 4)
                native_turn_wide(row, q, to + q * width, width);
        }
}

/* A turned matrix' rows as tiles: all of a row of memory at once. Returns the steps a tile takes.
 */
TARGET static size_t native_pairs_tiles(const ds_native_matrix *m, const ds_native_part *part,
                                        size_t tiles, float *dst)
{
    size_t begin[NATIVE_TILES + 1];
    ds_native_begins(part->rows, tiles, begin);
    const float *src = m->data + part->depth * m->ld + part->row;
    for (size_t p = 0; p < part->n; p += 2, src += 2 * m->ld, dst += ROWS * NATIVE_HEIGHT) {
        for (size_t i = 0; i < part->rows; i += 16) {
            _mm_prefetch((const char *)(src + NATIVE_ROWS_AHEAD * m->ld + i), _MM_HINT_T0);
            _mm_prefetch((const char *)(src + (NATIVE_ROWS_AHEAD + 1) * m->ld + i), _MM_HINT_T0);
        }
        for (size_t t = 0; t < tiles; t++) {
            const float *at = src + begin[t];
            native_pairs_step(native_pairs_lanes(begin[t + 1] - begin[t]), at,
                              p + 1 < part->n ? at + m->ld : NULL, dst + t * PAIRS_TILE,
                              NATIVE_HEIGHT);
        }
    }
    return (part->n + 1) / 2 * ROWS;
}

/* Likewise one panel, `width` (16 or 32) wide. */
static size_t native_pairs_pack(const ds_native_matrix *m, const ds_native_part *part, size_t width,
                                float *dst)
{
    const float *src = m->data;
    if (m->turned)
        native_pairs_copy(part->rows, part->n, src + part->depth * m->ld + part->row, m->ld, dst,
                          width);
    else
        native_pairs_turn(part->rows, part->n, src + part->row * m->ld + part->depth, m->ld, dst,
                          width);
    return (part->n + 1) / 2 * ROWS;
}

#endif
