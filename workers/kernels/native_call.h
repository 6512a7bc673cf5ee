/* A native product under way, and what it reads next. */
#ifndef DS_NATIVE_CALL_H
#define DS_NATIVE_CALL_H

#include "native_parts.h"
#include "native_room.h"

/* A product under way, or one thread's part of it: the rows at hand and how they are cut. */
typedef struct ds_native_call {
    const ds_product *product;
    const ds_native_isa *isa;
    const ds_bf16_way *bf16; /* NULL: float32 */
    const float *b_rows;     /* b as it lies, rows every ldb floats; NULL: it must be packed */
    size_t ldb;
    bool lies; /* a is read as it lies: plain, and too few columns to earn its packing back */
    const float *bias; /* of c's columns, added at the end of k; NULL: none */
    ds_native_room *room;
    size_t first_row, end_row, first_column, end_column; /* of c, this part */
    size_t row, rows, tiles;                             /* of a, at hand */
    size_t depth, n;                                     /* of k */
    size_t steps;                                        /* of a tile: n, or as bf16 says */
    size_t begin[NATIVE_TILES + 1];                      /* rows of the tiles, from `row` */
    bool turned; /* a: all tiles are packed at once, if not read as they lie */
} ds_native_call;

/* The panel of b after column j, within the tiles of the one at hand. */
ds_native_fetch ds_native_fetch_b(const ds_native_call *call, size_t j);
/* A turned a: the same rows further on in k, within all panels. */
ds_native_fetch ds_native_fetch_turned(const ds_native_call *call);
/* The tile of a that is packed, or read as it lies, after tile t, within that tile. */
ds_native_fetch ds_native_fetch_tile(const ds_native_call *call, size_t t);

#endif
