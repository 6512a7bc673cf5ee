/* Packing plain matrices: copies where the panel's order is the matrix', else 8 x 8 blocks turned
 * in registers (about 0.3 cycles a float). */
#include <string.h>

#include "descent/simd.h"

#include "native_parts.h"
#include "native_turn.h"

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

/* Runs of eight, the last overlapping the one before. Lanes past the last row are zero up to the
 * next sixteen, which tiles compute: what an earlier product left there may be denormal, and
 * Intel's CPUs then take 100 times as long. */
DS_SIMD
static void native_copy(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                        size_t width)
{
    size_t whole = (rows + 15) / 16 * 16, lanes = whole < width ? whole : width;
    if (rows == NATIVE_WIDTH) {
        for (size_t p = 0; p < n; p++) {
            __builtin_prefetch(src + (p + NATIVE_AHEAD) * ld);
            __builtin_prefetch(src + (p + NATIVE_AHEAD) * ld + 16);
            memcpy(dst + p * width, src + p * ld, NATIVE_WIDTH * sizeof *dst);
        }
    } else if (rows > 8 && rows <= 16) {
        for (size_t p = 0; p < n; p++) {
            memset(dst + p * width + 8, 0, 8 * sizeof *dst);
            memcpy(dst + p * width, src + p * ld, 8 * sizeof *dst);
            memcpy(dst + p * width + rows - 8, src + p * ld + rows - 8, 8 * sizeof *dst);
        }
    } else {
        for (size_t p = 0; p < n; p++) {
            for (size_t i = 0; i < rows; i++)
                dst[p * width + i] = src[p * ld + i];
            for (size_t i = rows; i < lanes; i++)
                dst[p * width + i] = 0.0f;
        }
    }
}

/* With AVX-512, unless the panel is a plain copy of whole rows, which native_copy fetches ahead. */
static bool native_pack_wide(const ds_native_matrix *m, const ds_native_part *part, size_t width,
                             float *dst)
{
    bool full = m->turned && part->rows == NATIVE_WIDTH;
    if (width % 16 != 0 || full || ds_cpu_isa() < 2 || ds_isa_bound() < 2)
        return false;
#if defined(__x86_64__)
    if (m->turned)
        ds_native_copy_sixteen(part->rows, part->n, m->data + part->depth * m->ld + part->row,
                               m->ld, dst, width);
    else
        ds_native_turn_sixteen(part->rows, part->n, m->data + part->row * m->ld + part->depth,
                               m->ld, dst, width);
#endif
    return true;
}

void ds_native_pack_plain(const ds_operand *self, size_t row, size_t rows, size_t depth, size_t n,
                          size_t width, float *dst)
{
    const ds_native_matrix *m = self->source;
    if (native_pack_wide(m, &(ds_native_part){row, rows, depth, n}, width, dst))
        return;
    if (m->turned)
        native_copy(rows, n, m->data + depth * m->ld + row, m->ld, dst, width);
    else if (width < 8) /* a block of eight would run past the panel's end */
        for (size_t p = 0; p < n; p++)
            for (size_t i = 0; i < width; i++)
                dst[p * width + i] = m->data[(row + (i < rows ? i : rows - 1)) * m->ld + depth + p];
    else
        native_turn(rows, n, m->data + row * m->ld + depth, m->ld, dst, width);
}

/* n <= 16 floats, in two overlapping runs of eight where there are so many. */
static inline void native_copy_few(size_t n, const float *from, float *to)
{
    if (n >= 8) {
        memcpy(to, from, 8 * sizeof *to);
        memcpy(to + n - 8, from + n - 8, 8 * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

DS_SIMD
static void native_copy_rows(size_t rows, size_t n, const float *src, size_t ld,
                             const size_t *begin, size_t tiles, float *dst)
{
    for (size_t p = 0; p < n; p++, src += ld, dst += NATIVE_HEIGHT) {
        for (size_t i = 0; i < rows; i += 16)
            __builtin_prefetch(src + NATIVE_ROWS_AHEAD * ld + i);
        for (size_t t = 0; t < tiles; t++)
            native_copy_few(begin[t + 1] - begin[t], src + begin[t], dst + t * NATIVE_TILE);
    }
}

void ds_native_copy_tiles(const ds_native_matrix *m, const ds_native_part *part, size_t tiles,
                          float *dst)
{
    size_t begin[NATIVE_TILES + 1];
    ds_native_begins(part->rows, tiles, begin);
    native_copy_rows(part->rows, part->n, m->data + part->depth * m->ld + part->row, m->ld, begin,
                     tiles, dst);
}
