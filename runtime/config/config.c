/* Text -> checked config: YAML to a tree, --set edits on the tree, then each section through its
 * table. What comes out beside the struct is the resolved tree, from which the same config can be
 * made again. */
#include "descent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_parts.h"

static ds_status config_read_all(FILE *file, const char *path, char *text)
{
    size_t n = fread(text, 1, CONFIG_MOST_BYTES + 1, file);
    DS_CHECK(ferror(file) == 0, DS_ERR_USAGE, "config %s: cannot read: %s", path, strerror(errno));
    DS_CHECK(n <= CONFIG_MOST_BYTES, DS_ERR_USAGE,
             "config %s: more than %d bytes: is this a config?", path, CONFIG_MOST_BYTES);
    DS_CHECK(memchr(text, '\0', n) == NULL, DS_ERR_USAGE,
             "config %s: byte 0 found, expected a YAML text", path);
    text[n] = '\0';
    return DS_OK;
}

/* A pipe is read to its end, but one that nobody writes to is not waited for. */
static FILE *config_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    int flags = fcntl(fd, F_GETFL);
    FILE *file =
        flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? fdopen(fd, "rb") : NULL;
    if (file == NULL)
        close(fd);
    return file;
}

ds_status ds_config_read(const char *path, char **text)
{
    FILE *file = config_open(path);
    DS_CHECK(file != NULL, DS_ERR_USAGE, "config %s: cannot open: %s", path, strerror(errno));
    char *room = malloc(CONFIG_MOST_BYTES + 2);
    ds_status st = room == NULL ? DS_FAIL(DS_ERR_NOMEM, "out of memory for config %s", path)
                                : config_read_all(file, path, room);
    fclose(file);
    if (st != DS_OK) {
        free(room);
        return st;
    }
    *text = room;
    return DS_OK;
}

void ds_config_destroy(ds_config **config)
{
    if (*config == NULL)
        return;
    ds_arena_destroy(&(*config)->arena);
    free(*config);
    *config = NULL;
}

static ds_status config_absolute(ds_config *self, const char *path)
{
    char here[PATH_MAX], *text = NULL;
    if (path == NULL || path[0] == '\0' || path[0] == '/') {
        DS_TRY(ds_arena_text(self->arena, path == NULL ? "" : path, &text));
    } else {
        DS_CHECK(getcwd(here, sizeof here) != NULL, DS_ERR_USAGE,
                 "the current directory has no path: give the config's absolute path");
        DS_TRY(ds_arena_printf(self->arena, &text, "%s/%s", here, path));
    }
    self->path = text;
    return DS_OK;
}

static ds_status config_tree(ds_config *self, const char *source, const char *text, ds_value **out)
{
    ds_value *tree = NULL;
    ds_value at = {.source = source};
    char found[96];
    DS_TRY(ds_yaml_parse(self->arena, source, true, text, &tree));
    if (ds_value_is_null(tree))
        return ds_value_fail(&at, "the config is empty, expected keys such as data, model, loss, "
                                  "train");
    if (tree->kind != DS_VALUE_MAP)
        return ds_value_fail(tree,
                             "the config is %s, expected a map of keys such as data, model, "
                             "loss, train",
                             ds_value_describe(tree, sizeof found, found));
    *out = tree;
    return DS_OK;
}

/* The name becomes a directory. Default: the file's name without its last extension. */
static ds_status config_name(ds_config *self, const ds_value *given, const char *name)
{
    const char *slash = strrchr(self->path, '/');
    const char *file = slash == NULL ? self->path : slash + 1;
    const char *dot = strrchr(file, '.');
    char *stem = NULL;
    if (name[0] == '\0') {
        size_t n = dot == NULL || dot == file ? strlen(file) : (size_t)(dot - file);
        DS_TRY(ds_arena_printf(self->arena, &stem, "%.*s", (int)n, n == 0 ? "run" : file));
        name = file[0] == '\0' ? "run" : stem;
    }
    bool plain = name[0] != '.' && strchr(name, '/') == NULL && strlen(name) <= 200;
    for (const char *p = name; *p != '\0'; p++)
        plain = plain && (unsigned char)*p >= 0x20;
    if (!plain)
        return ds_value_fail(given,
                             "name is '%.60s', expected a name for a directory: at most 200 "
                             "characters, no '/', no leading '.'",
                             name);
    self->name = name;
    return DS_OK;
}

static ds_status config_take(ds_config *self, const ds_value *tree)
{
    ds_raw_root raw = {0};
    ds_value *root = NULL;
    char seed[32];
    const ds_option *table = ds_config_root_options;
    DS_TRY(ds_options_check(1, &table, tree, "config"));
    DS_TRY(ds_config_check_subject(tree));
    DS_TRY(ds_options_fill(table, tree, "config", self->arena, &raw));
    DS_TRY(ds_value_group(self->arena, DS_VALUE_MAP, NULL, &root));
    DS_TRY(config_name(self, ds_value_find(tree, "name"), raw.name));
    self->seed = (uint64_t)raw.seed;
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)self->seed);
    DS_TRY(ds_config_put(self, root, "name", self->name, ds_value_find(tree, "name")));
    DS_TRY(ds_config_put(self, root, "seed", seed, ds_value_find(tree, "seed")));
    DS_TRY(ds_config_take_data(self, raw.data, root));
    DS_TRY(ds_config_take_subject(self, &raw, root));
    DS_TRY(ds_config_take_batch(self, raw.batch, root));
    DS_TRY(ds_config_take_optimizer(self, raw.optimizer, root));
    DS_TRY(ds_config_take_lr(self, raw.lr, root));
    DS_TRY(ds_config_take_sync(self, raw.sync, root));
    DS_TRY(ds_config_take_compute(self, raw.compute, root));
    DS_TRY(ds_config_take_train(self, raw.train, root));
    DS_TRY(ds_config_take_eval(self, raw.eval, root));
    DS_TRY(ds_config_take_stop(self, raw.stop, root));
    DS_TRY(ds_config_take_checkpoint(self, raw.checkpoint, root));
    DS_TRY(ds_config_take_watch(self, raw.watch, root));
    self->root = root;
    return DS_OK;
}

ds_status ds_config_create(const char *text, const char *path, size_t n_set, const char *const *set,
                           ds_config **out)
{
    ds_auto(ds_config) self = calloc(1, sizeof *self);
    ds_value *tree = NULL;
    char *source = NULL;
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for the config");
    DS_TRY(ds_arena_create("config", &self->arena));
    DS_TRY(config_absolute(self, path));
    DS_TRY(ds_arena_text(self->arena, self->path[0] == '\0' ? "config" : path, &source));
    DS_TRY(config_tree(self, source, text, &tree));
    for (size_t i = 0; i < n_set; i++)
        DS_TRY(ds_config_edit(self->arena, tree, set[i]));
    DS_TRY(config_take(self, tree));
    *out = ds_steal(self);
    return DS_OK;
}
