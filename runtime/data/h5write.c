/* A data set as an HDF5 file that `format: hdf5` reads back bit for bit: `inputs` (n, ...) as uint8
 * or float32, `targets` (n) or (n, k) as int32 or float32, names as attributes (h5names.h). Chunks
 * of about 1 MiB of whole samples; no times, so the same data give the same file. Written beside
 * its place, synced, renamed: whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "h5names.h"

enum { WRITE_CHUNK = 1 << 20, WRITE_SLACK = 1 << 18 };

typedef hid_t h5write_id;
static void h5write_close(h5write_id *id)
{
    if (*id >= 0)
        H5Idec_ref(*id);
}
#define h5write_local __attribute__((cleanup(h5write_close))) h5write_id

typedef struct h5write_array {
    const char *name;
    hid_t disk, memory; /* types */
    size_t size;        /* of an element */
    int n_dims;
    hsize_t dim[DS_MAX_DIMS + 1];
    const void *data;
    const ds_input_stream *stream; /* instead of data */
    ds_status status;              /* of the stream */
} h5write_array;

static h5write_array h5write_inputs(const ds_dataset *data, const ds_input_stream *stream)
{
    bool streams = stream != NULL && stream->next != NULL;
    bool bytes = streams ? stream->bytes : data->bytes != NULL;
    h5write_array self = {.name = "inputs", .n_dims = (int)data->input.n + 1, .dim = {data->n}};
    for (size_t d = 0; d < data->input.n; d++)
        self.dim[d + 1] = data->input.dim[d];
    self.disk = bytes ? H5T_STD_U8LE : H5T_IEEE_F32LE;
    self.memory = bytes ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT;
    self.size = bytes ? 1 : sizeof(float);
    self.data = bytes ? (const void *)data->bytes : data->values;
    self.stream = streams ? stream : NULL;
    return self;
}

static h5write_array h5write_targets(const ds_dataset *data)
{
    size_t width = data->label != NULL ? data->n_labels : data->n_targets;
    h5write_array self = {
        .name = "targets", .n_dims = width > 1 ? 2 : 1, .dim = {data->n, width}, .size = 4};
    self.disk = data->label != NULL ? H5T_STD_I32LE : H5T_IEEE_F32LE;
    self.memory = data->label != NULL ? H5T_NATIVE_INT32 : H5T_NATIVE_FLOAT;
    self.data = data->label != NULL ? (const void *)data->label : data->target;
    return self;
}

static size_t h5write_row(const h5write_array *array)
{
    size_t bytes = array->size;
    for (int d = 1; d < array->n_dims; d++)
        bytes *= (size_t)array->dim[d];
    return bytes;
}

/* Rows of a chunk; bytes of all chunks, the last one whole, and of their index. */
static size_t h5write_chunk(const h5write_array *array)
{
    size_t row = h5write_row(array), rows = row < WRITE_CHUNK ? WRITE_CHUNK / row : 1;
    return rows < array->dim[0] ? rows : (size_t)array->dim[0];
}

static size_t h5write_bytes(const h5write_array *array)
{
    size_t rows = h5write_chunk(array), n = ((size_t)array->dim[0] + rows - 1) / rows;
    return array->data == NULL && array->stream == NULL ? 0 : n * (rows * h5write_row(array) + 256);
}

/* Rows [from, from + rows), a chunk, at `data`. */
static bool h5write_rows(const h5write_array *array, const hid_t at[2], hsize_t from, hsize_t rows,
                         const void *data)
{
    hsize_t begin[DS_MAX_DIMS + 1] = {from}, count[DS_MAX_DIMS + 1];
    memcpy(count, array->dim, sizeof count);
    count[0] = rows;
    h5write_local memory = H5Screate_simple(array->n_dims, count, NULL);
    return memory >= 0 &&
           H5Sselect_hyperslab(at[1], H5S_SELECT_SET, begin, NULL, count, NULL) >= 0 &&
           H5Dwrite(at[0], array->memory, memory, at[1], H5P_DEFAULT, data) >= 0;
}

/* All chunks, into dataset and space at[0], at[1]; a stream's go through one chunk of memory. */
static bool h5write_chunks(h5write_array *array, const hid_t at[2])
{
    size_t row = h5write_row(array), rows = h5write_chunk(array);
    char *room = array->stream == NULL ? NULL : malloc(rows * row);
    bool good = array->stream == NULL || room != NULL;
    for (hsize_t from = 0; good && from < array->dim[0]; from += rows) {
        hsize_t n = array->dim[0] - from < rows ? array->dim[0] - from : rows;
        const char *data = room;
        if (array->stream != NULL)
            array->status = array->stream->next(array->stream->context, (size_t)n, room);
        else
            data = (const char *)array->data + from * row;
        good = array->status == DS_OK && h5write_rows(array, at, from, n, data);
    }
    free(room);
    return good;
}

/* Returns the open dataset, -1 when HDF5 (or the stream) cannot. */
static hid_t h5write_array_to(hid_t file, h5write_array *array)
{
    hsize_t chunk[DS_MAX_DIMS + 1];
    memcpy(chunk, array->dim, sizeof chunk);
    chunk[0] = h5write_chunk(array);
    h5write_local space = H5Screate_simple(array->n_dims, array->dim, NULL);
    h5write_local how = H5Pcreate(H5P_DATASET_CREATE);
    if (space < 0 || how < 0 || H5Pset_chunk(how, array->n_dims, chunk) < 0 ||
        H5Pset_obj_track_times(how, false) < 0)
        return -1;
    hid_t set = H5Dcreate2(file, array->name, array->disk, space, H5P_DEFAULT, how, H5P_DEFAULT);
    const hid_t at[2] = {set, space};
    if (set < 0 || h5write_chunks(array, at))
        return set;
    H5Dclose(set);
    return -1;
}

static bool h5write_all(hid_t file, const ds_dataset *data, h5write_array *x)
{
    h5write_array y = h5write_targets(data);
    h5write_local inputs = h5write_array_to(file, x);
    size_t elements = ds_shape_elements(&data->input);
    if (inputs < 0)
        return false;
    if (data->column != NULL && !ds_h5names_write(inputs, H5NAMES_COLUMNS, elements, data->column))
        return false;
    if (y.data == NULL)
        return true;
    h5write_local targets = h5write_array_to(file, &y);
    if (targets < 0)
        return false;
    if (data->label == NULL)
        return data->target_column == NULL ||
               ds_h5names_write(targets, H5NAMES_COLUMNS, data->n_targets, data->target_column);
    return ds_h5names_write_count(targets, H5NAMES_COUNT, (int64_t)data->n_classes) &&
           (data->class_name == NULL ||
            ds_h5names_write(targets, H5NAMES_CLASSES, data->n_classes, data->class_name));
}

/* False with errno, or with errno 0 where HDF5 alone knows why. */
static bool h5write_file(const char *path, const ds_dataset *data, h5write_array *x, size_t bytes)
{
    void *fd = NULL;
    h5write_local how = H5Pcreate(H5P_FILE_CREATE);
    h5write_local access = H5Pcreate(H5P_FILE_ACCESS);
    if (how < 0 || access < 0 || H5Pset_obj_track_times(how, false) < 0)
        return false;
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, 0, 1); /* network homes refuse flock */
#endif
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, how, access);
    if (file < 0)
        return false;
    if (H5Fget_vfd_handle(file, H5P_DEFAULT, &fd) >= 0 && fd != NULL)
        (void)fallocate(*(int *)fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
    bool good = h5write_all(file, data, x) && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0;
    int why = errno;
    good = H5Fclose(file) >= 0 && good;
    errno = good ? 0 : why;
    return good;
}

/* libhdf5 1.10 crashes at the program's end once it could not write: all room is taken before it is
 * asked to, here to see that it is there, and in h5write_file to keep it. */
static ds_status h5write_reserve(const char *path, const char *next, size_t bytes)
{
    struct rlimit limit;
    DS_CHECK(getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes <= limit.rlim_cur, DS_ERR_WRITE,
             "cannot write %s: it takes %zu bytes, ulimit -f allows %llu", path, bytes,
             (unsigned long long)limit.rlim_cur);
    int fd = open(next, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    DS_CHECK(fd >= 0, DS_ERR_WRITE, "cannot write %s: %s", path, strerror(errno));
    int why = fallocate(fd, 0, 0, (off_t)bytes) == 0 ? 0 : errno;
    close(fd);
    DS_CHECK(why != ENOSPC && why != EDQUOT && why != EFBIG, DS_ERR_WRITE,
             "cannot write %s: it takes %.1f MiB: %s", path, (double)bytes / 0x1p20, strerror(why));
    return DS_OK;
}

/* To the disk, and no longer than it is. */
static bool h5write_settle(const char *next)
{
    struct stat s;
    int fd = open(next, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &s) == 0 && ftruncate(fd, s.st_size) == 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return good;
}

static ds_status h5write_beside(const char *path, const char *next, const ds_dataset *data,
                                const ds_input_stream *stream)
{
    h5write_array x = h5write_inputs(data, stream), y = h5write_targets(data);
    size_t bytes = h5write_bytes(&x) + h5write_bytes(&y) + WRITE_SLACK;
    DS_TRY(h5write_reserve(path, next, bytes));
    errno = 0;
    bool written = h5write_file(next, data, &x, bytes);
    if (x.status != DS_OK)
        return x.status;
    DS_CHECK(written, DS_ERR_WRITE, "cannot write %s: %s", path,
             errno != 0 ? strerror(errno) : "HDF5 gives no reason");
    DS_CHECK(h5write_settle(next) && rename(next, path) == 0, DS_ERR_WRITE, "cannot write %s: %s",
             path, strerror(errno));
    return DS_OK;
}

ds_status ds_dataset_write_hdf5(const ds_dataset *data, const ds_input_stream *inputs,
                                const char *path)
{
    char next[4200];
    H5E_auto2_t print = NULL;
    void *context = NULL;
    int n = snprintf(next, sizeof next, "%s.%ld.tmp", path, (long)getpid());
    DS_CHECK(n > 0 && (size_t)n < sizeof next, DS_ERR_USAGE, "the output's name is too long");
    H5Eget_auto2(H5E_DEFAULT, &print, &context);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    ds_status status = h5write_beside(path, next, data, inputs);
    H5Eset_auto2(H5E_DEFAULT, print, context);
    if (status != DS_OK)
        unlink(next);
    return status;
}
