/* Writing a checkpoint. Rank 0 has libhdf5 lay out the file; then the body is cut into 1 MiB
 * blocks, each rank owns a contiguous range of them, writes the tensors' bytes that fall into it
 * and hashes what is then there. A block thus has one writer besides the structure, which was
 * complete before any other rank opened the file. The result does not depend on the number of
 * ranks. Measured against collective parallel HDF5: see README.md. Each rank moves 1/ranks of the
 * bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descent/hash.h"
#include "descent/watch.h"

#include "fileio.h"
#include "format_v1.h"
#include "h5file.h"
#include "retention.h"
#include "scan.h"

typedef struct writer {
    ds_world *world;
    const ds_snapshot *snapshot;
    char folder[DS_PATH_ROOM], final[DS_PATH_ROOM], temporary[DS_PATH_ROOM];
    int fd;     /* of the temporary file, -1 when closed */
    int layout; /* rank 0: the structure in memory, else -1 */
    ds_table *table;
    unsigned char *buffer;       /* a block, or the largest staged tensor */
    uint64_t block_lo, block_hi; /* this rank's blocks */
    uint64_t *block_hash;        /* (block_hi - block_lo) */
    bool *block_known;           /* likewise: hashed as it was written */
} writer;

static size_t writer_entry_bytes(const ds_entry *entry)
{
    return ds_shape_elements(&entry->shape) * ds_dtype_bytes(entry->type);
}

/* No less than the file will need, with its tensors or without, so that it is refused before
 * anything is written. */
static uint64_t writer_bytes(const ds_snapshot *s, bool tensors)
{
    uint64_t bytes = 65536;
    for (size_t i = 0; i < s->n_entries; i++)
        bytes +=
            (tensors ? writer_entry_bytes(&s->entry[i]) : 0) + 1024 + 2 * strlen(s->entry[i].path);
    for (size_t i = 0; i < s->n_attrs; i++)
        bytes += 256 + (s->attr[i].kind == DS_ATTR_TEXT && s->attr[i].text != NULL
                            ? 2 * strlen(s->attr[i].text)
                            : 0);
    return bytes + bytes / DS_BLOCK_BYTES * 8;
}

static ds_status writer_open(writer *self, int flags)
{
    self->fd = open(self->temporary, O_RDWR | O_CLOEXEC | flags, 0666);
    DS_CHECK(self->fd >= 0, DS_ERR_WRITE,
             "%s: cannot be opened for writing: %s (all ranks must see the same directory)",
             self->temporary, strerror(errno));
    return DS_OK;
}

static void writer_close(writer *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
}

/* A file that is about to lose its name, in memory where the system has such. What a killed run
 * left goes first: the name is the folder's. */
static ds_status writer_scratch(writer *self, char path[DS_PATH_ROOM])
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
    DS_TRY(ds_path_print(path, "/dev/shm/descent-%016llx",
                         (unsigned long long)ds_hash_of(self->folder, strlen(self->folder))));
    unlink(path);
    self->layout = open(path, flags, 0600);
    if (self->layout < 0) {
        DS_TRY(ds_path_print(path, "%s/.layout.tmp", self->folder));
        unlink(path);
        self->layout = open(path, flags, 0600);
    }
    DS_CHECK(self->layout >= 0, DS_ERR_WRITE, "%s: cannot be made: %s", path, strerror(errno));
    return ds_file_check(self->layout, path, writer_bytes(self->snapshot, false));
}

/* Rank 0: libhdf5 lays the file out in memory, where the tensors' bytes are a hole that costs
 * nothing. It does not survive a full disk (it crashes at exit), so it never writes to one. */
static ds_status writer_lay_out(writer *self, uint64_t *offset, uint64_t *end)
{
    char path[DS_PATH_ROOM];
    struct stat st;
    DS_TRY(ds_dir_make(self->folder));
    DS_TRY(writer_open(self, O_CREAT | O_TRUNC));
    ds_status made = ds_file_check(self->fd, self->temporary, writer_bytes(self->snapshot, true));
    writer_close(self);
    DS_TRY(made);
    made = writer_scratch(self, path);
    if (made == DS_OK)
        made = ds_h5_create(path, self->snapshot, offset);
    if (self->layout >= 0)
        unlink(path);
    DS_TRY(made);
    DS_CHECK(fstat(self->layout, &st) == 0, DS_ERR_INTERNAL, "%s: %s", path, strerror(errno));
    *end = (uint64_t)st.st_size;
    return DS_OK;
}

static ds_status writer_fill_table(writer *self, const uint64_t *offset, uint64_t end)
{
    const ds_snapshot *s = self->snapshot;
    ds_table *table = self->table;
    table->head.step = s->step;
    table->head.body_bytes = end - DS_HEAD_BYTES;
    table->head.n_blocks = (table->head.body_bytes + DS_BLOCK_BYTES - 1) / DS_BLOCK_BYTES;
    for (size_t i = 0; i < s->n_entries; i++) {
        ds_record *r = &table->record[i];
        r->path = strdup(s->entry[i].path);
        DS_CHECK(r->path != NULL, DS_ERR_NOMEM, "out of memory for a checkpoint's table");
        r->type = s->entry[i].type;
        r->shape = s->entry[i].shape;
        r->offset = offset[i];
        r->bytes = writer_entry_bytes(&s->entry[i]);
        DS_ASSERT(r->offset + r->bytes <= end);
    }
    uint64_t ranks = (uint64_t)ds_world_size(self->world),
             rank = (uint64_t)ds_world_rank(self->world);
    uint64_t each = (table->head.n_blocks + ranks - 1) / ranks;
    self->block_lo = rank * each < table->head.n_blocks ? rank * each : table->head.n_blocks;
    self->block_hi = self->block_lo + each;
    if (self->block_hi > table->head.n_blocks)
        self->block_hi = table->head.n_blocks;
    /* Gathered in equal shares: room for the last ranks' empty ones too. */
    table->block = calloc(each * ranks + 1, sizeof *table->block);
    self->block_hash = calloc(each + 1, sizeof *self->block_hash);
    self->block_known = calloc(each + 1, sizeof *self->block_known);
    DS_CHECK(table->block != NULL && self->block_hash != NULL && self->block_known != NULL,
             DS_ERR_NOMEM, "out of memory for a checkpoint's table");
    return ds_table_sort(table);
}

static ds_status writer_buffer(writer *self)
{
    size_t bytes = DS_BLOCK_BYTES;
    for (size_t i = 0; i < self->snapshot->n_entries; i++) {
        const ds_entry *entry = &self->snapshot->entry[i];
        if (entry->stage != NULL && writer_entry_bytes(entry) > bytes)
            bytes = writer_entry_bytes(entry);
    }
    self->buffer = malloc(bytes);
    DS_CHECK(self->buffer != NULL, DS_ERR_NOMEM,
             "out of memory: %zu bytes to stage a checkpoint's largest tensor", bytes);
    return DS_OK;
}

static ds_status writer_prepare(writer *self, const uint64_t *offset, uint64_t end)
{
    DS_TRY(writer_fill_table(self, offset, end));
    DS_TRY(writer_buffer(self));
    if (ds_world_rank(self->world) > 0)
        return DS_OK;
    DS_TRY(writer_open(self, 0));
    DS_TRY(ds_file_reserve(self->fd, self->temporary, end));
    ds_status copied = ds_structure_copy(self->layout, self->fd, self->temporary, self->table);
    writer_close(self); /* network file systems show it to others now */
    return copied;
}

/* Collective. Structure made by rank 0, known to all, file open on all. */
static ds_status writer_begin(writer *self)
{
    size_t n = self->snapshot->n_entries;
    uint64_t *offset = calloc(n + 2, sizeof *offset);
    ds_status st = offset == NULL ? DS_FAIL(DS_ERR_NOMEM, "out of memory for a checkpoint's table")
                                  : ds_table_create(n, &self->table);
    st = ds_agree(self->world, st);
    if (st == DS_OK) {
        if (ds_world_rank(self->world) == 0)
            st = writer_lay_out(self, offset, &offset[n]);
        st = ds_agree(self->world, st);
    }
    if (st == DS_OK)
        st = ds_world_broadcast(self->world, offset, (n + 1) * sizeof *offset, 0);
    if (st == DS_OK)
        st = ds_agree(self->world, writer_prepare(self, offset, offset[n]));
    if (st == DS_OK)
        st = ds_agree(self->world, writer_open(self, 0));
    free(offset);
    return st;
}

/* Blocks that lie in [begin, end) of the file, the bytes at `begin`: hashed while they are at hand.
 */
static void writer_hash_inner(writer *self, uint64_t begin, uint64_t end,
                              const unsigned char *bytes)
{
    uint64_t b = (begin - DS_HEAD_BYTES + DS_BLOCK_BYTES - 1) / DS_BLOCK_BYTES;
    for (; b < self->block_hi && ds_block_begin(b) + DS_BLOCK_BYTES <= end; b++) {
        self->block_hash[b - self->block_lo] =
            ds_hash_of(bytes + (ds_block_begin(b) - begin), DS_BLOCK_BYTES);
        self->block_known[b - self->block_lo] = true;
    }
}

/* The part of tensor i that falls into this rank's blocks. */
static ds_status writer_put(writer *self, size_t i, const unsigned char *bytes)
{
    const ds_record *r = &self->table->record[i];
    uint64_t lo = ds_block_begin(self->block_lo), hi = ds_block_begin(self->block_hi);
    uint64_t begin = r->offset > lo ? r->offset : lo;
    uint64_t end = r->offset + r->bytes < hi ? r->offset + r->bytes : hi;
    if (begin >= end)
        return DS_OK;
    writer_hash_inner(self, begin, end, bytes + (begin - r->offset));
    return ds_file_write(self->fd, self->temporary, bytes + (begin - r->offset),
                         (size_t)(end - begin), begin);
}

/* Collective. Tensor by tensor; a staged one is agreed upon, so that no rank waits in stage() for
 * one whose disk is full. */
static ds_status writer_tensors(writer *self)
{
    const ds_snapshot *s = self->snapshot;
    size_t ranks = (size_t)ds_world_size(self->world), rank = (size_t)ds_world_rank(self->world);
    ds_status st = DS_OK;
    for (size_t i = 0; i < s->n_entries; i++) {
        const ds_entry *entry = &s->entry[i];
        const void *bytes = entry->data;
        if (entry->stage != NULL) {
            st = ds_agree(self->world, st);
            if (st != DS_OK)
                return st;
            st = entry->stage(entry->context, entry->which, self->buffer);
            bytes = self->buffer;
        }
        if (st != DS_OK)
            continue;
        if (i % ranks == rank)
            self->table->record[i].hash = ds_hash_of(bytes, self->table->record[i].bytes);
        st = writer_put(self, i, bytes);
    }
    return ds_agree(self->world, st);
}

/* Blocks of several tensors, or with structure between them, are read back. */
static ds_status writer_hash_blocks(writer *self)
{
    for (uint64_t b = self->block_lo; b < self->block_hi; b++) {
        if (self->block_known[b - self->block_lo])
            continue;
        ds_watch_beat(self->world);
        size_t n = (size_t)ds_block_bytes(&self->table->head, b);
        DS_TRY(ds_file_read(self->fd, self->temporary, self->buffer, n, ds_block_begin(b)));
        self->block_hash[b - self->block_lo] = ds_hash_of(self->buffer, n);
    }
    return ds_file_sync(self->fd, self->temporary);
}

/* Collective. All hashes to all ranks: blocks in order; tensor t from rank t mod ranks. */
static ds_status writer_gather(writer *self)
{
    ds_table *table = self->table;
    size_t ranks = (size_t)ds_world_size(self->world), rank = (size_t)ds_world_rank(self->world);
    size_t n = (size_t)table->head.n_tensors, each = (n + ranks - 1) / ranks;
    size_t blocks = (size_t)(table->head.n_blocks + ranks - 1) / ranks;
    uint64_t *mine = calloc(each + 1, sizeof *mine);
    uint64_t *all = calloc((each + 1) * ranks, sizeof *all);
    ds_status st = mine == NULL || all == NULL ? DS_FAIL(DS_ERR_NOMEM, "out of memory for hashes")
                                               : writer_hash_blocks(self);
    st = ds_agree(self->world, st);
    if (st == DS_OK)
        st =
            ds_world_gather_all(self->world, self->block_hash, blocks * sizeof *mine, table->block);
    if (st == DS_OK) {
        for (size_t t = rank, k = 0; t < n; t += ranks)
            mine[k++] = table->record[t].hash;
        st = ds_world_gather_all(self->world, mine, each * sizeof *mine, all);
    }
    for (size_t t = 0; st == DS_OK && t < n; t++)
        table->record[t].hash = all[t % ranks * each + t / ranks];
    free(mine);
    free(all);
    return st;
}

/* Rank 0: the header makes the file true; the rename makes it the newest. */
static ds_status writer_commit(writer *self, const char *dir)
{
    unsigned char head[DS_HEAD_BYTES];
    unsigned char *table = NULL;
    DS_TRY(ds_table_encode(self->table, &table));
    const ds_head *h = &self->table->head;
    ds_head_encode(self->table, table, head);
    ds_status st = DS_OK;
    if (h->table_offset != DS_HEAD_TABLE) {
        st = ds_file_reserve(self->fd, self->temporary, h->file_bytes);
        if (st == DS_OK)
            st = ds_file_write(self->fd, self->temporary, table, h->table_bytes, h->table_offset);
        if (st == DS_OK)
            st = ds_file_sync(self->fd, self->temporary);
    }
    free(table);
    DS_TRY(st);
    ds_watch_beat(self->world);
    DS_TRY(ds_file_write(self->fd, self->temporary, head, sizeof head, 0));
    DS_TRY(ds_file_sync(self->fd, self->temporary));
    writer_close(self);
    ds_watch_beat(self->world); /* a slow disk is no standstill */
    DS_CHECK(rename(self->temporary, self->final) == 0, DS_ERR_WRITE, "%s: cannot be renamed: %s",
             self->temporary, strerror(errno));
    if (self->snapshot->stands != NULL)
        self->snapshot->stands(self->snapshot->context, self->snapshot->step);
    DS_TRY(ds_dir_sync(self->folder));
    ds_watch_beat(self->world);
    return ds_link_step(dir, "latest", self->snapshot->step);
}

static ds_status writer_run(writer *self, const char *dir)
{
    DS_TRY(writer_begin(self));
    DS_TRY(writer_tensors(self));
    DS_TRY(writer_gather(self));
    ds_status st = DS_OK;
    if (ds_world_rank(self->world) == 0)
        st = writer_commit(self, dir);
    return ds_agree(self->world, st);
}

static ds_status writer_names(writer *self, const char *dir, size_t room)
{
    DS_CHECK(self->snapshot->step >= 0, DS_ERR_INTERNAL, "checkpoint of step %lld (a bug)",
             (long long)self->snapshot->step);
    DS_TRY(ds_path_print(self->folder, "%s/checkpoints", dir));
    DS_TRY(ds_step_path(dir, self->snapshot->step, self->final));
    DS_TRY(ds_path_print(self->temporary, "%s.tmp", self->final));
    DS_CHECK(room == 0 || strlen(self->final) < room, DS_ERR_USAGE,
             "%s: path too long, at most %zu characters", self->final, room);
    return DS_OK;
}

ds_status ds_checkpoint_write(ds_world *world, const char *dir, const ds_snapshot *snapshot,
                              size_t room, char *path)
{
    writer self = {.world = world, .snapshot = snapshot, .fd = -1, .layout = -1};
    ds_status st = ds_agree(world, writer_names(&self, dir, path == NULL ? 0 : room));
    if (st == DS_OK) {
        st = writer_run(&self, dir);
        writer_close(&self);
        if (st != DS_OK && ds_world_rank(world) == 0)
            unlink(self.temporary);
    }
    if (self.layout >= 0)
        close(self.layout);
    ds_table_destroy(&self.table);
    free(self.buffer);
    free(self.block_hash);
    free(self.block_known);
    if (st == DS_OK && path != NULL)
        memcpy(path, self.final, strlen(self.final) + 1);
    return st;
}
