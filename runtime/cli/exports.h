/* What export writes: the tensors of a checkpoint under the names that other programs know. */
#ifndef DS_EXPORTS_H
#define DS_EXPORTS_H

#include <stdint.h>
#include <stdio.h>

#include "descent/checkpoint.h"

typedef struct export_item {
    size_t index;     /* in the checkpoint */
    const char *name; /* "dense1.weight" */
    ds_tensor_info info;
    uint64_t bytes;
} export_item;

typedef struct export_set {
    const ds_checkpoint *from;
    size_t n;
    export_item *item;
} export_set;

typedef struct export_writer {
    const char *extension;
    /* Local. Errors of the file show in ferror; the rest is returned. */
    ds_status (*write)(const export_set *set, FILE *file);
} export_writer;

extern const export_writer export_npz, export_safetensors;

/* Local. Append the item's elements, little-endian in C order; *crc (may be NULL) becomes zlib's
 * crc32 of what it was and these bytes. */
ds_status export_copy(const export_set *set, size_t i, FILE *file, uint32_t *crc) DS_NODISCARD;

#endif
