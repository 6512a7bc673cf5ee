/* A data file without a config: its format is told by its content and name, and where these say
 * nothing by the source that it is to be like. */
#include <stdio.h>
#include <string.h>

#include "datafile.h"
#include "read.h"

enum { GUESS_HEAD = 1024, GUESS_CIFAR10 = 3073, GUESS_CIFAR100 = 3074 };

static bool guess_ends(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0;
}

/* "label index:value": does the first line read so? */
static bool guess_is_libsvm(const char *head)
{
    head += strspn(head, " \t\r\n");
    const char *second = head + strcspn(head, " \t\r\n:,");
    size_t blanks = strspn(second, " \t");
    second += blanks;
    size_t digits = strspn(second, "0123456789");
    return blanks > 0 && ((digits > 0 && second[digits] == ':') || strncmp(second, "qid:", 4) == 0);
}

/* Formats whose files have no mark of their own. */
static const char *guess_unmarked(const char *like)
{
    static const char *const names[] = {"cifar10", "cifar100", "libsvm", "text", "tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(like, names[i]) == 0)
            return names[i];
    return NULL;
}

static const char *guess_of(const char *path, const char *like, size_t most, size_t got,
                            const char *head)
{
    bool bin = guess_ends(path, ".bin") && most > 0;
    if (got >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0)
        return "hdf5";
    if (got >= 6 && memcmp(head, "\x93NUMPY", 6) == 0)
        return "npy";
    if (guess_ends(path, ".csv") || guess_ends(path, ".csv.gz"))
        return "csv";
    if (guess_unmarked(like) != NULL)
        return guess_unmarked(like);
    if (bin && most % GUESS_CIFAR10 == 0)
        return "cifar10";
    if (bin && most % GUESS_CIFAR100 == 0)
        return "cifar100";
    if (got >= 4 && head[0] == 0 && head[1] == 0)
        return "idx";
    return guess_is_libsvm(head) ? "libsvm" : "csv";
}

static ds_status guess_format(const char *path, const char *like, const char **format)
{
    char head[GUESS_HEAD + 1] = "";
    size_t got = 0;
    ds_auto(ds_datafile) file = NULL;
    *format = guess_unmarked(like) != NULL ? guess_unmarked(like) : "csv";
    if (strcmp(path, "-") == 0)
        return DS_OK;
    DS_TRY(ds_datafile_open("input", path, false, &file));
    DS_TRY(ds_datafile_read(file, head, GUESS_HEAD, &got));
    *format = guess_of(path, like, ds_datafile_most(file), got, head);
    return DS_OK;
}

/* Does the file's name stand there, or another file's that belongs to the source's own? */
static bool guess_replaced(const char *format, const char *key, const char *name)
{
    return strcmp(name, key) == 0 || strcmp(name, "labels") == 0 ||
           (strcmp(format, "npy") == 0 && strcmp(name, "targets") == 0);
}

/* The file's name goes where the format's options expect it; other options come from
 * request->source, unless that is of another format or names another file's labels. */
static ds_status guess_source(const char *format, const char *path, const ds_value *like,
                              ds_arena *arena, ds_value **out)
{
    const char *key = strcmp(format, "idx") == 0   ? "images"
                      : strcmp(format, "npy") == 0 ? "inputs"
                                                   : "path";
    ds_value *map = NULL, *name = NULL;
    const ds_value *other = ds_value_find(like, "format");
    if (other != NULL && other->text != NULL && strcmp(other->text, format) != 0)
        like = NULL;
    DS_TRY(ds_value_group(arena, DS_VALUE_MAP, NULL, &map));
    for (size_t i = 0; like != NULL && i < like->n; i++)
        if (!guess_replaced(format, key, like->child[i]->key))
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
    const ds_value *like = ds_value_find(request->source, "format");
    DS_TRY(guess_format(path, like != NULL && like->text != NULL ? like->text : "", &format));
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
