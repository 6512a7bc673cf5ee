/* --set KEY=VALUE: an edit of the tree by path. The value is YAML, so lists and maps work; maps on
 * the way are made, list items must exist. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"

size_t ds_value_count(const ds_value *self)
{
    size_t n = 1;
    for (size_t i = 0; i < self->n; i++)
        n += ds_value_count(self->child[i]);
    return n;
}

ds_status ds_value_copy(ds_arena *arena, const char *key, const ds_value *from, ds_value **out)
{
    ds_value *self = NULL;
    if (from->kind == DS_VALUE_SCALAR)
        DS_TRY(ds_value_scalar(arena, key, from->text, &self));
    else
        DS_TRY(ds_value_group(arena, from->kind, key, &self));
    self->quoted = from->quoted;
    self->source = from->source;
    self->line = from->line;
    self->column = from->column;
    self->key_line = from->key_line;
    self->key_column = from->key_column;
    for (size_t i = 0; i < from->n; i++) {
        ds_value *child = NULL;
        DS_TRY(ds_value_copy(arena, from->child[i]->key, from->child[i], &child));
        DS_TRY(ds_value_add(arena, self, child));
    }
    *out = self;
    return DS_OK;
}

bool ds_config_edit_covers(const char *edit, const char *path)
{
    size_t n = strcspn(edit, "="), m = strlen(path);
    size_t common = n < m ? n : m;
    if (strncmp(edit, path, common) != 0)
        return false;
    return (n == m) || (n < m ? path[n] == '.' : edit[m] == '.');
}

/* `optimizer: adamw` is short for a map: an edit of its inside needs the long form. */
static ds_status edit_lengthen(ds_arena *arena, const ds_value *root, ds_value *self)
{
    static const char *const shorts[][2] = {
        {"loss", "name"}, {"optimizer", "name"}, {"lr", "schedule"}};
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++) {
        if (self->kind != DS_VALUE_SCALAR || ds_value_find(root, shorts[i][0]) != self)
            continue;
        ds_value *name = NULL;
        DS_TRY(ds_value_copy(arena, shorts[i][1], self, &name));
        self->kind = DS_VALUE_MAP;
        self->text = NULL;
        self->quoted = false;
        return ds_value_add(arena, self, name);
    }
    return DS_OK;
}

/* An item of model.layers is of one kind for good: a second kind beside it would be no layer. */
static ds_status edit_layer_kind(const ds_value *self, const char *path, const char *key,
                                 const ds_value *at)
{
    static const char list[] = "model.layers.";
    if (strncmp(path, list, sizeof list - 1) != 0 || strchr(path + sizeof list - 1, '.') != NULL ||
        self->n != 1)
        return DS_OK;
    const char *kind = self->child[0]->key;
    const char *closest = ds_closest(key, 1, &kind);
    return ds_value_fail(at,
                         "'%.80s' is a layer '%.60s': it has no '%.60s'%s%s%s; --set %.80s={...} "
                         "puts another layer there",
                         path, kind, key, closest == NULL ? "" : " (closest: '",
                         closest == NULL ? "" : closest, closest == NULL ? "" : "')", path);
}

/* Where `key` of self stands; *slot is NULL when a map has no such key. */
static ds_status edit_slot(const ds_value *self, const char *path, const char *key,
                           const char *source, ds_value ***slot)
{
    ds_value at = {.source = source};
    char found[96];
    *slot = NULL;
    if (self->kind == DS_VALUE_SCALAR)
        return ds_value_fail(&at, "'%.80s' is %s, not a map: it has no '%.60s'", path,
                             ds_value_describe(self, sizeof found, found), key);
    if (self->kind == DS_VALUE_LIST) {
        size_t digits = strspn(key, "0123456789");
        bool number = digits > 0 && digits < 9 && key[digits] == '\0';
        size_t i = number ? (size_t)strtoul(key, NULL, 10) : self->n;
        if (i >= self->n && self->n == 0)
            return ds_value_fail(&at, "'%.80s' is an empty list, found item '%.60s'", path, key);
        if (i >= self->n)
            return ds_value_fail(&at,
                                 "'%.80s' is a list of %zu: found item '%.60s', expected 0..%zu",
                                 path, self->n, key, self->n - 1);
        *slot = &self->child[i];
        return DS_OK;
    }
    for (size_t i = 0; i < self->n; i++)
        if (strcmp(self->child[i]->key, key) == 0)
            *slot = &self->child[i];
    return *slot != NULL ? DS_OK : edit_layer_kind(self, path, key, &at);
}

static ds_status edit_put(ds_arena *arena, ds_value *self, ds_value **slot, const char *key,
                          ds_value *value)
{
    char *copy = NULL;
    if (self->kind == DS_VALUE_MAP)
        DS_TRY(ds_arena_text(arena, key, &copy));
    value->key = copy;
    if (slot == NULL)
        return ds_value_add(arena, self, value);
    *slot = value;
    return DS_OK;
}

/* One step down the path, making a map where there is nothing yet. */
static ds_status edit_enter(ds_arena *arena, ds_value **self, const char *path, const char *key,
                            const char *source)
{
    ds_value **slot = NULL, *made = NULL;
    DS_TRY(edit_slot(*self, path, key, source, &slot));
    if (slot == NULL || ds_value_is_null(*slot)) {
        DS_TRY(ds_value_group(arena, DS_VALUE_MAP, NULL, &made));
        made->source = source;
        DS_TRY(edit_put(arena, *self, slot, key, made));
        *self = made;
        return DS_OK;
    }
    if (path[0] == '\0')
        DS_TRY(edit_lengthen(arena, *self, *slot));
    *self = *slot;
    return DS_OK;
}

static ds_status edit_walk(ds_arena *arena, ds_value *root, char *path, const char *source,
                           ds_value *value)
{
    ds_value *self = root;
    ds_value **slot = NULL;
    char *key = path, *dot;
    char above[128] = "";
    while ((dot = strchr(key, '.')) != NULL) {
        *dot = '\0';
        DS_TRY(edit_enter(arena, &self, above, key, source));
        size_t used = strlen(above);
        snprintf(above + used, sizeof above - used, "%s%s", used == 0 ? "" : ".", key);
        key = dot + 1;
    }
    DS_TRY(edit_slot(self, above, key, source, &slot));
    return edit_put(arena, self, slot, key, value);
}

ds_status ds_config_edit(ds_arena *arena, ds_value *root, const char *edit)
{
    size_t n = strcspn(edit, "=");
    char *path = NULL, *source = NULL;
    ds_value *value = NULL;
    DS_CHECK(n > 0 && edit[n] == '=', DS_ERR_USAGE,
             "--set '%.80s': expected KEY=VALUE, as in --set optimizer.lr=0.01", edit);
    DS_TRY(ds_arena_printf(arena, &path, "%.*s", (int)n, edit));
    DS_TRY(ds_arena_printf(arena, &source, "--set %s", path));
    ds_value at = {.source = source};
    if (path[0] == '.' || path[n - 1] == '.' || strstr(path, "..") != NULL)
        return ds_value_fail(&at, "the key has an empty part, expected names joined by dots");
    if (edit[n + 1 + strspn(edit + n + 1, " \t\n")] == '\0')
        return ds_value_fail(&at, "no value after '='; write %.80s=null for the default", path);
    DS_TRY(ds_yaml_parse(arena, source, false, edit + n + 1, &value));
    if (value == NULL) {
        DS_TRY(ds_value_scalar(arena, NULL, "", &value));
        value->source = source;
    }
    return edit_walk(arena, root, path, source, value);
}
