/* The user block of a checkpoint and the table behind it, on disk and in memory.
 *
 * File: [0, 4096) header | [4096, 4096 + body) the HDF5 file | the table, unless it fits into the
 * header. All integers little-endian.
 *   0 magic "DESCENT\0"   8 u32 version   12 u32 header bytes   16 u64 file length
 *  24 u64 block bytes    32 u64 body bytes   40 u64 blocks   48 u64 tensors   56 i64 step
 *  64 u64 table offset   72 u64 table bytes   80 u64 hash of the table
 *  88 u64 hash of the body without the tensors' bytes (HDF5's own structure)
 *  96 the table, where it fits   4088 u64 hash of the bytes before
 * Table: a record a tensor in the order written: u8 type, u8 dimensions, u16 path bytes, u32 zero,
 * u64 offset, u64 bytes, u64 hash, u64 a dimension, the path; then a u64 hash a block of the body.
 * All hashes XXH3-64, seed 0. */
#ifndef DS_FORMAT_V1_H
#define DS_FORMAT_V1_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/checkpoint.h"

enum {
    DS_RECORD_BYTES = 32, /* without dimensions and path */
    DS_HEAD_BYTES = 4096,
    DS_HEAD_TABLE = 96,
    DS_HEAD_HASH = 4088,
    DS_FORMAT_VERSION = 1
};
#define DS_BLOCK_BYTES ((uint64_t)1 << 20)
#define DS_MAGIC "DESCENT" /* with its terminating zero: 8 bytes */

typedef struct ds_record {
    char *path; /* owned */
    ds_dtype type;
    ds_shape shape;
    uint64_t offset, bytes, hash;
} ds_record;

typedef struct ds_head {
    uint64_t file_bytes, body_bytes, n_blocks, n_tensors;
    int64_t step;
    uint64_t table_offset, table_bytes, table_hash, structure_hash;
} ds_head;

/* The table in memory: records in the order written, `order` by rising offset. */
typedef struct ds_table {
    ds_head head;
    ds_record *record;
    size_t *order;
    uint64_t *block;
    /* of a salvaged table: what is wrong with it or the header ("" for a good one), and how many
     * tensors it has lost */
    char damage[512];
    size_t n_lost;
} ds_table;

/* Local. Bytes of block b of the body, and where it begins in the file. */
uint64_t ds_block_begin(uint64_t b);
uint64_t ds_block_bytes(const ds_head *head, uint64_t b);

/* Local. Room for n tensors; destroy frees it all. */
ds_status ds_table_create(size_t n_tensors, ds_table **out) DS_NODISCARD;
void ds_table_destroy(ds_table **table);
/* Local. Fill `order`; INTERNAL when tensors overlap. */
ds_status ds_table_sort(ds_table *self) DS_NODISCARD;

/* Local. The table as bytes (malloc'ed) with the places and hashes in self->head set; the header.
 */
ds_status ds_table_encode(ds_table *self, unsigned char **bytes) DS_NODISCARD;
void ds_head_encode(const ds_table *self, const unsigned char *table,
                    unsigned char out[DS_HEAD_BYTES]);

/* Local. Read header and table of an open file of `bytes` bytes and check every limit before it is
 * used. Errors: CHECKPOINT. */
ds_status ds_table_read(int fd, const char *path, uint64_t bytes, ds_table **out) DS_NODISCARD;
/* Local. Whether the header is whole but of a format this program does not know. */
bool ds_head_is_newer(int fd, uint64_t bytes);

/* Steps of the above, for salvage.c. Local. A little-endian integer; the header's fields as they
 * stand; whether its sizes agree with a file of `bytes` bytes; the table's bytes (malloc'ed), from
 * `in`, the header's bytes, where it holds them; header (checked) and table; one record from [*p,
 * end), INTERNAL when it contradicts itself; the blocks' hashes. */
uint64_t ds_bytes_get(const unsigned char *p, int bytes);
ds_head ds_head_get(const unsigned char *in);
bool ds_head_fits(const ds_head *head, uint64_t bytes);
ds_status ds_table_of(int fd, const char *path, const unsigned char *in, const ds_head *head,
                      unsigned char **out) DS_NODISCARD;
ds_status ds_table_decode(int fd, const char *path, uint64_t bytes, const unsigned char *in,
                          ds_table **out) DS_NODISCARD;
ds_status ds_record_get(const unsigned char **p, const unsigned char *end, const ds_head *head,
                        ds_record *record) DS_NODISCARD;
ds_status ds_blocks_get(const unsigned char *table, ds_table *self) DS_NODISCARD;

#endif
