/* What native.c and its packing share. */
#ifndef DS_NATIVE_PARTS_H
#define DS_NATIVE_PARTS_H

#include "native.h"
#include "parts.h"

/* The source of a plain operand: element (i, p) at data[i * ld + p], or data[p * ld + i] where it
 * is turned. */
typedef struct ds_native_matrix {
    const float *data;
    size_t ld;
    bool turned;
} ds_native_matrix;

void ds_native_pack_plain(const ds_operand *self, size_t row, size_t rows, size_t depth, size_t n,
                          size_t width, float *dst);

#endif
