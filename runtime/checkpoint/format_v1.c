/* Header and table of a checkpoint as bytes; the layout stands in format_v1.h. Decoding trusts
 * nothing: the length of the file bounds every size before memory is asked for. */
#include "format_v1.h"

#include <stdlib.h>
#include <string.h>

#include "descent/hash.h"

#include "fileio.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are written as they lie");

enum { FORMAT_RECORD = DS_RECORD_BYTES, FORMAT_PATH = 1024 };

static const struct {
    size_t bytes;
    const char *name;
} format_type[] = {[DS_F32] = {4, "float32"},
                   [DS_F64] = {8, "float64"},
                   [DS_I64] = {8, "int64"},
                   [DS_U8] = {1, "uint8"}};

size_t ds_dtype_bytes(ds_dtype type)
{
    return format_type[type].bytes;
}

const char *ds_dtype_name(ds_dtype type)
{
    return format_type[type].name;
}

uint64_t ds_block_begin(uint64_t b)
{
    return DS_HEAD_BYTES + b * DS_BLOCK_BYTES;
}

uint64_t ds_block_bytes(const ds_head *head, uint64_t b)
{
    uint64_t left = head->body_bytes - b * DS_BLOCK_BYTES;
    return left < DS_BLOCK_BYTES ? left : DS_BLOCK_BYTES;
}

uint64_t ds_bytes_get(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static unsigned char *format_put(unsigned char *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(value >> (8 * i));
    return p + bytes;
}

ds_status ds_table_create(size_t n_tensors, ds_table **out)
{
    ds_auto(ds_table) self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for a checkpoint's table");
    self->head.n_tensors = n_tensors;
    self->record = calloc(n_tensors + 1, sizeof *self->record);
    self->order = calloc(n_tensors + 1, sizeof *self->order);
    DS_CHECK(self->record != NULL && self->order != NULL, DS_ERR_NOMEM,
             "out of memory for a checkpoint's table of %zu tensors", n_tensors);
    *out = ds_steal(self);
    return DS_OK;
}

void ds_table_destroy(ds_table **table)
{
    ds_table *self = *table;
    *table = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; self->record != NULL && i < self->head.n_tensors; i++)
        free(self->record[i].path);
    free(self->record);
    free(self->order);
    free(self->block);
    free(self);
}

static int format_by_offset(const void *a, const void *b, void *context)
{
    const ds_record *record = context;
    const ds_record *x = &record[*(const size_t *)a], *y = &record[*(const size_t *)b];
    return (x->offset > y->offset) - (x->offset < y->offset);
}

ds_status ds_table_sort(ds_table *self)
{
    size_t n = self->head.n_tensors;
    for (size_t i = 0; i < n; i++)
        self->order[i] = i;
    qsort_r(self->order, n, sizeof *self->order, format_by_offset, self->record);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const ds_record *r = &self->record[self->order[i]];
        if (r->bytes == 0)
            continue;
        DS_CHECK(r->offset >= at, DS_ERR_INTERNAL, "tensor %s overlaps another (a bug)", r->path);
        at = r->offset + r->bytes;
    }
    return DS_OK;
}

static uint64_t format_table_bytes(const ds_table *self)
{
    uint64_t bytes = self->head.n_blocks * 8;
    for (size_t i = 0; i < self->head.n_tensors; i++)
        bytes += FORMAT_RECORD + 8 * self->record[i].shape.n + strlen(self->record[i].path);
    return bytes;
}

static unsigned char *format_put_record(unsigned char *p, const ds_record *r)
{
    size_t path = strlen(r->path);
    p = format_put(p, (uint64_t)r->type, 1);
    p = format_put(p, r->shape.n, 1);
    p = format_put(p, path, 2);
    p = format_put(p, 0, 4);
    p = format_put(p, r->offset, 8);
    p = format_put(p, r->bytes, 8);
    p = format_put(p, r->hash, 8);
    for (size_t d = 0; d < r->shape.n; d++)
        p = format_put(p, r->shape.dim[d], 8);
    memcpy(p, r->path, path);
    return p + path;
}

ds_status ds_table_encode(ds_table *self, unsigned char **bytes)
{
    ds_head *head = &self->head;
    uint64_t n = format_table_bytes(self);
    unsigned char *table = malloc(n + 1);
    DS_CHECK(table != NULL, DS_ERR_NOMEM, "out of memory for a checkpoint's table");
    unsigned char *p = table;
    for (size_t i = 0; i < head->n_tensors; i++)
        p = format_put_record(p, &self->record[i]);
    for (size_t b = 0; b < head->n_blocks; b++)
        p = format_put(p, self->block[b], 8);
    bool inside = n <= DS_HEAD_HASH - DS_HEAD_TABLE;
    head->table_offset = inside ? DS_HEAD_TABLE : DS_HEAD_BYTES + head->body_bytes;
    head->table_bytes = n;
    head->table_hash = ds_hash_of(table, n);
    head->file_bytes = DS_HEAD_BYTES + head->body_bytes + (inside ? 0 : n);
    *bytes = table;
    return DS_OK;
}

void ds_head_encode(const ds_table *self, const unsigned char *table,
                    unsigned char out[DS_HEAD_BYTES])
{
    const ds_head *h = &self->head;
    memset(out, 0, DS_HEAD_BYTES);
    memcpy(out, DS_MAGIC, sizeof DS_MAGIC);
    unsigned char *p = format_put(out + 8, DS_FORMAT_VERSION, 4);
    p = format_put(p, DS_HEAD_BYTES, 4);
    const uint64_t field[] = {h->file_bytes, DS_BLOCK_BYTES,    h->body_bytes,   h->n_blocks,
                              h->n_tensors,  (uint64_t)h->step, h->table_offset, h->table_bytes,
                              h->table_hash, h->structure_hash};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        p = format_put(p, field[i], 8);
    if (h->table_offset == DS_HEAD_TABLE)
        memcpy(p, table, h->table_bytes);
    format_put(out + DS_HEAD_HASH, ds_hash_of(out, DS_HEAD_HASH), 8);
}

ds_head ds_head_get(const unsigned char *in)
{
    return (ds_head){.file_bytes = ds_bytes_get(in + 16, 8),
                     .body_bytes = ds_bytes_get(in + 32, 8),
                     .n_blocks = ds_bytes_get(in + 40, 8),
                     .n_tensors = ds_bytes_get(in + 48, 8),
                     .step = (int64_t)ds_bytes_get(in + 56, 8),
                     .table_offset = ds_bytes_get(in + 64, 8),
                     .table_bytes = ds_bytes_get(in + 72, 8),
                     .table_hash = ds_bytes_get(in + 80, 8),
                     .structure_hash = ds_bytes_get(in + 88, 8)};
}

/* Each size is bounded by one already known to be true. */
bool ds_head_fits(const ds_head *h, uint64_t bytes)
{
    bool inside = h->table_offset == DS_HEAD_TABLE;
    return bytes >= DS_HEAD_BYTES && h->body_bytes <= bytes - DS_HEAD_BYTES &&
           h->n_blocks == (h->body_bytes + DS_BLOCK_BYTES - 1) / DS_BLOCK_BYTES &&
           h->table_bytes <= (inside ? (uint64_t)(DS_HEAD_HASH - DS_HEAD_TABLE) : bytes) &&
           h->n_blocks <= h->table_bytes / 8 && h->n_tensors <= h->table_bytes / FORMAT_RECORD &&
           (inside || h->table_offset == DS_HEAD_BYTES + h->body_bytes) &&
           bytes == DS_HEAD_BYTES + h->body_bytes + (inside ? 0 : h->table_bytes);
}

static ds_status format_check_head(const unsigned char *in, const char *path, uint64_t bytes,
                                   ds_head *h)
{
    DS_CHECK(
        memcmp(in, DS_MAGIC, sizeof DS_MAGIC) == 0, DS_ERR_CHECKPOINT,
        "%s: not a descent checkpoint, or its writing was never finished: no mark in bytes 0-7",
        path);
    uint64_t version = ds_bytes_get(in + 8, 4);
    *h = ds_head_get(in);
    DS_CHECK(h->file_bytes == bytes, DS_ERR_CHECKPOINT,
             "%s: damaged: has %llu bytes, its header says %llu%s", path, (unsigned long long)bytes,
             (unsigned long long)h->file_bytes,
             bytes < h->file_bytes ? " (cut off, or the header is damaged)" : "");
    DS_CHECK(ds_bytes_get(in + DS_HEAD_HASH, 8) == ds_hash_of(in, DS_HEAD_HASH), DS_ERR_CHECKPOINT,
             "%s: damaged: the header (bytes 0-4095) does not match its hash", path);
    DS_CHECK(version == DS_FORMAT_VERSION && ds_bytes_get(in + 12, 4) == DS_HEAD_BYTES &&
                 ds_bytes_get(in + 24, 8) == DS_BLOCK_BYTES,
             DS_ERR_CHECKPOINT, "%s: format version %llu, this program reads %d: use a newer one",
             path, (unsigned long long)version, DS_FORMAT_VERSION);
    DS_CHECK(ds_head_fits(h, bytes), DS_ERR_CHECKPOINT,
             "%s: damaged: the header's sizes contradict each other", path);
    return DS_OK;
}

/* One record from [*p, end); the shape's product is computed without overflow. */
ds_status ds_record_get(const unsigned char **p, const unsigned char *end, const ds_head *head,
                        ds_record *r)
{
    const unsigned char *q = *p;
    DS_ASSERT((size_t)(end - q) >= FORMAT_RECORD);
    uint64_t type = q[0], n_dims = q[1], n_path = ds_bytes_get(q + 2, 2);
    DS_ASSERT(type <= DS_U8 && n_dims <= DS_MAX_DIMS && n_path > 0 && n_path <= FORMAT_PATH);
    r->type = (ds_dtype)type;
    r->shape.n = n_dims;
    r->offset = ds_bytes_get(q + 8, 8);
    r->bytes = ds_bytes_get(q + 16, 8);
    r->hash = ds_bytes_get(q + 24, 8);
    q += FORMAT_RECORD;
    DS_ASSERT((size_t)(end - q) >= 8 * n_dims + n_path);
    uint64_t product = ds_dtype_bytes(r->type);
    for (size_t d = 0; d < n_dims; d++, q += 8) {
        r->shape.dim[d] = ds_bytes_get(q, 8);
        DS_ASSERT(!__builtin_mul_overflow(product, r->shape.dim[d], &product));
    }
    uint64_t body_end = DS_HEAD_BYTES + head->body_bytes;
    DS_ASSERT(product == r->bytes && r->offset <= body_end && r->bytes <= body_end - r->offset &&
              (r->bytes == 0 || r->offset >= DS_HEAD_BYTES) && *q == '/' &&
              memchr(q, '\0', n_path) == NULL);
    r->path = strndup((const char *)q, n_path);
    DS_CHECK(r->path != NULL, DS_ERR_NOMEM, "out of memory for a checkpoint's table");
    *p = q + n_path;
    return DS_OK;
}

ds_status ds_blocks_get(const unsigned char *bytes, ds_table *self)
{
    const ds_head *head = &self->head;
    const unsigned char *from = bytes + head->table_bytes - head->n_blocks * 8;
    self->block = calloc(head->n_blocks + 1, sizeof *self->block);
    DS_CHECK(self->block != NULL, DS_ERR_NOMEM, "out of memory for a checkpoint's table");
    for (size_t b = 0; b < head->n_blocks; b++)
        self->block[b] = ds_bytes_get(from + 8 * b, 8);
    return DS_OK;
}

static ds_status format_get_table(const unsigned char *bytes, ds_table *self)
{
    ds_head *head = &self->head;
    const unsigned char *p = bytes, *end = bytes + head->table_bytes - head->n_blocks * 8;
    for (size_t i = 0; i < head->n_tensors; i++)
        DS_TRY(ds_record_get(&p, end, head, &self->record[i]));
    DS_ASSERT(p == end);
    DS_TRY(ds_blocks_get(bytes, self));
    return ds_table_sort(self);
}

/* The table of a header already read, which holds a small one itself. */
ds_status ds_table_of(int fd, const char *path, const unsigned char *in, const ds_head *head,
                      unsigned char **out)
{
    unsigned char *table = malloc(head->table_bytes + 1);
    DS_CHECK(table != NULL, DS_ERR_NOMEM, "%s: out of memory for a table of %llu bytes", path,
             (unsigned long long)head->table_bytes);
    ds_status st = DS_OK;
    if (head->table_offset == DS_HEAD_TABLE)
        memcpy(table, in + DS_HEAD_TABLE, head->table_bytes);
    else
        st = ds_file_read(fd, path, table, head->table_bytes, head->table_offset);
    if (st == DS_OK)
        *out = table;
    else
        free(table);
    return st;
}

ds_status ds_table_decode(int fd, const char *path, uint64_t bytes, const unsigned char *in,
                          ds_table **out)
{
    ds_head head;
    unsigned char *table = NULL;
    DS_TRY(format_check_head(in, path, bytes, &head));
    DS_TRY(ds_table_of(fd, path, in, &head, &table));
    ds_status st = DS_OK;
    if (ds_hash_of(table, head.table_bytes) != head.table_hash)
        st = DS_FAIL(DS_ERR_CHECKPOINT,
                     "%s: damaged: the table (bytes %llu-%llu) does not match its "
                     "hash",
                     path, (unsigned long long)head.table_offset,
                     (unsigned long long)(head.table_offset + head.table_bytes - 1));
    ds_auto(ds_table) self = NULL;
    if (st == DS_OK)
        st = ds_table_create(head.n_tensors, &self);
    if (st == DS_OK) {
        self->head = head;
        st = format_get_table(table, self);
        if (st == DS_ERR_INTERNAL)
            st = DS_FAIL(DS_ERR_CHECKPOINT, "%s: damaged: the table contradicts itself", path);
    }
    free(table);
    DS_TRY(st);
    *out = ds_steal(self);
    return DS_OK;
}

ds_status ds_table_read(int fd, const char *path, uint64_t bytes, ds_table **out)
{
    unsigned char in[DS_HEAD_BYTES];
    DS_CHECK(bytes >= DS_HEAD_BYTES, DS_ERR_CHECKPOINT,
             "%s: has %llu bytes, a checkpoint's header alone has %d: cut off, or no checkpoint",
             path, (unsigned long long)bytes, DS_HEAD_BYTES);
    DS_TRY(ds_file_read(fd, path, in, sizeof in, 0));
    return ds_table_decode(fd, path, bytes, in, out);
}

bool ds_head_is_newer(int fd, uint64_t bytes)
{
    unsigned char in[DS_HEAD_BYTES];
    return bytes >= DS_HEAD_BYTES && ds_file_read(fd, "", in, sizeof in, 0) == DS_OK &&
           memcmp(in, DS_MAGIC, sizeof DS_MAGIC) == 0 &&
           ds_bytes_get(in + DS_HEAD_HASH, 8) == ds_hash_of(in, DS_HEAD_HASH) &&
           ds_bytes_get(in + 8, 4) > DS_FORMAT_VERSION;
}
