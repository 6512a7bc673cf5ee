/* Names as attributes, as h5py reads and writes them: strings of one length (what we write) or each
 * of its own. A header message holds at most 64 KiB; longer lists are left out by the writer. */
#include "h5names.h"

#include <stdlib.h>
#include <string.h>

enum { H5NAMES_MOST = 1 << 20, H5NAMES_BYTES = 60000 };

typedef hid_t h5names_id;
static void h5names_close(h5names_id *id)
{
    if (*id >= 0)
        H5Idec_ref(*id);
}
#define h5names_local __attribute__((cleanup(h5names_close))) h5names_id

static ds_status h5names_fixed(hid_t attr, hid_t type, size_t n, ds_arena *arena, char **name)
{
    size_t size = H5Tget_size(type);
    char *text = calloc(n + 1, size + 1);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for %zu names", n);
    ds_status status = H5Aread(attr, type, text) >= 0
                           ? DS_OK
                           : DS_FAIL(DS_ERR_DATA, "HDF5 cannot read an attribute of names");
    for (size_t i = 0; i < n && status == DS_OK; i++)
        status = ds_arena_printf(arena, &name[i], "%.*s", (int)size, text + i * size);
    free(text);
    return status;
}

static ds_status h5names_variable(hid_t attr, hid_t type, hid_t space, size_t n, ds_arena *arena,
                                  char **name)
{
    char **text = calloc(n + 1, sizeof *text);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for %zu names", n);
    ds_status status = H5Aread(attr, type, text) >= 0
                           ? DS_OK
                           : DS_FAIL(DS_ERR_DATA, "HDF5 cannot read an attribute of names");
    for (size_t i = 0; i < n && status == DS_OK; i++)
        status = ds_arena_text(arena, text[i] == NULL ? "" : text[i], &name[i]);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, text);
    free(text);
    return status;
}

ds_status ds_h5names_read(hid_t object, const char *name, const char *where, ds_arena *arena,
                          size_t *n, const char *const **out)
{
    char **text = NULL;
    *n = 0;
    *out = NULL;
    if (H5Aexists(object, name) <= 0)
        return DS_OK;
    h5names_local attr = H5Aopen(object, name, H5P_DEFAULT);
    h5names_local type = attr < 0 ? -1 : H5Aget_type(attr);
    h5names_local space = attr < 0 ? -1 : H5Aget_space(attr);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    DS_CHECK(type >= 0 && H5Tget_class(type) == H5T_STRING && count > 0 && count <= H5NAMES_MOST,
             DS_ERR_DATA, "%s: its attribute '%s' is no list of names", where, name);
    DS_TRY(ds_arena_take(arena, (size_t)count, sizeof *text, "names", &text));
    if (H5Tis_variable_str(type) > 0)
        DS_TRY(h5names_variable(attr, type, space, (size_t)count, arena, text));
    else
        DS_TRY(h5names_fixed(attr, type, (size_t)count, arena, text));
    *n = (size_t)count;
    *out = (const char *const *)text;
    return DS_OK;
}

int64_t ds_h5names_count(hid_t object, const char *name)
{
    int64_t value = 0;
    if (H5Aexists(object, name) <= 0)
        return 0;
    h5names_local attr = H5Aopen(object, name, H5P_DEFAULT);
    h5names_local space = attr < 0 ? -1 : H5Aget_space(attr);
    h5names_local type = attr < 0 ? -1 : H5Aget_type(attr);
    bool one = space >= 0 && H5Sget_simple_extent_npoints(space) == 1 && type >= 0 &&
               H5Tget_class(type) == H5T_INTEGER;
    return one && H5Aread(attr, H5T_NATIVE_INT64, &value) >= 0 && value > 0 ? value : 0;
}

bool ds_h5names_write(hid_t object, const char *name, size_t n, const char *const *names)
{
    size_t size = 1;
    hsize_t dim = n;
    for (size_t i = 0; i < n; i++)
        size = strlen(names[i]) > size ? strlen(names[i]) : size;
    if (n > H5NAMES_BYTES / size)
        return true;
    char *text = calloc(n, size);
    h5names_local type = H5Tcopy(H5T_C_S1);
    h5names_local space = H5Screate_simple(1, &dim, NULL);
    bool good = text != NULL && type >= 0 && space >= 0 && H5Tset_size(type, size) >= 0 &&
                H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0;
    for (size_t i = 0; i < n && good; i++)
        memcpy(text + i * size, names[i], strlen(names[i]));
    h5names_local attr =
        good ? H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
    good = attr >= 0 && H5Awrite(attr, type, text) >= 0;
    free(text);
    return good;
}

bool ds_h5names_write_count(hid_t object, const char *name, int64_t value)
{
    h5names_local space = H5Screate(H5S_SCALAR);
    h5names_local attr = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    return attr >= 0 && H5Awrite(attr, H5T_NATIVE_INT64, &value) >= 0;
}
