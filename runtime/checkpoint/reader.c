/* Verifying and reading. A file is verified without libhdf5 before libhdf5 may look at it: a
 * damaged one can hang it. Tensors are read at the places that the table gives. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fileio.h"
#include "h5file.h"
#include "salvage.h"
#include "scan.h"

struct ds_checkpoint {
    int fd;
    char *path;
    ds_table *table;
    ds_scan scan;
    size_t n_attrs;
    ds_attr *attr;
};

/* Open, header, table, one pass. A damaged body is no error here; it stands in self->scan. With
 * `salvage` a damaged header or table stands in self->table, as long as anything can be had. */
static ds_status reader_open(const char *path, bool salvage, ds_checkpoint **out)
{
    ds_auto(ds_checkpoint) self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "%s: out of memory", path);
    self->fd = -1;
    self->path = strdup(path);
    DS_CHECK(self->path != NULL, DS_ERR_NOMEM, "%s: out of memory", path);
    uint64_t bytes = 0;
    DS_TRY(ds_file_open(path, &self->fd, &bytes));
    DS_TRY(salvage ? ds_table_salvage(self->fd, path, bytes, &self->table)
                   : ds_table_read(self->fd, path, bytes, &self->table));
    DS_TRY(ds_scan_run(self->fd, path, self->table, &self->scan));
    *out = ds_steal(self);
    return DS_OK;
}

ds_status ds_checkpoint_verify(const char *path, ds_verdict *per_tensor, void *context)
{
    ds_auto(ds_checkpoint) self = NULL;
    DS_TRY(reader_open(path, per_tensor != NULL, &self));
    for (size_t i = 0; per_tensor != NULL && i < self->table->head.n_tensors; i++)
        per_tensor(context, self->table->record[i].path, &self->table->record[i].shape,
                   self->scan.good[i]);
    return ds_scan_verdict(&self->scan, path, self->table);
}

ds_status ds_checkpoint_examine(const char *path, bool *damaged)
{
    int fd = -1;
    uint64_t bytes = 0;
    *damaged = false;
    DS_TRY(ds_file_open(path, &fd, &bytes));
    ds_auto(ds_table) table = NULL;
    ds_scan scan = {0};
    bool newer = false;
    ds_status st = ds_table_read(fd, path, bytes, &table);
    if (st == DS_ERR_CHECKPOINT)
        newer = ds_head_is_newer(fd, bytes);
    *damaged = st == DS_ERR_CHECKPOINT && !newer;
    if (st == DS_OK)
        st = ds_scan_run(fd, path, table, &scan);
    if (st == DS_OK) {
        st = ds_scan_verdict(&scan, path, table);
        *damaged = st != DS_OK;
    }
    ds_scan_clear(&scan);
    close(fd);
    return st;
}

ds_status ds_checkpoint_salvage(const char *path, ds_checkpoint **out, bool *good)
{
    ds_auto(ds_checkpoint) self = NULL;
    DS_TRY(reader_open(path, true, &self));
    *good = ds_scan_verdict(&self->scan, path, self->table) == DS_OK;
    if (self->scan.structure_good)
        DS_TRY(ds_h5_attrs(path, &self->n_attrs, &self->attr));
    *out = ds_steal(self);
    return DS_OK;
}

ds_status ds_checkpoint_open(const char *path, ds_checkpoint **out)
{
    ds_auto(ds_checkpoint) self = NULL;
    DS_TRY(reader_open(path, false, &self));
    DS_TRY(ds_scan_verdict(&self->scan, path, self->table));
    DS_TRY(ds_h5_attrs(path, &self->n_attrs, &self->attr));
    *out = ds_steal(self);
    return DS_OK;
}

void ds_checkpoint_destroy(ds_checkpoint **checkpoint)
{
    ds_checkpoint *self = *checkpoint;
    *checkpoint = NULL;
    if (self == NULL)
        return;
    if (self->fd >= 0)
        close(self->fd);
    ds_table_destroy(&self->table);
    ds_scan_clear(&self->scan);
    ds_attrs_free(self->n_attrs, self->attr);
    free(self->path);
    free(self);
}

void ds_checkpoint_close(ds_checkpoint **checkpoint)
{
    ds_checkpoint_destroy(checkpoint);
}

int64_t ds_checkpoint_step(const ds_checkpoint *self)
{
    return self->table->head.step;
}

size_t ds_checkpoint_n(const ds_checkpoint *self)
{
    return (size_t)self->table->head.n_tensors;
}

ds_tensor_info ds_checkpoint_tensor(const ds_checkpoint *self, size_t i)
{
    const ds_record *r = &self->table->record[i];
    return (ds_tensor_info){
        .path = r->path, .type = r->type, .shape = r->shape, .good = self->scan.good[i]};
}

size_t ds_checkpoint_find(const ds_checkpoint *self, const char *path)
{
    size_t n = ds_checkpoint_n(self);
    for (size_t i = 0; i < n; i++)
        if (strcmp(self->table->record[i].path, path) == 0)
            return i;
    return n;
}

ds_status ds_checkpoint_read(const ds_checkpoint *self, size_t i, void *out)
{
    DS_ASSERT(i < ds_checkpoint_n(self));
    const ds_record *r = &self->table->record[i];
    DS_CHECK(self->scan.good[i], DS_ERR_CHECKPOINT, "%s: %s is damaged", self->path, r->path);
    return ds_file_read(self->fd, self->path, out, (size_t)r->bytes, r->offset);
}

ds_status ds_checkpoint_read_part(const ds_checkpoint *self, size_t i, size_t begin, size_t n,
                                  void *out)
{
    DS_ASSERT(i < ds_checkpoint_n(self));
    const ds_record *r = &self->table->record[i];
    size_t each = ds_dtype_bytes(r->type);
    DS_ASSERT(begin <= r->bytes / each && n <= r->bytes / each - begin);
    DS_CHECK(self->scan.good[i], DS_ERR_CHECKPOINT, "%s: %s is damaged", self->path, r->path);
    return ds_file_read(self->fd, self->path, out, n * each, r->offset + begin * each);
}

const ds_attr *ds_checkpoint_attr(const ds_checkpoint *self, const char *name)
{
    for (size_t i = 0; i < self->n_attrs; i++)
        if (strcmp(self->attr[i].name, name) == 0)
            return &self->attr[i];
    return NULL;
}

size_t ds_checkpoint_n_attrs(const ds_checkpoint *self)
{
    return self->n_attrs;
}

const ds_attr *ds_checkpoint_attr_at(const ds_checkpoint *self, size_t i)
{
    return &self->attr[i];
}
