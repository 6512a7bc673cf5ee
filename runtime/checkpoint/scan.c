/* The pass that verifies. Blocks come in order; tensors, sorted by offset, are hashed as their
 * bytes go by, and what lies between them belongs to the structure. 1 MiB of memory, each byte read
 * once and hashed twice (about 20 GB/s each, far above any disk). */
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "descent/hash.h"

#include "fileio.h"

typedef struct scan_walk {
    const ds_table *table;
    size_t next;     /* in table->order */
    ds_hash *tensor; /* of the tensor under way */
    ds_hash *structure;
    ds_scan *out;
} scan_walk;

static const ds_record *scan_current(scan_walk *self)
{
    const ds_table *t = self->table;
    while (self->next < t->head.n_tensors && t->record[t->order[self->next]].bytes == 0)
        self->next++;
    return self->next < t->head.n_tensors ? &t->record[t->order[self->next]] : NULL;
}

static ds_status scan_tensor(scan_walk *self, const ds_record *r, const unsigned char *p, size_t n,
                             uint64_t at)
{
    if (self->tensor == NULL)
        DS_TRY(ds_hash_create(&self->tensor));
    ds_hash_add(self->tensor, p, n);
    if (at + n < r->offset + r->bytes)
        return DS_OK;
    self->out->good[self->table->order[self->next]] = ds_hash_value(self->tensor) == r->hash;
    ds_hash_destroy(&self->tensor);
    self->next++;
    return DS_OK;
}

/* The n bytes at `p` lie at `at` in the file. */
static ds_status scan_bytes(scan_walk *self, const unsigned char *p, size_t n, uint64_t at)
{
    while (n > 0) {
        const ds_record *r = scan_current(self);
        bool inside = r != NULL && r->offset <= at;
        uint64_t end = r == NULL ? UINT64_MAX : inside ? r->offset + r->bytes : r->offset;
        size_t some = end - at < n ? (size_t)(end - at) : n;
        if (inside)
            DS_TRY(scan_tensor(self, r, p, some, at));
        else
            ds_hash_add(self->structure, p, some);
        p += some;
        n -= some;
        at += some;
    }
    return DS_OK;
}

/* Cut off within block b: what is left of it may end a tensor. */
static ds_status scan_rest(scan_walk *self, int fd, const char *path, uint64_t b, uint64_t end,
                           unsigned char *buffer)
{
    uint64_t begin = ds_block_begin(b);
    size_t n = end > begin ? (size_t)(end - begin) : 0;
    if (self->out->bad_blocks == 0)
        self->out->first_bad = b;
    self->out->bad_blocks += self->table->head.n_blocks - b;
    DS_TRY(ds_file_read(fd, path, buffer, n, begin));
    return scan_bytes(self, buffer, n, begin);
}

static ds_status scan_blocks(scan_walk *self, int fd, const char *path, unsigned char *buffer)
{
    const ds_table *t = self->table;
    struct stat st;
    DS_CHECK(fstat(fd, &st) == 0, DS_ERR_CHECKPOINT, "%s: %s", path, strerror(errno));
    for (uint64_t b = 0; b < t->head.n_blocks; b++) {
        size_t n = (size_t)ds_block_bytes(&t->head, b);
        if (ds_block_begin(b) + n > (uint64_t)st.st_size)
            return scan_rest(self, fd, path, b, (uint64_t)st.st_size, buffer);
        DS_TRY(ds_file_read(fd, path, buffer, n, ds_block_begin(b)));
        if (ds_hash_of(buffer, n) != t->block[b] && self->out->bad_blocks++ == 0)
            self->out->first_bad = b;
        DS_TRY(scan_bytes(self, buffer, n, ds_block_begin(b)));
    }
    self->out->structure_good = ds_hash_value(self->structure) == t->head.structure_hash;
    return DS_OK;
}

static void scan_judge(scan_walk *self)
{
    const ds_table *t = self->table;
    ds_scan *out = self->out;
    out->all_good = out->structure_good && out->bad_blocks == 0 && t->damage[0] == '\0';
    for (size_t i = 0; i < t->head.n_tensors; i++) {
        if (t->record[i].bytes == 0)
            out->good[i] = true;
        out->all_good = out->all_good && out->good[i];
    }
}

ds_status ds_scan_run(int fd, const char *path, const ds_table *table, ds_scan *out)
{
    *out = (ds_scan){.good = calloc(table->head.n_tensors + 1, sizeof(bool))};
    unsigned char *buffer = malloc(DS_BLOCK_BYTES);
    scan_walk walk = {.table = table, .out = out};
    ds_status st = DS_OK;
    if (out->good == NULL || buffer == NULL)
        st = DS_FAIL(DS_ERR_NOMEM, "%s: out of memory for verifying", path);
    if (st == DS_OK)
        st = ds_hash_create(&walk.structure);
    if (st == DS_OK)
        st = scan_blocks(&walk, fd, path, buffer);
    if (st == DS_OK)
        scan_judge(&walk);
    else
        ds_scan_clear(out);
    free(buffer);
    ds_hash_destroy(&walk.tensor);
    ds_hash_destroy(&walk.structure);
    return st;
}

void ds_scan_clear(ds_scan *scan)
{
    free(scan->good);
    scan->good = NULL;
}

ds_status ds_scan_verdict(const ds_scan *self, const char *path, const ds_table *table)
{
    if (self->all_good)
        return DS_OK;
    const char *first = self->structure_good ? NULL : "HDF5's own structure";
    size_t n_bad = 0;
    for (size_t i = 0; i < table->head.n_tensors; i++) {
        if (self->good[i])
            continue;
        n_bad++;
        if (first == NULL)
            first = table->record[i].path;
    }
    if (table->damage[0] != '\0') {
        size_t n = (size_t)table->head.n_tensors;
        return DS_FAIL(DS_ERR_CHECKPOINT, "%s; %zu of %zu tensors are whole", table->damage,
                       n - n_bad, n + table->n_lost);
    }
    uint64_t begin = ds_block_begin(self->first_bad);
    return DS_FAIL(DS_ERR_CHECKPOINT,
                   "%s: damaged: %llu of %llu blocks, the first is bytes %llu-%llu; hits %s%s "
                   "(%zu of %llu tensors)",
                   path, (unsigned long long)self->bad_blocks,
                   (unsigned long long)table->head.n_blocks, (unsigned long long)begin,
                   (unsigned long long)(begin + ds_block_bytes(&table->head, self->first_bad) - 1),
                   first == NULL ? "nothing known" : first,
                   n_bad + !self->structure_good > 1 ? " and more" : "", n_bad,
                   (unsigned long long)table->head.n_tensors);
}

typedef struct scan_copy {
    int from, to;
    const char *path;
    ds_hash *hash;
} scan_copy;

static ds_status scan_gap(const scan_copy *self, uint64_t at, uint64_t end)
{
    unsigned char piece[DS_HEAD_BYTES];
    while (at < end) {
        size_t n = end - at < sizeof piece ? (size_t)(end - at) : sizeof piece;
        DS_TRY(ds_file_read(self->from, "a checkpoint's structure", piece, n, at));
        ds_hash_add(self->hash, piece, n);
        DS_TRY(ds_file_write(self->to, self->path, piece, n, at));
        at += n;
    }
    return DS_OK;
}

ds_status ds_structure_copy(int from, int to, const char *path, ds_table *table)
{
    ds_auto(ds_hash) hash = NULL;
    DS_TRY(ds_hash_create(&hash));
    scan_copy copy = {from, to, path, hash};
    uint64_t at = DS_HEAD_BYTES;
    for (size_t i = 0; i < table->head.n_tensors; i++) {
        const ds_record *r = &table->record[table->order[i]];
        if (r->bytes == 0)
            continue;
        DS_TRY(scan_gap(&copy, at, r->offset));
        at = r->offset + r->bytes;
    }
    DS_TRY(scan_gap(&copy, at, DS_HEAD_BYTES + table->head.body_bytes));
    table->head.structure_hash = ds_hash_value(hash);
    return DS_OK;
}
