/* A configuration as a tree of maps, lists and scalars that remembers where each came from. Neutral
 * between YAML (runtime/config reads it) and the option tables (workers read from it). */
#ifndef DS_VALUE_H
#define DS_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "descent/arena.h"

typedef enum ds_value_kind { DS_VALUE_SCALAR, DS_VALUE_MAP, DS_VALUE_LIST } ds_value_kind;

typedef struct ds_value ds_value;
struct ds_value {
    ds_value_kind kind;
    const char *key;    /* inside a map; else NULL */
    const char *text;   /* a scalar's text, "" for null; else NULL */
    bool quoted;        /* a quoted scalar is text even if it looks like a number */
    const char *source; /* "spiral.yaml", "--set", or "default" */
    int line, column;   /* from 1; 0 where there is no place in a file. A map's or list's own place
                           is its key's */
    int key_line, key_column; /* of the key; 0 where there is none */
    size_t n;                 /* children of a map or list, in the file's order */
    ds_value **child;
};

/* Local. The child `key` of a map, or NULL (also when self is NULL or no map). */
DS_API const ds_value *ds_value_find(const ds_value *self, const char *key);
/* Local. A new value in `arena`; `text` is copied. */
DS_API ds_status ds_value_scalar(ds_arena *arena, const char *key, const char *text,
                                 ds_value **out) DS_NODISCARD;
DS_API ds_status ds_value_group(ds_arena *arena, ds_value_kind kind, const char *key,
                                ds_value **out) DS_NODISCARD;
/* Local. Append `child` (a map replaces a child of the same key, in its place). */
DS_API ds_status ds_value_add(ds_arena *arena, ds_value *self, ds_value *child) DS_NODISCARD;
/* Local. Fail with USAGE and "spiral.yaml:3:7: " (or "--set: ") before the message. `at` may be
 * NULL. */
DS_API ds_status ds_value_fail(const ds_value *at, const char *fmt, ...) DS_PRINTF(2, 3);
/* Local. The same, pointing at the key instead of the value. */
DS_API ds_status ds_value_fail_key(const ds_value *at, const char *fmt, ...) DS_PRINTF(2, 3);
/* Local. True for nothing at all: NULL, or a null scalar. */
DS_API bool ds_value_is_null(const ds_value *self);
/* Local. "a map", "a list", "nothing" or "'text'" (shortened) for messages; returns text. */
DS_API const char *ds_value_describe(const ds_value *self, size_t room, char *text);
/* Local. The member of `names` (n of them) nearest to `wrong` by edit distance, NULL if none is
 * near. */
DS_API const char *ds_closest(const char *wrong, size_t n, const char *const *names);

#endif
