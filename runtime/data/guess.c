/* A data file without a config: its format is told by its content. */
#include <stdio.h>
#include <string.h>

#include "datafile.h"
#include "read.h"

static ds_status guess_format(const char *path, const char **format)
{
    static const unsigned char hdf5[8] = "\x89HDF\r\n\x1a\n";
    unsigned char head[8] = {0};
    size_t got = 0;
    ds_auto(ds_datafile) file = NULL;
    *format = "csv";
    if (strcmp(path, "-") == 0)
        return DS_OK;
    DS_TRY(ds_datafile_open("input", path, false, &file));
    DS_TRY(ds_datafile_read(file, head, sizeof head, &got));
    if (got == sizeof head && memcmp(head, hdf5, sizeof head) == 0)
        *format = "hdf5";
    else if (got >= 4 && head[0] == 0 && head[1] == 0)
        *format = "idx";
    return DS_OK;
}

/* The file's name goes where the format's options expect it; other options come from
 * request->source, unless that is of another format or names another file's labels. */
static ds_status guess_source(const char *format, const char *path, const ds_value *like,
                              ds_arena *arena, ds_value **out)
{
    const char *key = strcmp(format, "idx") == 0 ? "images" : "path";
    ds_value *map = NULL, *name = NULL;
    const ds_value *other = ds_value_find(like, "format");
    if (other != NULL && other->text != NULL && strcmp(other->text, format) != 0)
        like = NULL;
    DS_TRY(ds_value_group(arena, DS_VALUE_MAP, NULL, &map));
    for (size_t i = 0; like != NULL && i < like->n; i++)
        if (strcmp(like->child[i]->key, key) != 0 && strcmp(like->child[i]->key, "labels") != 0)
            DS_TRY(ds_value_add(arena, map, like->child[i]));
    DS_TRY(ds_value_scalar(arena, key, path, &name));
    name->quoted = true;
    DS_TRY(ds_value_add(arena, map, name));
    *out = map;
    return DS_OK;
}

ds_status ds_dataset_read_file(const char *path, const ds_read_request *request, ds_dataset **out)
{
    const char *format = NULL;
    ds_arena *made = NULL;
    ds_value *source = NULL;
    DS_TRY(guess_format(path, &format));
    const ds_format_ops *ops = ds_format_find(format);
    DS_CHECK(ops != NULL, DS_ERR_DATA, "'%s' looks like %s, which this build does not read", path,
             format);
    DS_TRY(ds_arena_create("data options", &made));
    ds_auto(ds_arena) arena = made;
    DS_TRY(guess_source(format, path, request->source, arena, &source));
    ds_read_request with = *request;
    with.source = source;
    return ds_read_format(ops, &with, out);
}
