/* The tree of a configuration. Children live in an array that doubles when its length reaches a
 * power of two, so the struct needs no capacity. */
#include "descent/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_ROOM = 4 };

const ds_value *ds_value_find(const ds_value *self, const char *key)
{
    if (self == NULL || self->kind != DS_VALUE_MAP)
        return NULL;
    for (size_t i = 0; i < self->n; i++)
        if (self->child[i]->key != NULL && strcmp(self->child[i]->key, key) == 0)
            return self->child[i];
    return NULL;
}

static ds_status value_create(ds_arena *arena, ds_value_kind kind, const char *key, ds_value **out)
{
    ds_value *self = NULL;
    char *copy = NULL;
    if (key != NULL)
        DS_TRY(ds_arena_text(arena, key, &copy));
    DS_TRY(ds_arena_take(arena, 1, sizeof *self, "a config value", &self));
    *self = (ds_value){.kind = kind, .key = copy, .source = "default"};
    *out = self;
    return DS_OK;
}

ds_status ds_value_scalar(ds_arena *arena, const char *key, const char *text, ds_value **out)
{
    ds_value *self = NULL;
    char *copy = NULL;
    DS_TRY(ds_arena_text(arena, text, &copy));
    DS_TRY(value_create(arena, DS_VALUE_SCALAR, key, &self));
    self->text = copy;
    *out = self;
    return DS_OK;
}

ds_status ds_value_group(ds_arena *arena, ds_value_kind kind, const char *key, ds_value **out)
{
    DS_ASSERT(kind != DS_VALUE_SCALAR);
    return value_create(arena, kind, key, out);
}

ds_status ds_value_add(ds_arena *arena, ds_value *self, ds_value *child)
{
    DS_ASSERT(self->kind != DS_VALUE_SCALAR);
    DS_ASSERT(self->kind == DS_VALUE_LIST || child->key != NULL);
    for (size_t i = 0; self->kind == DS_VALUE_MAP && i < self->n; i++)
        if (strcmp(self->child[i]->key, child->key) == 0) {
            self->child[i] = child;
            return DS_OK;
        }
    bool full = self->n == 0 || (self->n >= FIRST_ROOM && (self->n & (self->n - 1)) == 0);
    if (full) {
        size_t room = self->n == 0 ? FIRST_ROOM : 2 * self->n;
        ds_value **grown = NULL;
        DS_TRY(ds_arena_take(arena, room, sizeof *grown, "config values", &grown));
        if (self->n > 0)
            memcpy(grown, self->child, self->n * sizeof *grown);
        self->child = grown;
    }
    self->child[self->n++] = child;
    return DS_OK;
}

bool ds_value_is_null(const ds_value *self)
{
    return self == NULL ||
           (self->kind == DS_VALUE_SCALAR && !self->quoted && self->text[0] == '\0');
}

const char *ds_value_describe(const ds_value *self, size_t room, char *text)
{
    if (ds_value_is_null(self))
        snprintf(text, room, "nothing");
    else if (self->kind != DS_VALUE_SCALAR)
        snprintf(text, room, self->kind == DS_VALUE_MAP ? "a map" : "a list");
    else if (self->quoted)
        snprintf(text, room, "the text \"%.60s\"", self->text);
    else
        snprintf(text, room, "'%.60s'", self->text);
    return text;
}

static ds_status value_fail(const ds_value *at, int line, int column, const char *message)
{
    ds_status st = DS_FAIL(DS_ERR_USAGE, "%s", message);
    if (at == NULL || at->source == NULL || strcmp(at->source, "default") == 0)
        return st;
    if (line > 0)
        return ds_fail_prefix(st, "%s:%d:%d: ", at->source, line, column);
    return ds_fail_prefix(st, "%s: ", at->source);
}

ds_status ds_value_fail(const ds_value *at, const char *fmt, ...)
{
    char message[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    return value_fail(at, at == NULL ? 0 : at->line, at == NULL ? 0 : at->column, message);
}

ds_status ds_value_fail_key(const ds_value *at, const char *fmt, ...)
{
    char message[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    bool keyed = at != NULL && at->key_line > 0;
    if (!keyed)
        return value_fail(at, at == NULL ? 0 : at->line, at == NULL ? 0 : at->column, message);
    return value_fail(at, at->key_line, at->key_column, message);
}
