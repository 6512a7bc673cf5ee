/* The data section. Sources stay trees for their readers; here they get a format, and absolute
 * paths: what a config names is looked for beside it, in $DESCENT_DATA, in Debian's data sets. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_parts.h"

static bool data_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* Where relative paths start: the folder of the config, or the current one for a text. */
static ds_status data_home(ds_config *self, char **out)
{
    char here[PATH_MAX];
    const char *slash = strrchr(self->path, '/');
    if (slash != NULL)
        return ds_arena_printf(self->arena, out, "%.*s", (int)(slash - self->path), self->path);
    DS_CHECK(getcwd(here, sizeof here) != NULL, DS_ERR_USAGE,
             "the current directory has no path: relative paths in the config lead nowhere");
    return ds_arena_text(self->arena, here, out);
}

ds_status ds_config_path(ds_config *self, const char *text, char **out)
{
    if (text[0] == '/')
        return ds_arena_text(self->arena, text, out);
    char *home = NULL, *beside = NULL, *other = NULL;
    const char *folder[] = {getenv("DESCENT_DATA"), "/usr/share/datasets/fashion-mnist"};
    while (strncmp(text, "./", 2) == 0)
        text += 2;
    DS_TRY(data_home(self, &home));
    DS_TRY(ds_arena_printf(self->arena, &beside, "%s/%s", home, text));
    *out = beside;
    for (size_t i = 0; i < 2 && !data_exists(beside); i++) {
        if (folder[i] == NULL || folder[i][0] == '\0')
            continue;
        DS_TRY(ds_arena_printf(self->arena, &other, "%s/%s", folder[i], text));
        if (!data_exists(other))
            continue;
        char full[PATH_MAX];
        return ds_arena_text(self->arena, realpath(other, full) != NULL ? full : other, out);
    }
    return DS_OK;
}

/* A file's name, or a list of them, made absolute in place. */
static ds_status data_absolute(ds_config *self, ds_value *v)
{
    char *absolute = NULL;
    for (size_t i = 0; v->kind == DS_VALUE_LIST && i < v->n; i++)
        if (v->child[i]->kind == DS_VALUE_SCALAR)
            DS_TRY(data_absolute(self, v->child[i]));
    if (v->kind != DS_VALUE_SCALAR || ds_value_is_null(v))
        return DS_OK;
    DS_TRY(ds_config_path(self, v->text, &absolute));
    v->text = absolute;
    return DS_OK;
}

/* Is that the name of a file? Others' `inputs` name a data set inside one. */
static bool data_is_path(const char *format, const char *key)
{
    static const char *const always[] = {"images", "labels", "path"};
    if (strcmp(format, "npy") == 0 && (strcmp(key, "inputs") == 0 || strcmp(key, "targets") == 0))
        return true;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(key, always[i]) == 0)
            return true;
    return false;
}

static ds_status data_source(ds_config *self, const char *key, const ds_value *raw, ds_value *map,
                             const ds_value **out)
{
    char found[96];
    ds_value *source = NULL;
    if (raw->kind != DS_VALUE_MAP)
        return ds_value_fail(raw, "data.%s is %s, expected a map such as {format: csv, path: FILE}",
                             key, ds_value_describe(raw, sizeof found, found));
    const ds_value *format = ds_value_find(raw, "format");
    if (ds_value_is_null(format) || format->kind != DS_VALUE_SCALAR)
        return ds_value_fail(format != NULL ? format : raw,
                             "data.%s: 'format' is missing, expected one such as idx, csv, hdf5, "
                             "synthetic",
                             key);
    DS_TRY(ds_value_copy(self->arena, key, raw, &source));
    for (size_t i = 0; i < source->n; i++)
        if (data_is_path(format->text, source->child[i]->key))
            DS_TRY(data_absolute(self, source->child[i]));
    *out = source;
    return ds_value_add(self->arena, map, source);
}

/* A map that is no misspelt {fraction: F}. */
static bool data_is_source(const ds_value *raw)
{
    static const char *const name[] = {"fraction", "fold", "of"};
    return raw != NULL && raw->kind == DS_VALUE_MAP && raw->n > 0 &&
           ds_closest(raw->child[0]->key, 3, name) == NULL;
}

static ds_status data_folds(ds_config *self, const ds_value *raw, const ds_raw_fraction *part)
{
    const ds_value *fold = ds_value_find(raw, "fold");
    if (part->of == 0 && part->fold == 0)
        return DS_OK;
    if (part->of < 2 || part->fold < 1 || part->fold > part->of)
        return ds_value_fail(fold != NULL ? fold : ds_value_find(raw, "of"),
                             "data.validation: fold %lld of %lld, expected one from 1 to `of`, and "
                             "2 or more of them",
                             (long long)part->fold, (long long)part->of);
    if (part->fraction > 0)
        return ds_value_fail(ds_value_find(raw, "fraction"),
                             "data.validation has a fraction and a fold, expected one of them");
    self->data.fold = part->fold;
    self->data.folds = part->of;
    return DS_OK;
}

static ds_status data_validation(ds_config *self, const ds_value *raw, ds_value *map)
{
    ds_raw_fraction part = {0};
    ds_value *out = NULL;
    const ds_value *fraction = ds_value_find(raw, "fraction");
    fraction = fraction != NULL ? fraction : ds_value_find(raw, "fold");
    fraction = fraction != NULL ? fraction : ds_value_find(raw, "of");
    bool format = ds_value_find(raw, "format") != NULL;
    if (fraction != NULL && format)
        return ds_value_fail_key(fraction, "data.validation has a format and a fraction, expected "
                                           "one of them");
    if (format || (fraction == NULL && data_is_source(raw)))
        return data_source(self, "validation", raw, map, &self->data.validation);
    DS_TRY(
        ds_options_parse(ds_config_fraction_options, raw, "data.validation", self->arena, &part));
    self->data.validation_fraction = part.fraction;
    DS_TRY(data_folds(self, raw, &part));
    DS_TRY(ds_config_open(self, "validation", raw, map, &out));
    return ds_config_resolve(self, ds_config_fraction_options, &part, raw, out);
}

static ds_status data_augment(ds_config *self, const ds_value *raw, ds_value *map)
{
    ds_value *out = NULL;
    DS_TRY(ds_options_parse(ds_config_augment_options, raw, "data.augment", self->arena,
                            &self->data.augment));
    DS_TRY(ds_config_open(self, "augment", raw, map, &out));
    return ds_config_resolve(self, ds_config_augment_options, &self->data.augment, raw, out);
}

ds_status ds_config_take_data(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_raw_data data = {0};
    ds_value *map = NULL;
    const char *normalize = NULL;
    DS_TRY(ds_options_parse(ds_config_data_options, raw, "data", self->arena, &data));
    DS_TRY(ds_config_open(self, "data", raw, root, &map));
    if (data.train != NULL)
        DS_TRY(data_source(self, "train", data.train, map, &self->data.train));
    if (data.test != NULL)
        DS_TRY(data_source(self, "test", data.test, map, &self->data.test));
    else
        DS_TRY(ds_config_put(self, map, "test", "", NULL));
    DS_TRY(data_validation(self, data.validation, map));
    self->data.normalize = (ds_normalize)data.normalize;
    DS_TRY(ds_config_choice(self, ds_config_data_options, "normalize", data.normalize, &normalize));
    DS_TRY(ds_config_put(self, map, "normalize", normalize, ds_value_find(raw, "normalize")));
    return data_augment(self, data.augment, map);
}
