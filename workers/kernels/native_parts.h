/* What native.c and its packing share. */
#ifndef DS_NATIVE_PARTS_H
#define DS_NATIVE_PARTS_H

#include "native.h"
#include "parts.h"

/* Rows [row, row + rows) over [depth, depth + n) of k. */
typedef struct ds_native_part {
    size_t row, rows, depth, n;
} ds_native_part;

#if defined(__x86_64__)
/* As ds_native_pack_plain and ds_bf16_pairs in one; returns the steps a tile takes. */
size_t ds_bf16_pack(const ds_native_matrix *m, const ds_native_part *part, size_t width,
                    float *dst);
#endif

#endif
