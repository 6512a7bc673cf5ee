/* Packing plain matrices: copies where the panel's order is the matrix', else 8 x 8 blocks turned
 * in registers (about 0.3 cycles a float). */
#include <string.h>

#include "descent/simd.h"

#include "native_parts.h"

typedef float native_v8 __attribute__((vector_size(32), aligned(4)));

#define PAIRS(x, y, a, b, c, d) \
    __builtin_shufflevector(x, y, a, b, c, d, (a) + 4, (b) + 4, (c) + 4, (d) + 4)

/* dst[q * width + i] = row[i][p + q] for 8 x 8 elements. */
__attribute__((always_inline)) static inline void
native_turn_block(const float *const *row, size_t p, float *dst, size_t width)
{
    native_v8 r[8], s[8];
    for (int i = 0; i < 8; i++)
        memcpy(&r[i], row[i] + p, sizeof r[i]);
    for (int i = 0; i < 8; i += 2) {
        s[i] = PAIRS(r[i], r[i + 1], 0, 8, 1, 9);
        s[i + 1] = PAIRS(r[i], r[i + 1], 2, 10, 3, 11);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = PAIRS(s[i], s[i + 2], 0, 1, 8, 9);
        r[i + 1] = PAIRS(s[i], s[i + 2], 2, 3, 10, 11);
        r[i + 2] = PAIRS(s[i + 1], s[i + 3], 0, 1, 8, 9);
        r[i + 3] = PAIRS(s[i + 1], s[i + 3], 2, 3, 10, 11);
    }
    for (int i = 0; i < 4; i++) {
        s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; i++)
        memcpy(dst + (size_t)i * width, &s[i], sizeof s[i]);
}

/* Rows past the last repeat it: nobody reads their sums. */
DS_SIMD
static void native_turn(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                        size_t width)
{
    size_t whole = n / 8 * 8;
    for (size_t i = 0; i < rows; i += 8) {
        const float *row[8];
        for (size_t q = 0; q < 8; q++)
            row[q] = src + (i + q < rows ? i + q : rows - 1) * ld;
        for (size_t p = 0; p < whole; p += 8)
            native_turn_block(row, p, dst + p * width + i, width);
        for (size_t p = whole; p < n; p++)
            for (size_t q = 0; q < 8; q++)
                dst[p * width + i + q] = row[q][p];
    }
}

/* Runs of eight, the last overlapping the one before. */
DS_SIMD
static void native_copy(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                        size_t width)
{
    if (rows == NATIVE_WIDTH) {
        for (size_t p = 0; p < n; p++) {
            __builtin_prefetch(src + (p + NATIVE_AHEAD) * ld);
            __builtin_prefetch(src + (p + NATIVE_AHEAD) * ld + 16);
            memcpy(dst + p * width, src + p * ld, NATIVE_WIDTH * sizeof *dst);
        }
    } else if (rows > 8 && rows <= 16) {
        for (size_t p = 0; p < n; p++) {
            memcpy(dst + p * width, src + p * ld, 8 * sizeof *dst);
            memcpy(dst + p * width + rows - 8, src + p * ld + rows - 8, 8 * sizeof *dst);
        }
    } else {
        for (size_t p = 0; p < n; p++)
            for (size_t i = 0; i < rows; i++)
                dst[p * width + i] = src[p * ld + i];
    }
}

void ds_native_pack_plain(const ds_operand *self, size_t row, size_t rows, size_t depth, size_t n,
                          size_t width, float *dst)
{
    const ds_native_matrix *m = self->source;
    if (m->turned)
        native_copy(rows, n, m->data + depth * m->ld + row, m->ld, dst, width);
    else
        native_turn(rows, n, m->data + row * m->ld + depth, m->ld, dst, width);
}
