/* What native.c and its packing share. */
#ifndef DS_NATIVE_PARTS_H
#define DS_NATIVE_PARTS_H

#include <string.h>

#include "native.h"
#include "parts.h"

/* Rows [row, row + rows) over [depth, depth + n) of k. */
typedef struct ds_native_part {
    size_t row, rows, depth, n;
} ds_native_part;

enum {
    NATIVE_ROOM = 40 * NATIVE_TILE, /* floats of a packed at a time */
    NATIVE_TILES = (NATIVE_ROOM - NATIVE_TILE) / NATIVE_PAIRS_TILE + 1 /* so many at most */
};

/* Where tiles of nearly one height begin. */
static inline size_t ds_native_begin(size_t rows, size_t tiles, size_t t)
{
    return t * rows / tiles;
}

/* All of them, the end included: begin has room for tiles + 1. */
static inline void ds_native_begins(size_t rows, size_t tiles, size_t *begin)
{
    for (size_t t = 0; t <= tiles; t++)
        begin[t] = ds_native_begin(rows, tiles, t);
}

/* A turned matrix' rows as tiles, dst[t * NATIVE_TILE + p * NATIVE_HEIGHT + i]: all of a row of
 * memory at once. */
void ds_native_copy_tiles(const ds_native_matrix *m, const ds_native_part *part, size_t tiles,
                          float *dst);

#if defined(__x86_64__)
/* ds_native_pack_plain's parts for AVX-512 and widths of whole sixteens: element (i, p) at
 * src[i * ld + p], and at src[p * ld + i]. */
void ds_native_turn_sixteen(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                            size_t width);
void ds_native_copy_sixteen(size_t rows, size_t n, const float *src, size_t ld, float *dst,
                            size_t width);
#endif

/* A way to compute products of bfloat16; all have the same bits. Each function returns the steps a
 * tile takes. */
typedef struct ds_bf16_way {
    const char *name;
    const ds_native_isa *isa;
    int least; /* the CPU: 0 base, 1 avx2, 2 avx512 */
    bool bf16; /* AVX512_BF16, too */
    /* In place, a panel of n floats of k; n may be odd: there must be room for one row more. */
    size_t (*convert)(size_t n, size_t width, float *panel);
    /* As ds_native_pack_plain, ds_native_copy_tiles and convert in one; NULL: there is none. */
    size_t (*pack)(const ds_native_matrix *m, const ds_native_part *part, size_t width, float *dst);
    size_t (*tiles)(const ds_native_matrix *m, const ds_native_part *part, size_t tiles,
                    float *dst);
} ds_bf16_way;

#if defined(__x86_64__)
extern const ds_bf16_way ds_bf16_dot, ds_bf16_round, ds_bf16_avx512, ds_bf16_avx2;
#endif
extern const ds_bf16_way ds_bf16_plain;

/* Converts to rounded floats with pairs swapped, for fp32 tiles. */
size_t ds_bf16_swap(size_t n, size_t width, float *panel);

/* An odd depth ends with a row of zeros. */
static inline size_t ds_bf16_even(size_t n, size_t width, float *panel)
{
    if (n % 2 == 1)
        memset(panel + n * width, 0, width * sizeof *panel);
    return n + n % 2;
}

#endif
