/* IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist): two zero bytes, a type byte, the
 * number of dimensions, the dimensions as big-endian words, the items. Images and labels are
 * unsigned bytes, plain or gzip. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datafile.h"
#include "read.h"

typedef struct idx_options {
    const char *images, *labels;
} idx_options;

static const ds_option options[] = {
    {.name = "images",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(idx_options, images),
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "file of images (.gz or plain)"},
    {.name = "labels",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(idx_options, labels),
     .flags = DS_OPTION_NEUTRAL,
     .help = "file of labels (.gz or plain)"},
    {.name = NULL},
};

enum { IDX_UBYTE = 8 };

static ds_status idx_header(ds_datafile *file, size_t least_dims, ds_shape *shape)
{
    unsigned char head[4], word[4];
    size_t got = 0, items = 1;
    const char *name = ds_datafile_name(file);
    DS_TRY(ds_datafile_read(file, head, sizeof head, &got));
    DS_CHECK(got == sizeof head, DS_ERR_DATA, "%s: is %zu bytes long, too short for an IDX file",
             name, got);
    DS_CHECK(head[0] == 0 && head[1] == 0, DS_ERR_DATA,
             "%s: is no IDX file: it starts with %02x %02x %02x %02x, expected 00 00 08 0%zu", name,
             head[0], head[1], head[2], head[3], least_dims);
    DS_CHECK(head[2] == IDX_UBYTE, DS_ERR_DATA,
             "%s: has items of IDX type 0x%02x, expected 0x08 (unsigned bytes)", name, head[2]);
    DS_CHECK(head[3] >= least_dims && head[3] <= DS_MAX_DIMS && (least_dims > 1 || head[3] == 1),
             DS_ERR_DATA, "%s: has %d dimension%s, expected %s", name, head[3],
             head[3] == 1 ? "" : "s", least_dims == 1 ? "1 (labels)" : "2 to 8 (images)");
    shape->n = head[3];
    for (size_t i = 0; i < shape->n; i++) {
        DS_TRY(ds_datafile_read(file, word, sizeof word, &got));
        DS_CHECK(got == sizeof word, DS_ERR_DATA, "%s: is truncated in its header", name);
        shape->dim[i] =
            (size_t)word[0] << 24 | (size_t)word[1] << 16 | (size_t)word[2] << 8 | word[3];
        DS_CHECK(!__builtin_mul_overflow(items, shape->dim[i], &items), DS_ERR_DATA,
                 "%s: claims more items than memory can hold", name);
    }
    DS_CHECK(items <= ds_datafile_most(file), DS_ERR_DATA,
             "%s: is truncated: its header announces %zu bytes of items, the file cannot hold more "
             "than %zu",
             name, items, ds_datafile_most(file));
    return DS_OK;
}

/* The next n of `total` items, and nothing behind the last. */
static ds_status idx_items(ds_datafile *file, size_t total, size_t n, size_t *done, uint8_t *out)
{
    size_t got = 0, more = 0;
    uint8_t beyond;
    DS_TRY(ds_datafile_read(file, out, n, &got));
    *done += got;
    DS_CHECK(got == n, DS_ERR_DATA,
             "%s: is truncated: its header announces %zu bytes of items, it has %zu",
             ds_datafile_name(file), total, *done);
    if (*done < total)
        return DS_OK;
    DS_TRY(ds_datafile_read(file, &beyond, 1, &more));
    DS_CHECK(more == 0, DS_ERR_DATA, "%s: is longer than its header says (%zu bytes of items)",
             ds_datafile_name(file), total);
    return DS_OK;
}

static ds_status idx_read(const char *what, const char *path, size_t least_dims, ds_arena *arena,
                          ds_shape *shape, uint8_t **items)
{
    ds_auto(ds_datafile) file = NULL;
    DS_TRY(ds_datafile_open(what, path, false, &file));
    DS_TRY(idx_header(file, least_dims, shape));
    size_t n = ds_shape_elements(shape), done = 0;
    uint8_t *all = NULL;
    DS_TRY(ds_arena_take(arena, n, 1, what, &all));
    DS_TRY(idx_items(file, n, n, &done, all));
    *items = all;
    return DS_OK;
}

typedef struct idx_stream {
    ds_datafile *file;
    size_t row, total, done;
} idx_stream;

static ds_status idx_next(void *context, size_t n, void *out)
{
    idx_stream *self = context;
    return idx_items(self->file, self->total, n * self->row, &self->done, out);
}

static void idx_close(void *context)
{
    idx_stream *self = context;
    ds_datafile_destroy(&self->file);
    free(self);
}

/* The images, read when they are wanted. */
static ds_status idx_open_stream(const char *what, const char *path, ds_shape *shape,
                                 ds_input_stream *out)
{
    idx_stream *self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for reading '%s'", path);
    *out = (ds_input_stream){true, idx_next, idx_close, self};
    DS_TRY(ds_datafile_open(what, path, false, &self->file));
    DS_TRY(idx_header(self->file, 2, shape));
    self->total = ds_shape_elements(shape);
    self->row = shape->dim[0] > 0 ? self->total / shape->dim[0] : 0;
    return DS_OK;
}

static ds_status idx_labels(const idx_options *o, const ds_read_request *request, ds_dataset *out)
{
    char what[64];
    ds_shape shape;
    uint8_t *items = NULL;
    snprintf(what, sizeof what, "%s labels", request->split);
    DS_TRY(idx_read(what, o->labels, 1, out->arena, &shape, &items));
    DS_CHECK(shape.dim[0] == out->n, DS_ERR_DATA, "%s '%s': has %zu labels for %zu images of '%s'",
             what, o->labels, shape.dim[0], out->n, o->images);
    int64_t *label = malloc(out->n * sizeof *label);
    DS_CHECK(label != NULL, DS_ERR_NOMEM, "out of memory for %zu labels", out->n);
    for (size_t i = 0; i < out->n; i++)
        label[i] = items[i];
    char where[512];
    snprintf(where, sizeof where, "%s '%s'", what, o->labels);
    ds_status status = ds_read_labels(request, where, label, out);
    free(label);
    return status;
}

static ds_status idx_open(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const idx_options *o = opts;
    char what[64];
    ds_shape shape, sample = {0};
    uint8_t *items = NULL;
    if (o->labels[0] == '\0' && !request->targets_optional)
        return ds_value_fail(request->source,
                             "data.%s: 'labels' is missing, expected the file of labels",
                             request->split);
    snprintf(what, sizeof what, "%s images", request->split);
    if (request->inputs != NULL)
        DS_TRY(idx_open_stream(what, o->images, &shape, request->inputs));
    else
        DS_TRY(idx_read(what, o->images, 2, out->arena, &shape, &items));
    sample.n = shape.n - 1;
    memcpy(sample.dim, shape.dim + 1, sample.n * sizeof *sample.dim);
    char where[512];
    snprintf(where, sizeof where, "%s '%s'", what, o->images);
    DS_TRY(ds_read_input(request, where, shape.dim[0], &sample, out));
    out->bytes = items;
    return o->labels[0] == '\0' ? DS_OK : idx_labels(o, request, out);
}

extern const ds_format_ops ds_format_idx;
const ds_format_ops ds_format_idx = {
    .name = "idx",
    .help = "images and labels as MNIST keeps them, .gz or plain",
    .options = options,
    .options_size = sizeof(idx_options),
    .read = idx_open,
    .labels = true,
};
