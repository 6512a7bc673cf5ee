/* Two datasets of an HDF5 file: inputs (n, ...) and targets (n) or (n, k). Every rank reads all of
 * it by itself with the plain driver: concurrent readers of one file need no agreement. libhdf5
 * converts types and byte orders; bytes stay bytes. Its error printing is off only while we call
 * it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h5names.h"
#include "h5probe.h"
#include "read.h"

enum { HDF5_NAMED = 8, HDF5_MOST_NAMES = 256 };

typedef struct hdf5_options {
    const char *path, *inputs, *targets;
} hdf5_options;

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(hdf5_options, path),
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "file"},
    {.name = "inputs",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(hdf5_options, inputs),
     .fallback = "inputs",
     .help = "dataset of inputs (n, ...): floating point or integers; uint8 are image bytes"},
    {.name = "targets",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(hdf5_options, targets),
     .fallback = "targets",
     .help = "dataset of targets (n) or (n, k): integers for classes"},
    {.name = NULL},
};

typedef hid_t hdf5_id;
static void hdf5_id_close(hdf5_id *id)
{
    if (*id >= 0)
        H5Idec_ref(*id);
}
#define hdf5_local __attribute__((cleanup(hdf5_id_close))) hdf5_id

/* An open dataset. */
typedef struct hdf5_array {
    const char *path, *name;
    hid_t set;
    H5T_class_t kind;
    bool bytes; /* uint8 */
    size_t n;
    ds_shape sample;
} hdf5_array;

static herr_t hdf5_deepest(unsigned n, const H5E_error2_t *error, void *context)
{
    if (n == 0)
        snprintf(context, 128, "%s", error->desc == NULL ? "no reason given" : error->desc);
    return 0;
}

static ds_status hdf5_fail(const char *path, const char *what, const char *name)
{
    char cause[128] = "no reason given";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, hdf5_deepest, cause);
    return DS_FAIL(DS_ERR_DATA, "%s: HDF5 cannot %s%s: %s", path, what, name, cause);
}

/* The names of a file's datasets. */
typedef struct hdf5_names {
    size_t n;
    char *name[HDF5_MOST_NAMES];
} hdf5_names;

static herr_t hdf5_collect(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
    hdf5_names *all = context;
    (void)root;
    if (info->type == H5O_TYPE_DATASET && all->n < HDF5_MOST_NAMES &&
        (all->name[all->n] = strdup(name)) != NULL)
        all->n++;
    return 0;
}

static ds_status hdf5_no_dataset(const char *path, hid_t file, const char *split, const char *name,
                                 const ds_value *at)
{
    hdf5_names all = {0};
    char list[512] = "";
    size_t used = 0;
    if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_NATIVE, hdf5_collect, &all) < 0)
        H5Eclear2(H5E_DEFAULT);
    for (size_t i = 0; i < all.n && i < HDF5_NAMED && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s'%.48s'", i == 0 ? "" : ", ",
                                 all.name[i]);
    const char *closest = ds_closest(name, all.n, (const char *const *)all.name);
    ds_status status = ds_value_fail(at, "data.%s: %s has no dataset '%.60s'%s%s%s; it holds %s%s",
                                     split, path, name, closest == NULL ? "" : " (closest: '",
                                     closest == NULL ? "" : closest, closest == NULL ? "" : "')",
                                     all.n == 0 ? "none" : list, all.n > HDF5_NAMED ? ", ..." : "");
    for (size_t i = 0; i < all.n; i++)
        free(all.name[i]);
    return status;
}

/* Does `name` lead to an object? Each link on the way is asked for; a soft link may dangle. */
static bool hdf5_there(hid_t file, const char *name)
{
    char part[1024];
    if (strlen(name) >= sizeof part || name[strspn(name, "/")] == '\0')
        return false;
    for (const char *p = name; p != NULL && *p != '\0';) {
        p = strchr(p + strspn(p, "/"), '/');
        size_t n = p == NULL ? strlen(name) : (size_t)(p - name);
        memcpy(part, name, n);
        part[n] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0)
            return false;
    }
    return H5Oexists_by_name(file, name, H5P_DEFAULT) > 0;
}

static ds_status hdf5_shape(hdf5_array *self)
{
    hsize_t dim[H5S_MAX_RANK] = {0};
    size_t elements = 1;
    hdf5_local space = H5Dget_space(self->set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dim, NULL);
    if (rank < 0)
        return hdf5_fail(self->path, "read the shape of ", self->name);
    DS_CHECK(rank >= 1 && rank <= DS_MAX_DIMS + 1, DS_ERR_DATA,
             "%s: dataset '%s' has %d dimensions, expected (samples, ...)", self->path, self->name,
             rank);
    self->n = (size_t)dim[0];
    DS_CHECK(self->n > 0, DS_ERR_DATA, "%s: dataset '%s' holds no samples", self->path, self->name);
    self->sample.n = rank == 1 ? 1 : (size_t)rank - 1;
    self->sample.dim[0] = 1;
    for (int d = 1; d < rank; d++)
        self->sample.dim[d - 1] = (size_t)dim[d];
    for (int d = 0; d < rank; d++)
        DS_CHECK(dim[d] > 0 && !__builtin_mul_overflow(elements, (size_t)dim[d], &elements) &&
                     elements < SIZE_MAX / 8,
                 DS_ERR_DATA, "%s: dataset '%s' has an impossible shape", self->path, self->name);
    DS_CHECK(H5Dget_storage_size(self->set) > 0, DS_ERR_DATA, "%s: dataset '%s' was never written",
             self->path, self->name);
    return DS_OK;
}

/* Open a dataset of numbers. Close self->set. */
static ds_status hdf5_open(hid_t file, const char *split, const ds_value *at, hdf5_array *self)
{
    if (!hdf5_there(file, self->name))
        return hdf5_no_dataset(self->path, file, split, self->name, at);
    self->set = H5Dopen2(file, self->name, H5P_DEFAULT);
    if (self->set < 0)
        return hdf5_no_dataset(self->path, file, split, self->name, at); /* a group */
    hdf5_local type = H5Dget_type(self->set);
    if (type < 0)
        return hdf5_fail(self->path, "read the type of ", self->name);
    self->kind = H5Tget_class(type);
    DS_CHECK(self->kind == H5T_INTEGER || self->kind == H5T_FLOAT, DS_ERR_DATA,
             "%s: dataset '%s' holds neither integers nor floating point numbers", self->path,
             self->name);
    self->bytes =
        self->kind == H5T_INTEGER && H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE;
    return hdf5_shape(self);
}

static ds_status hdf5_take(const hdf5_array *self, hid_t type, void *out)
{
    if (H5Dread(self->set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        return hdf5_fail(self->path, "read dataset ", self->name);
    return DS_OK;
}

static ds_status hdf5_take_real(const hdf5_array *self, ds_arena *arena, const float **out)
{
    size_t elements = ds_shape_elements(&self->sample);
    float *x = NULL;
    DS_TRY(ds_arena_take(arena, self->n, elements * sizeof *x, self->name, &x));
    DS_TRY(hdf5_take(self, H5T_NATIVE_FLOAT, x));
    for (size_t i = 0; i < self->n * elements; i++)
        DS_CHECK(isfinite(x[i]), DS_ERR_DATA,
                 "%s: dataset '%s', sample %zu (from 0), element %zu is %g, expected a finite "
                 "float32",
                 self->path, self->name, i / elements, i % elements, ds_shown((double)x[i]));
    *out = x;
    return DS_OK;
}

static ds_status hdf5_unknown(const char *where, size_t sample, const char *name)
{
    return DS_FAIL(DS_ERR_DATA,
                   "%s: sample %zu is of class '%s', which the training data do not have", where,
                   sample, name);
}

/* The file names its classes and the training data theirs: a label follows its name. */
static ds_status hdf5_rename(const ds_read_request *request, const char *where, size_t n_names,
                             const char *const *name, const ds_dataset *out, int64_t *label)
{
    for (size_t i = 0; i < out->n * out->n_labels; i++) {
        DS_CHECK(label[i] >= 0 && (size_t)label[i] < n_names, DS_ERR_DATA,
                 "%s: sample %zu has label %lld, it names %zu class%s", where, i / out->n_labels,
                 (long long)label[i], n_names, n_names == 1 ? "" : "es");
        const char *mine = name[label[i]];
        size_t at = (size_t)label[i]; /* the same list, as a rule */
        if (at >= request->n_classes || strcmp(request->class_name[at], mine) != 0)
            for (at = 0; at < request->n_classes && strcmp(request->class_name[at], mine) != 0;)
                at++;
        if (at == request->n_classes)
            return hdf5_unknown(where, i / out->n_labels, mine);
        label[i] = (int64_t)at;
    }
    return DS_OK;
}

static ds_status hdf5_labels(const hdf5_array *self, const ds_read_request *request,
                             const char *where, int64_t *label, ds_dataset *out)
{
    ds_read_request with = *request;
    size_t n = 0;
    const char *const *name = NULL;
    DS_TRY(ds_h5names_read(self->set, H5NAMES_CLASSES, where, out->arena, &n, &name));
    DS_TRY(hdf5_take(self, H5T_NATIVE_INT64, label));
    out->declares_classes = n > 0 || ds_h5names_count(self->set, H5NAMES_COUNT) > 0;
    if (n > 0 && request->class_name != NULL)
        DS_TRY(hdf5_rename(request, where, n, name, out, label));
    else if (n > 0 && request->n_classes == 0)
        with.n_classes = n;
    else if (request->n_classes == 0)
        with.n_classes = (size_t)ds_h5names_count(self->set, H5NAMES_COUNT);
    if (with.n_classes != request->n_classes)
        with.class_name = name;
    return ds_read_labels(&with, where, label, out);
}

static ds_status hdf5_classes(const hdf5_array *self, const ds_read_request *request,
                              ds_dataset *out)
{
    char where[512];
    DS_CHECK(self->kind == H5T_INTEGER, DS_ERR_DATA,
             "%s: dataset '%s' holds floating point numbers, expected integers: the loss takes "
             "classes",
             self->path, self->name);
    out->n_labels = ds_shape_elements(&self->sample);
    size_t n = self->n * out->n_labels;
    int64_t *label = malloc(n * sizeof *label);
    DS_CHECK(label != NULL, DS_ERR_NOMEM, "out of memory for %zu labels", n);
    snprintf(where, sizeof where, "%s: dataset '%s'", self->path, self->name);
    ds_status status = hdf5_labels(self, request, where, label, out);
    free(label);
    return status;
}

/* Names of `expected` columns, where the dataset has as many. */
static ds_status hdf5_columns(const hdf5_array *self, size_t expected, ds_dataset *out,
                              const char *const **column)
{
    size_t n = 0;
    const char *const *name = NULL;
    DS_TRY(ds_h5names_read(self->set, H5NAMES_COLUMNS, self->path, out->arena, &n, &name));
    if (n == expected)
        *column = name;
    return DS_OK;
}

static ds_status hdf5_targets(const hdf5_array *self, const hdf5_array *inputs,
                              const ds_read_request *request, ds_dataset *out)
{
    DS_CHECK(self->n == inputs->n, DS_ERR_DATA,
             "%s: dataset '%s' has %zu targets for the %zu samples of '%s'", self->path, self->name,
             self->n, inputs->n, inputs->name);
    if (request->kind == DS_TARGET_CLASS)
        return hdf5_classes(self, request, out);
    DS_CHECK(self->sample.n == 1, DS_ERR_DATA,
             "%s: dataset '%s' has %zu dimensions, expected (n) or (n, k)", self->path, self->name,
             self->sample.n + 1);
    out->kind = DS_TARGET_REAL;
    out->n_targets = self->sample.dim[0];
    DS_TRY(hdf5_columns(self, out->n_targets, out, &out->target_column));
    return hdf5_take_real(self, out->arena, &out->target);
}

static ds_status hdf5_inputs(const hdf5_array *self, const ds_read_request *request,
                             ds_dataset *out)
{
    char where[512];
    uint8_t *bytes = NULL;
    snprintf(where, sizeof where, "%s: dataset '%s'", self->path, self->name);
    DS_TRY(ds_read_input(request, where, self->n, &self->sample, out));
    DS_TRY(hdf5_columns(self, ds_shape_elements(&self->sample), out, &out->column));
    if (!self->bytes)
        return hdf5_take_real(self, out->arena, &out->values);
    DS_TRY(
        ds_arena_take(out->arena, self->n, ds_shape_elements(&self->sample), self->name, &bytes));
    out->bytes = bytes;
    return hdf5_take(self, H5T_NATIVE_UINT8, bytes);
}

static ds_status hdf5_file(const hdf5_options *o, const ds_read_request *request, ds_dataset *out)
{
    hdf5_array x = {.path = o->path, .name = o->inputs, .set = -1};
    hdf5_array y = {.path = o->path, .name = o->targets, .set = -1};
    hdf5_local access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
    if (access >= 0)
        H5Pset_file_locking(access, 0, 1); /* nobody writes; network homes refuse flock */
#endif
    hdf5_local file = H5Fopen(o->path, H5F_ACC_RDONLY, access);
    if (file < 0)
        return hdf5_fail(o->path, "open it", "");
    const ds_value *source = request->source, *at = ds_value_find(source, "inputs");
    ds_status status = hdf5_open(file, request->split, at != NULL ? at : source, &x);
    hdf5_local x_set = x.set;
    DS_TRY(status);
    DS_TRY(hdf5_inputs(&x, request, out));
    if (request->targets_optional)
        return DS_OK;
    at = ds_value_find(source, "targets");
    status = hdf5_open(file, request->split, at != NULL ? at : source, &y);
    hdf5_local y_set = y.set;
    (void)x_set;
    (void)y_set;
    DS_TRY(status);
    return hdf5_targets(&y, &x, request, out);
}

static ds_status hdf5_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const hdf5_options *o = opts;
    char what[64];
    H5E_auto2_t print = NULL;
    void *context = NULL;
    snprintf(what, sizeof what, "%s data", request->split);
    DS_TRY(ds_h5probe(what, o->path));
    H5Eget_auto2(H5E_DEFAULT, &print, &context);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    ds_status status = hdf5_file(o, request, out);
    H5Eset_auto2(H5E_DEFAULT, print, context);
    return status;
}

extern const ds_format_ops ds_format_hdf5;
const ds_format_ops ds_format_hdf5 = {
    .name = "hdf5",
    .help = "two datasets of an HDF5 file: inputs (n, ...) and targets (n) or (n, k)",
    .options = options,
    .options_size = sizeof(hdf5_options),
    .read = hdf5_read,
};
