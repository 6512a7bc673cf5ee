/* What native.c and its packing share. */
#ifndef DS_NATIVE_PARTS_H
#define DS_NATIVE_PARTS_H

#include "native.h"
#include "parts.h"

/* Rows [row, row + rows) over [depth, depth + n) of k. */
typedef struct ds_native_part {
    size_t row, rows, depth, n;
} ds_native_part;

enum {
    NATIVE_TILES = 40, /* of a, packed at a time */
    NATIVE_TILE =
        NATIVE_DEPTH * NATIVE_HEIGHT + 16 /* floats to the next: no two in one cache set */
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
/* The same with pairs of bfloat16; returns the steps a tile takes. */
size_t ds_bf16_copy_tiles(const ds_native_matrix *m, const ds_native_part *part, size_t tiles,
                          float *dst);
/* As ds_native_pack_plain and ds_bf16_pairs in one; returns the steps a tile takes. */
size_t ds_bf16_pack(const ds_native_matrix *m, const ds_native_part *part, size_t width,
                    float *dst);
#endif

#endif
