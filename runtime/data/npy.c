/* NumPy's .npy (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1
 * to 3, gzip or plain: inputs (n, ...) and targets (n) or (n, k) in files of their own. Fortran
 * order is turned on the way in. Read in pieces: memory is the data set and 64 KiB. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datafile.h"
#include "read.h"

typedef struct npy_options {
    const char *inputs, *targets;
} npy_options;

static const ds_option options[] = {
    {.name = "inputs",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(npy_options, inputs),
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "file of inputs (n, ...): floating point or integers; uint8 are image bytes"},
    {.name = "targets",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(npy_options, targets),
     .flags = DS_OPTION_NEUTRAL,
     .help = "file of targets (n) or (n, k): integers for classes"},
    {.name = NULL},
};

enum { NPY_MOST_HEADER = 1 << 16, NPY_PIECE = 1 << 16 };

typedef struct npy_array {
    ds_datafile *file;
    const char *name; /* for messages */
    char kind;        /* 'f', 'i', 'u', 'b' */
    size_t size;      /* bytes of an element */
    bool fortran;
    size_t n_dims, dim[DS_MAX_DIMS + 1], count;
    ds_shape sample;
    size_t done; /* of a stream's elements */
} npy_array;

/* What follows 'key': in the header's dictionary; NULL: nothing. */
static const char *npy_key(const char *header, const char *key)
{
    const char *p = strstr(header, key);
    if (p == NULL)
        return NULL;
    p += strlen(key);
    p += strspn(p, " ");
    return *p == ':' ? p + 1 + strspn(p + 1, " ") : NULL;
}

static ds_status npy_type(npy_array *self, const char *descr)
{
    char type[24] = "";
    if (descr != NULL && (*descr == '\'' || *descr == '"'))
        snprintf(type, sizeof type, "%.*s", (int)strcspn(descr + 1, "'\""), descr + 1);
    char *end = NULL;
    size_t size = strlen(type) > 2 ? strtoul(type + 2, &end, 10) : 0;
    bool known = end != NULL && *end == '\0' && strchr("|<>=", type[0]) != NULL &&
                 ((type[1] == 'f' && (size == 4 || size == 8)) ||
                  (type[1] == 'i' && (size == 1 || size == 2 || size == 4 || size == 8)) ||
                  (type[1] == 'u' && (size == 1 || size == 2 || size == 4)) ||
                  (type[1] == 'b' && size == 1));
    DS_CHECK(known, DS_ERR_DATA,
             "%s: its elements are of type %.40s, expected float32, float64, int8 to int64, uint8 "
             "to uint32 or bool; save it with x.astype('float32')",
             self->name,
             type[0] != '\0' ? type
             : descr == NULL ? "nothing"
                             : descr);
    DS_CHECK(size == 1 || type[0] == '<', DS_ERR_DATA,
             "%s: its elements are big-endian (%s), expected little-endian; save it with "
             "x.astype('<%s')",
             self->name, type, type + 1);
    self->kind = type[1];
    self->size = size;
    return DS_OK;
}

static ds_status npy_shape(npy_array *self, const char *shape)
{
    DS_CHECK(shape != NULL && *shape == '(', DS_ERR_DATA, "%s: its header has no shape",
             self->name);
    self->count = 1;
    for (const char *p = shape + 1; p[strspn(p, " ")] != ')';) {
        char *end = NULL;
        p += strspn(p, " ");
        bool digit = *p >= '0' && *p <= '9';
        unsigned long long dim = digit ? strtoull(p, &end, 10) : 0;
        DS_CHECK(digit && self->n_dims <= DS_MAX_DIMS, DS_ERR_DATA,
                 "%s: its header's shape %.40s is none of 1 to %d dimensions", self->name, shape,
                 DS_MAX_DIMS + 1);
        self->dim[self->n_dims++] = (size_t)dim;
        DS_CHECK(!__builtin_mul_overflow(self->count, (size_t)dim, &self->count) &&
                     self->count <= SIZE_MAX / 16,
                 DS_ERR_DATA, "%s: claims more elements than memory can hold", self->name);
        p = end + strspn(end, " ");
        DS_CHECK(*p == ',' || *p == ')', DS_ERR_DATA, "%s: its header's shape %.40s is damaged",
                 self->name, shape);
        p += *p == ',';
    }
    DS_CHECK(self->n_dims > 0 && self->count > 0, DS_ERR_DATA,
             "%s: holds no samples: its shape is %.*s, expected (samples, ...)", self->name,
             (int)strcspn(shape, ")") + 1, shape);
    self->sample.n = self->n_dims == 1 ? 1 : self->n_dims - 1;
    self->sample.dim[0] = 1;
    for (size_t d = 1; d < self->n_dims; d++)
        self->sample.dim[d - 1] = self->dim[d];
    return DS_OK;
}

static ds_status npy_dictionary(npy_array *self, const char *header)
{
    const char *order = npy_key(header, "'fortran_order'");
    DS_TRY(npy_type(self, npy_key(header, "'descr'")));
    DS_CHECK(order != NULL && (strncmp(order, "True", 4) == 0 || strncmp(order, "False", 5) == 0),
             DS_ERR_DATA, "%s: its header says nothing of fortran_order", self->name);
    self->fortran = order[0] == 'T';
    DS_TRY(npy_shape(self, npy_key(header, "'shape'")));
    size_t bytes = self->count * self->size, most = ds_datafile_most(self->file);
    DS_CHECK(bytes <= most, DS_ERR_DATA,
             "%s: is truncated: its header announces %zu bytes of elements, the file cannot hold "
             "more than %zu",
             self->name, bytes, most);
    return DS_OK;
}

static ds_status npy_open(const char *what, const char *path, npy_array *self)
{
    unsigned char head[12] = {0};
    size_t got = 0, more = 0;
    DS_TRY(ds_datafile_open(what, path, false, &self->file));
    self->name = ds_datafile_name(self->file);
    DS_TRY(ds_datafile_read(self->file, head, 10, &got));
    DS_CHECK(got == 10 && memcmp(head, "\x93NUMPY", 6) == 0, DS_ERR_DATA,
             "%s: is no .npy file: its first bytes are not \\x93NUMPY", self->name);
    DS_CHECK(head[6] >= 1 && head[6] <= 3, DS_ERR_DATA,
             "%s: is of .npy version %d.%d, expected 1, 2 or 3", self->name, head[6], head[7]);
    size_t n = (size_t)head[8] | (size_t)head[9] << 8;
    if (head[6] > 1) {
        DS_TRY(ds_datafile_read(self->file, head + 10, 2, &got));
        n |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    }
    char header[NPY_MOST_HEADER + 1];
    DS_CHECK(n > 0 && n <= NPY_MOST_HEADER, DS_ERR_DATA,
             "%s: its header claims %zu bytes, expected 1 to %d", self->name, n, NPY_MOST_HEADER);
    DS_TRY(ds_datafile_read(self->file, header, n, &more));
    DS_CHECK(more == n, DS_ERR_DATA, "%s: is truncated in its header", self->name);
    header[n] = '\0';
    return npy_dictionary(self, header);
}

/* Where the file's element e, first index fastest, lies in C order. */
static size_t npy_turned(const npy_array *self, size_t e)
{
    size_t at = 0, step = self->count;
    for (size_t d = 0; d < self->n_dims; d++) {
        step /= self->dim[d];
        at += e % self->dim[d] * step;
        e /= self->dim[d];
    }
    return at;
}

static int64_t npy_integer(const npy_array *self, const unsigned char *at)
{
    uint64_t x = 0;
    for (size_t i = 0; i < self->size; i++)
        x |= (uint64_t)at[i] << 8 * i;
    unsigned unused = (unsigned)(64 - 8 * self->size);
    return self->kind == 'i' ? (int64_t)(x << unused) >> unused : (int64_t)x;
}

static float npy_real(const npy_array *self, const unsigned char *at)
{
    float single;
    double x;
    if (self->kind != 'f')
        return (float)npy_integer(self, at);
    if (self->size == sizeof single) {
        memcpy(&single, at, sizeof single);
        return single;
    }
    memcpy(&x, at, sizeof x);
    return (float)x;
}

typedef struct npy_target { /* one is set; element `first` in C order goes to its begin */
    size_t first;
    uint8_t *bytes;
    float *values;
    int64_t *whole;
} npy_target;

static ds_status npy_element(const npy_array *self, const unsigned char *from, size_t e,
                             const npy_target *to)
{
    size_t at = (self->fortran ? npy_turned(self, e) : e) - to->first;
    size_t each = self->count / self->dim[0];
    if (to->bytes != NULL)
        to->bytes[at] = *from;
    else if (to->whole != NULL)
        to->whole[at] = npy_integer(self, from);
    else
        to->values[at] = npy_real(self, from);
    DS_CHECK(to->values == NULL || isfinite(to->values[at]), DS_ERR_DATA,
             "%s: sample %zu (from 0), element %zu is %g, expected a finite float32", self->name,
             (at + to->first) / each, (at + to->first) % each, ds_shown((double)to->values[at]));
    return DS_OK;
}

/* The file's elements [e, e + n), which come next; after the last nothing may follow. */
static ds_status npy_some(const npy_array *self, size_t e, size_t n, const npy_target *to)
{
    unsigned char piece[NPY_PIECE];
    size_t got = 0, each = NPY_PIECE / self->size, end = e + n;
    while (e < end) {
        size_t m = end - e < each ? end - e : each;
        DS_TRY(ds_datafile_read(self->file, piece, m * self->size, &got));
        DS_CHECK(got == m * self->size, DS_ERR_DATA,
                 "%s: is truncated: its header announces %zu elements of %zu bytes, it has %zu "
                 "bytes",
                 self->name, self->count, self->size, e * self->size + got);
        for (size_t i = 0; i < m; i++)
            DS_TRY(npy_element(self, piece + i * self->size, e + i, to));
        e += m;
    }
    if (end < self->count)
        return DS_OK;
    DS_TRY(ds_datafile_read(self->file, piece, 1, &got));
    DS_CHECK(got == 0, DS_ERR_DATA, "%s: is longer than its header says (%zu elements)", self->name,
             self->count);
    return DS_OK;
}

static ds_status npy_take(const npy_array *self, const npy_target *to)
{
    return npy_some(self, 0, self->count, to);
}

static bool npy_is_bytes(const npy_array *self)
{
    return self->kind == 'u' && self->size == 1;
}

static ds_status npy_next(void *context, size_t n, void *out)
{
    npy_array *self = context;
    size_t elements = n * (self->count / self->dim[0]);
    npy_target to = {.first = self->done};
    if (npy_is_bytes(self))
        to.bytes = out;
    else
        to.values = out;
    self->done += elements;
    return npy_some(self, self->done - elements, elements, &to);
}

static void npy_close(void *context)
{
    npy_array *self = context;
    ds_datafile_destroy(&self->file);
    free(self);
}

/* The open file goes over to the stream. */
static ds_status npy_stream(npy_array *self, ds_input_stream *out)
{
    npy_array *kept = malloc(sizeof *kept);
    DS_CHECK(kept != NULL, DS_ERR_NOMEM, "out of memory for reading %s", self->name);
    *kept = *self;
    self->file = NULL;
    *out = (ds_input_stream){npy_is_bytes(self), npy_next, npy_close, kept};
    return DS_OK;
}

static ds_status npy_classes(const npy_array *self, const ds_read_request *request, ds_dataset *out)
{
    DS_CHECK(self->kind != 'f', DS_ERR_DATA,
             "%s: holds floating point numbers, expected integers: the loss takes classes",
             self->name);
    int64_t *label = malloc(self->count * sizeof *label);
    DS_CHECK(label != NULL, DS_ERR_NOMEM, "out of memory for %zu labels", self->count);
    out->n_labels = self->count / self->dim[0];
    ds_status status = npy_take(self, &(npy_target){.whole = label});
    if (status == DS_OK)
        status = ds_read_labels(request, self->name, label, out);
    free(label);
    return status;
}

static ds_status npy_targets(const npy_array *self, const ds_read_request *request, ds_dataset *out)
{
    float *target = NULL;
    DS_CHECK(self->dim[0] == out->n, DS_ERR_DATA, "%s: has %zu targets for %zu samples", self->name,
             self->dim[0], out->n);
    DS_CHECK(self->n_dims <= 2, DS_ERR_DATA, "%s: has %zu dimensions, expected (n) or (n, k)",
             self->name, self->n_dims);
    if (request->kind == DS_TARGET_CLASS)
        return npy_classes(self, request, out);
    DS_TRY(ds_arena_take(out->arena, self->count, sizeof *target, "targets", &target));
    DS_TRY(npy_take(self, &(npy_target){.values = target}));
    out->kind = DS_TARGET_REAL;
    out->n_targets = self->count / self->dim[0];
    out->target = target;
    return DS_OK;
}

static ds_status npy_inputs(npy_array *self, const ds_read_request *request, ds_dataset *out)
{
    npy_target to = {0};
    DS_TRY(ds_read_input(request, self->name, self->dim[0], &self->sample, out));
    if (request->inputs != NULL && !self->fortran)
        return npy_stream(self, request->inputs);
    if (npy_is_bytes(self))
        DS_TRY(ds_arena_take(out->arena, self->count, 1, "samples", &to.bytes));
    else
        DS_TRY(ds_arena_take(out->arena, self->count, sizeof(float), "samples", &to.values));
    DS_TRY(npy_take(self, &to));
    out->bytes = to.bytes;
    out->values = to.values;
    return DS_OK;
}

static ds_status npy_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const npy_options *o = opts;
    char what[64];
    npy_array x = {0}, y = {0};
    if (o->targets[0] == '\0' && !request->targets_optional)
        return ds_value_fail(request->source,
                             "data.%s: 'targets' is missing, expected the file of targets",
                             request->split);
    snprintf(what, sizeof what, "%s inputs", request->split);
    ds_status status = npy_open(what, o->inputs, &x);
    if (status == DS_OK)
        status = npy_inputs(&x, request, out);
    ds_datafile_destroy(&x.file);
    if (status != DS_OK || o->targets[0] == '\0')
        return status;
    snprintf(what, sizeof what, "%s targets", request->split);
    status = npy_open(what, o->targets, &y);
    if (status == DS_OK)
        status = npy_targets(&y, request, out);
    ds_datafile_destroy(&y.file);
    return status;
}

extern const ds_format_ops ds_format_npy;
const ds_format_ops ds_format_npy = {
    .name = "npy",
    .help = "NumPy arrays: inputs (n, ...) and targets (n) or (n, k), a file each",
    .options = options,
    .options_size = sizeof(npy_options),
    .read = npy_read,
};
