/* What a damaged header or table still tells. One wrong byte of the header (with a small table in
 * it) is found by its hash: a million hashes of 4 KiB, a fifth of a second. Of other damage,
 * records are read until one contradicts itself. Nothing is believed by that: each tensor has a
 * hash of its own over its bytes in the file. */
#include "salvage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/hash.h"

#include "fileio.h"

/* The position of the one byte that is wrong in the header, mended in `in`; -1: none, or more. */
static int salvage_mend(unsigned char *in)
{
    uint64_t want = ds_bytes_get(in + DS_HEAD_HASH, 8), have = ds_hash_of(in, DS_HEAD_HASH);
    if (want == have)
        return -1;
    for (int i = 0; i < 8; i++)
        if (((want ^ have) & ~((uint64_t)0xff << (8 * i))) == 0) {
            in[DS_HEAD_HASH + i] = (unsigned char)(have >> (8 * i));
            return DS_HEAD_HASH + i;
        }
    for (int i = 0; i < DS_HEAD_HASH; i++) {
        for (int k = 1; k < 256; k++) {
            in[i] = (unsigned char)(in[i] ^ k);
            if (ds_hash_of(in, DS_HEAD_HASH) == want)
                return i;
            in[i] = (unsigned char)(in[i] ^ k);
        }
    }
    return -1;
}

/* Is it one of ours, by its first bytes: at most one of the mark is wrong. */
static bool salvage_is_ours(const unsigned char *in)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof DS_MAGIC; i++)
        wrong += in[i] != (unsigned char)DS_MAGIC[i];
    return wrong <= 1;
}

static bool salvage_apart(const ds_table *self, size_t n, const ds_record *r)
{
    for (size_t i = 0; i < n && r->bytes > 0; i++) {
        const ds_record *o = &self->record[i];
        if (o->bytes > 0 && r->offset < o->offset + o->bytes && o->offset < r->offset + r->bytes)
            return false;
    }
    return true;
}

/* Records up to the first that contradicts itself or overlaps one before it; odd bytes of names go,
 * as they would harm a terminal. */
static ds_status salvage_records(const unsigned char *bytes, ds_table *self)
{
    ds_head *head = &self->head;
    const unsigned char *p = bytes, *end = bytes + head->table_bytes - head->n_blocks * 8;
    size_t n = 0;
    while (n < head->n_tensors && end - p >= DS_RECORD_BYTES) {
        ds_record r = {0};
        ds_status st = ds_record_get(&p, end, head, &r);
        if (st == DS_ERR_NOMEM)
            return st;
        if (st != DS_OK || !salvage_apart(self, n, &r)) {
            free(r.path);
            break;
        }
        for (char *c = r.path; *c != '\0'; c++)
            *c = (unsigned char)(*c - ' ') < 95 ? *c : '?';
        self->record[n++] = r;
    }
    head->n_tensors = n;
    DS_TRY(ds_blocks_get(bytes, self));
    return ds_table_sort(self);
}

static ds_status salvage_table(int fd, const char *path, uint64_t bytes, const unsigned char *in,
                               ds_table **out)
{
    ds_head head = ds_head_get(in);
    size_t n_all = head.n_tensors;
    bool inside = head.table_offset == DS_HEAD_TABLE;
    bool lost =
        !inside && (head.table_offset > bytes || head.table_bytes > bytes - head.table_offset);
    if (lost) {
        head.n_tensors = head.n_blocks = 0;
        head.table_bytes = 0;
        head.table_offset = DS_HEAD_TABLE;
    }
    unsigned char *table = NULL;
    ds_auto(ds_table) self = NULL;
    DS_TRY(ds_table_create(head.n_tensors, &self));
    DS_TRY(ds_table_of(fd, path, in, &head, &table));
    self->head = head;
    ds_status st = salvage_records(table, self);
    free(table);
    DS_TRY(st);
    self->n_lost = n_all - self->head.n_tensors;
    *out = ds_steal(self);
    return DS_OK;
}

ds_status ds_table_salvage(int fd, const char *path, uint64_t bytes, ds_table **out)
{
    unsigned char in[DS_HEAD_BYTES];
    char damage[512];
    ds_status st = ds_table_read(fd, path, bytes, out);
    if (st != DS_ERR_CHECKPOINT || bytes < DS_HEAD_BYTES || ds_head_is_newer(fd, bytes))
        return st;
    snprintf(damage, sizeof damage, "%s", ds_last_error());
    DS_TRY(ds_file_read(fd, path, in, sizeof in, 0));
    int byte = salvage_is_ours(in) ? salvage_mend(in) : -1;
    if (byte >= 0)
        snprintf(damage, sizeof damage, "%s: damaged: byte %d of the header is wrong", path, byte);
    ds_head head = ds_head_get(in);
    if (!salvage_is_ours(in) ||
        !(ds_head_fits(&head, bytes) || ds_head_fits(&head, head.file_bytes)))
        return DS_FAIL(DS_ERR_CHECKPOINT, "%s", damage);
    if (ds_table_decode(fd, path, bytes, in, out) != DS_OK)
        DS_TRY(salvage_table(fd, path, bytes, in, out));
    memcpy((*out)->damage, damage, sizeof damage);
    return DS_OK;
}
