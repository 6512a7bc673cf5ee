/* libhdf5's share. Datasets are contiguous, allocated early and never filled, so that their bytes
 * can be written at H5Dget_offset (which counts from the start of the file, user block included) by
 * any rank. Object times off, format fixed to 1.8's: equal content gives equal bytes. Texts are of
 * variable length: they live in the global heap, where the 64 KiB limit of attributes does not
 * hold. */
#include "h5file.h"

#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

#include "format_v1.h"

/* HDF5 prints errors unless told otherwise; told so only while we call it. */
typedef struct h5file_quiet {
    H5E_auto2_t print;
    void *context;
} h5file_quiet;

static h5file_quiet h5file_hush(void)
{
    h5file_quiet was = {0};
    H5Eget_auto2(H5E_DEFAULT, &was.print, &was.context);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return was;
}

static void h5file_unhush(h5file_quiet was)
{
    H5Eset_auto2(H5E_DEFAULT, was.print, was.context);
}

static herr_t h5file_deepest(unsigned n, const H5E_error2_t *error, void *context)
{
    if (n == 0)
        *(const char **)context = error->desc;
    return 0;
}

static ds_status h5file_fail(ds_status code, const char *path, const char *what)
{
    const char *cause = "no reason given";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, h5file_deepest, (void *)&cause);
    return DS_FAIL(code, "%s: HDF5 cannot %s: %s", path, what, cause);
}

#define H5FILE_TRY(expr, code, path, what)              \
    do {                                                \
        if ((expr) < 0)                                 \
            return h5file_fail((code), (path), (what)); \
    } while (0)

typedef hid_t h5file_id;
static void h5file_id_close(h5file_id *id)
{
    if (*id >= 0)
        H5Idec_ref(*id);
}
#define h5file_local __attribute__((cleanup(h5file_id_close))) h5file_id

/* What every object of a file being made needs. */
typedef struct h5file_maker {
    const char *path;
    hid_t file, group_plan, dataset_plan, text_type;
} h5file_maker;

static hid_t h5file_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, 0, 1); /* the run's own lock guards; network homes refuse flock */
#endif
    return access;
}

/* Every group on the way to `object`. */
static ds_status h5file_groups(const h5file_maker *self, const char *object)
{
    char part[1024];
    DS_CHECK(*object == '/' && strlen(object) < sizeof part, DS_ERR_INTERNAL,
             "checkpoint entry '%s': not an absolute path below 1024 characters", object);
    for (const char *slash = strchr(object + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, object, (size_t)(slash - object));
        part[slash - object] = '\0';
        htri_t exists = H5Lexists(self->file, part, H5P_DEFAULT);
        H5FILE_TRY(exists, DS_ERR_WRITE, self->path, "look for a group");
        if (exists > 0)
            continue;
        h5file_local group =
            H5Gcreate2(self->file, part, H5P_DEFAULT, self->group_plan, H5P_DEFAULT);
        H5FILE_TRY(group, DS_ERR_WRITE, self->path, "create a group");
    }
    return DS_OK;
}

static hid_t h5file_disk_type(ds_dtype type)
{
    switch (type) {
    case DS_F32:
        return H5T_IEEE_F32LE;
    case DS_F64:
        return H5T_IEEE_F64LE;
    case DS_I64:
        return H5T_STD_I64LE;
    case DS_U8:
        break;
    }
    return H5T_STD_U8LE;
}

static ds_status h5file_dataset(const h5file_maker *self, const ds_entry *entry, uint64_t *offset)
{
    DS_TRY(h5file_groups(self, entry->path));
    hsize_t dim[DS_MAX_DIMS];
    for (size_t d = 0; d < entry->shape.n; d++)
        dim[d] = entry->shape.dim[d];
    h5file_local space = entry->shape.n == 0 ? H5Screate(H5S_SCALAR)
                                             : H5Screate_simple((int)entry->shape.n, dim, NULL);
    H5FILE_TRY(space, DS_ERR_WRITE, self->path, "describe a tensor");
    h5file_local set = H5Dcreate2(self->file, entry->path, h5file_disk_type(entry->type), space,
                                  H5P_DEFAULT, self->dataset_plan, H5P_DEFAULT);
    if (set < 0) {
        (void)h5file_fail(DS_ERR_WRITE, self->path, "create a tensor");
        return ds_fail_prefix(DS_ERR_WRITE, "%s: ", entry->path);
    }
    haddr_t at = ds_shape_elements(&entry->shape) == 0 ? 0 : H5Dget_offset(set);
    DS_CHECK(at != HADDR_UNDEF, DS_ERR_INTERNAL, "%s: HDF5 gave %s no room (a bug)", self->path,
             entry->path);
    *offset = at;
    return DS_OK;
}

static ds_status h5file_attr(const h5file_maker *self, hid_t group, const ds_attr *attr)
{
    hid_t disk = H5T_STD_I64LE, memory = H5T_NATIVE_INT64;
    const void *value = &attr->integer;
    const char *words = attr->text == NULL ? "" : attr->text;
    if (attr->kind == DS_ATTR_REAL) {
        disk = H5T_IEEE_F64LE;
        memory = H5T_NATIVE_DOUBLE;
        value = &attr->real;
    } else if (attr->kind == DS_ATTR_TEXT) {
        disk = memory = self->text_type;
        value = &words;
    }
    h5file_local space = H5Screate(H5S_SCALAR);
    h5file_local at = H5Acreate2(group, attr->name, disk, space, H5P_DEFAULT, H5P_DEFAULT);
    H5FILE_TRY(at, DS_ERR_WRITE, self->path, "create an attribute");
    H5FILE_TRY(H5Awrite(at, memory, value), DS_ERR_WRITE, self->path, "write an attribute");
    return DS_OK;
}

static ds_status h5file_fill(h5file_maker *self, const ds_snapshot *s, uint64_t *offset)
{
    DS_TRY(h5file_groups(self, "/run/"));
    h5file_local run = H5Gopen2(self->file, "/run", H5P_DEFAULT);
    H5FILE_TRY(run, DS_ERR_WRITE, self->path, "open /run");
    for (size_t i = 0; i < s->n_attrs; i++)
        DS_TRY(h5file_attr(self, run, &s->attr[i]));
    for (size_t i = 0; i < s->n_entries; i++)
        DS_TRY(h5file_dataset(self, &s->entry[i], &offset[i]));
    return DS_OK;
}

static hid_t h5file_text_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static ds_status h5file_make(const char *path, const ds_snapshot *s, uint64_t *offset)
{
    h5file_local access = h5file_access();
    h5file_local plan = H5Pcreate(H5P_FILE_CREATE);
    h5file_local groups = H5Pcreate(H5P_GROUP_CREATE);
    h5file_local sets = H5Pcreate(H5P_DATASET_CREATE);
    h5file_local text = h5file_text_type();
    H5Pset_userblock(plan, DS_HEAD_BYTES);
    H5Pset_obj_track_times(plan, 0);
    H5Pset_obj_track_times(groups, 0);
    H5Pset_obj_track_times(sets, 0);
    H5Pset_layout(sets, H5D_CONTIGUOUS);
    H5Pset_alloc_time(sets, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(sets, H5D_FILL_TIME_NEVER);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, plan, access);
    H5FILE_TRY(file, DS_ERR_WRITE, path, "create the file");
    h5file_maker self = {path, file, groups, sets, text};
    ds_status st = h5file_fill(&self, s, offset);
    if (H5Fclose(file) < 0 && st == DS_OK)
        st = h5file_fail(DS_ERR_WRITE, path, "close the file");
    return st;
}

ds_status ds_h5_create(const char *path, const ds_snapshot *snapshot, uint64_t *offset)
{
    h5file_quiet was = h5file_hush();
    ds_status st = h5file_make(path, snapshot, offset);
    h5file_unhush(was);
    return st;
}

static ds_status h5file_get_text(const char *path, hid_t at, hid_t type, ds_attr *out)
{
    char *text = NULL;
    if (H5Tis_variable_str(type) > 0) {
        char *theirs = NULL;
        h5file_local memory = h5file_text_type();
        H5FILE_TRY(H5Aread(at, memory, (void *)&theirs), DS_ERR_CHECKPOINT, path,
                   "read an attribute");
        text = strdup(theirs == NULL ? "" : theirs);
        H5free_memory(theirs);
    } else {
        size_t n = H5Tget_size(type);
        text = calloc(n + 1, 1);
        if (text != NULL && H5Aread(at, type, text) < 0) {
            free(text);
            return h5file_fail(DS_ERR_CHECKPOINT, path, "read an attribute");
        }
    }
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "%s: out of memory for an attribute", path);
    out->kind = DS_ATTR_TEXT;
    out->text = text;
    return DS_OK;
}

static ds_status h5file_get_attr(const char *path, hid_t group, hsize_t i, ds_attr *out)
{
    h5file_local at =
        H5Aopen_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT);
    H5FILE_TRY(at, DS_ERR_CHECKPOINT, path, "open an attribute");
    ssize_t n = H5Aget_name(at, 0, NULL);
    H5FILE_TRY(n, DS_ERR_CHECKPOINT, path, "name an attribute");
    char *name = calloc((size_t)n + 1, 1);
    DS_CHECK(name != NULL, DS_ERR_NOMEM, "%s: out of memory for an attribute", path);
    out->name = name;
    H5FILE_TRY(H5Aget_name(at, (size_t)n + 1, name), DS_ERR_CHECKPOINT, path, "name an attribute");
    h5file_local type = H5Aget_type(at);
    h5file_local space = H5Aget_space(at);
    DS_CHECK(H5Sget_simple_extent_npoints(space) == 1, DS_ERR_CHECKPOINT,
             "%s: attribute %s of /run is an array, one value was expected", path, name);
    H5T_class_t class = H5Tget_class(type);
    if (class == H5T_STRING)
        return h5file_get_text(path, at, type, out);
    bool real = class == H5T_FLOAT;
    DS_CHECK(real || class == H5T_INTEGER, DS_ERR_CHECKPOINT,
             "%s: attribute %s of /run is neither text nor a number", path, name);
    out->kind = real ? DS_ATTR_REAL : DS_ATTR_INT;
    H5FILE_TRY(real ? H5Aread(at, H5T_NATIVE_DOUBLE, &out->real)
                    : H5Aread(at, H5T_NATIVE_INT64, &out->integer),
               DS_ERR_CHECKPOINT, path, "read an attribute");
    return DS_OK;
}

static ds_status h5file_get_attrs(const char *path, size_t *n, ds_attr **out)
{
    h5file_local access = h5file_access();
    h5file_local file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5FILE_TRY(file, DS_ERR_CHECKPOINT, path, "open the file");
    h5file_local run = H5Gopen2(file, "/run", H5P_DEFAULT);
    H5FILE_TRY(run, DS_ERR_CHECKPOINT, path, "open /run");
    H5O_info_t info;
    H5FILE_TRY(H5Oget_info2(run, &info, H5O_INFO_NUM_ATTRS), DS_ERR_CHECKPOINT, path,
               "count the attributes");
    ds_attr *attr = calloc((size_t)info.num_attrs + 1, sizeof *attr);
    DS_CHECK(attr != NULL, DS_ERR_NOMEM, "%s: out of memory for attributes", path);
    ds_status st = DS_OK;
    for (hsize_t i = 0; i < info.num_attrs && st == DS_OK; i++)
        st = h5file_get_attr(path, run, i, &attr[i]);
    if (st != DS_OK) {
        ds_attrs_free((size_t)info.num_attrs, attr);
        return st;
    }
    *n = (size_t)info.num_attrs;
    *out = attr;
    return DS_OK;
}

ds_status ds_h5_attrs(const char *path, size_t *n, ds_attr **out)
{
    h5file_quiet was = h5file_hush();
    ds_status st = h5file_get_attrs(path, n, out);
    h5file_unhush(was);
    return st;
}

void ds_attrs_free(size_t n, ds_attr *attr)
{
    for (size_t i = 0; attr != NULL && i < n; i++) {
        free((void *)(uintptr_t)attr[i].name);
        free((void *)(uintptr_t)attr[i].text);
    }
    free(attr);
}
