/* One table of options, used to read a map, to write it back and to describe itself. A struct's
 * members are reached by their offset; all copies go through memcpy, so alignment is the struct's
 * business. */
#include "descent/option.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NAMES = 64, DESCRIPTION = 160 };

size_t ds_options_count(const ds_option *table)
{
    size_t n = 0;
    while (table != NULL && table[n].name != NULL)
        n++;
    return n;
}

static size_t option_choice_count(const ds_option *o)
{
    size_t n = 1;
    for (const char *p = o->choices; *p != '\0'; p++)
        n += *p == '|';
    return n;
}

/* The i-th choice, not terminated. */
static const char *option_choice(const ds_option *o, size_t i, size_t *length)
{
    const char *p = o->choices;
    for (; i > 0; i--)
        p = strchr(p, '|') + 1;
    *length = strcspn(p, "|");
    return p;
}

static ds_status option_fail(const ds_option *o, const ds_value *at, const char *what)
{
    char found[96], expected[DESCRIPTION];
    return ds_value_fail(at, "%s: %s is %s, expected %s", what, o->name,
                         ds_value_describe(at, sizeof found, found),
                         ds_option_describe(o, sizeof expected, expected));
}

static bool option_in_range(const ds_option *o, double x)
{
    return (o->min == 0.0 && o->max == 0.0) || (x >= o->min && x <= o->max);
}

static ds_status option_bool(const ds_option *o, const ds_value *v, const char *what, char *out)
{
    bool yes = strcmp(v->text, "true") == 0, no = strcmp(v->text, "false") == 0;
    if (v->quoted || !(yes || no))
        return option_fail(o, v, what);
    memcpy(out, &yes, sizeof yes);
    return DS_OK;
}

static ds_status option_int(const ds_option *o, const ds_value *v, const char *what, char *out)
{
    int64_t x = 0;
    if (ds_value_int(v, what, o->name, &x) != DS_OK || !option_in_range(o, (double)x))
        return option_fail(o, v, what);
    memcpy(out, &x, sizeof x);
    return DS_OK;
}

static ds_status option_real(const ds_option *o, const ds_value *v, const char *what, char *out)
{
    double x = 0.0;
    if (ds_value_real(v, what, o->name, &x) != DS_OK || !option_in_range(o, x))
        return option_fail(o, v, what);
    memcpy(out, &x, sizeof x);
    return DS_OK;
}

static ds_status option_bytes(const ds_option *o, const ds_value *v, const char *what, char *out)
{
    static const char *const unit[] = {"", "B", "KiB", "MiB", "GiB", "TiB"};
    static const int shift[] = {0, 0, 10, 20, 30, 40};
    size_t digits = strspn(v->text, "0123456789");
    const char *rest = v->text + digits + strspn(v->text + digits, " ");
    int64_t x = -1;
    for (size_t i = v->quoted; i < sizeof unit / sizeof *unit; i++) /* "5" is a text */
        if (digits > 0 && digits < 19 && strcmp(rest, unit[i]) == 0) {
            x = 0;
            for (size_t d = 0; d < digits; d++)
                x = x * 10 + (v->text[d] - '0');
            x = x > INT64_MAX >> shift[i] ? -1 : x << shift[i];
        }
    if (x < 0 || !option_in_range(o, (double)x))
        return option_fail(o, v, what);
    memcpy(out, &x, sizeof x);
    return DS_OK;
}

static ds_status option_choose(const ds_option *o, const ds_value *v, const char *what, char *out)
{
    size_t n = option_choice_count(o), length = 0;
    const char *names[MOST_NAMES];
    char room[MOST_NAMES][32], expected[DESCRIPTION];
    for (size_t i = 0; i < n && i < MOST_NAMES; i++) {
        const char *name = option_choice(o, i, &length);
        if (strlen(v->text) == length && strncmp(v->text, name, length) == 0) {
            int index = (int)i;
            memcpy(out, &index, sizeof index);
            return DS_OK;
        }
        snprintf(room[i], sizeof room[i], "%.*s", (int)length, name);
        names[i] = room[i];
    }
    const char *nearest = ds_closest(v->text, n < MOST_NAMES ? n : MOST_NAMES, names);
    if (nearest == NULL)
        return option_fail(o, v, what);
    return ds_value_fail(v, "%s: unknown %s '%.60s' (closest: '%s'), expected %s", what, o->name,
                         v->text, nearest, ds_option_describe(o, sizeof expected, expected));
}

static ds_status option_text(const ds_value *v, ds_arena *arena, char *out)
{
    char *copy = NULL;
    DS_TRY(ds_arena_text(arena, v->text, &copy));
    memcpy(out, &copy, sizeof copy);
    return DS_OK;
}

static ds_status option_read(const ds_option *o, const ds_value *v, const char *what,
                             ds_arena *arena, char *out)
{
    if (o->type == DS_OPTION_VALUE) {
        memcpy(out, &v, sizeof v);
        return DS_OK;
    }
    if (v->kind != DS_VALUE_SCALAR)
        return option_fail(o, v, what);
    switch (o->type) {
    case DS_OPTION_BOOL:
        return option_bool(o, v, what, out);
    case DS_OPTION_INT:
        return option_int(o, v, what, out);
    case DS_OPTION_REAL:
        return option_real(o, v, what, out);
    case DS_OPTION_BYTES:
        return option_bytes(o, v, what, out);
    case DS_OPTION_CHOICE:
        return option_choose(o, v, what, out);
    case DS_OPTION_TEXT:
    case DS_OPTION_VALUE:
        break;
    }
    return option_text(v, arena, out);
}

/* The default is the table's word: it may lie outside the range ("0: off, else at least 2"). */
static ds_status option_default(const ds_option *o, ds_arena *arena, char *out)
{
    static const char *const zero[] = {
        [DS_OPTION_BOOL] = "false", [DS_OPTION_INT] = "0",   [DS_OPTION_REAL] = "0",
        [DS_OPTION_TEXT] = "",      [DS_OPTION_BYTES] = "0", [DS_OPTION_VALUE] = ""};
    ds_option any = *o;
    any.min = any.max = 0.0;
    if (o->type == DS_OPTION_VALUE) {
        ds_value *v = NULL;
        if (o->fallback != NULL)
            DS_TRY(ds_value_scalar(arena, o->name, o->fallback, &v));
        memcpy(out, &v, sizeof v);
        return DS_OK;
    }
    if (o->type == DS_OPTION_CHOICE && o->fallback == NULL) {
        memcpy(out, &(int){0}, sizeof(int));
        return DS_OK;
    }
    ds_value v = {.kind = DS_VALUE_SCALAR, .source = "default", .text = o->fallback};
    if (v.text == NULL)
        v.text = zero[o->type];
    DS_CHECK(option_read(&any, &v, "default", arena, out) == DS_OK, DS_ERR_INTERNAL,
             "the table's own default '%s' of option '%s' does not fit its type (a bug)", v.text,
             o->name);
    return DS_OK;
}

static ds_status option_unknown(size_t n, const ds_option *const *tables, const ds_value *v,
                                const char *what)
{
    const char *names[MOST_NAMES] = {NULL};
    char list[512] = "none";
    size_t count = 0, used = 0;
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < ds_options_count(tables[t]) && count < MOST_NAMES; i++)
            names[count++] = tables[t][i].name;
    const char *nearest = ds_closest(v->key, count, names);
    if (nearest != NULL)
        return ds_value_fail_key(v, "%s: unknown option '%.60s' (closest: '%s')", what, v->key,
                                 nearest);
    for (size_t i = 0; i < count && used < sizeof list; i++)
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", names[i]);
    return ds_value_fail_key(v, "%s: unknown option '%.60s' (options: %s)", what, v->key, list);
}

ds_status ds_options_check(size_t n, const ds_option *const *tables, const ds_value *map,
                           const char *what)
{
    char found[96];
    if (ds_value_is_null(map))
        return DS_OK;
    if (map->kind != DS_VALUE_MAP)
        return ds_value_fail(map, "%s is %s, expected a map of options", what,
                             ds_value_describe(map, sizeof found, found));
    for (size_t c = 0; c < map->n; c++) {
        const ds_value *v = map->child[c];
        bool known = false;
        for (size_t t = 0; t < n && !known; t++)
            for (size_t i = 0; i < ds_options_count(tables[t]) && !known; i++)
                known = strcmp(tables[t][i].name, v->key) == 0;
        if (!known)
            return option_unknown(n, tables, v, what);
        if (ds_value_find(map, v->key) != v)
            return ds_value_fail_key(v, "%s: '%s' is given twice", what, v->key);
    }
    return DS_OK;
}

ds_status ds_options_fill(const ds_option *table, const ds_value *map, const char *what,
                          ds_arena *arena, void *out)
{
    char expected[DESCRIPTION];
    for (const ds_option *o = table; o != NULL && o->name != NULL; o++) {
        const ds_value *v = ds_value_find(map, o->name);
        char *member = (char *)out + o->offset;
        if (!ds_value_is_null(v))
            DS_TRY(option_read(o, v, what, arena, member));
        else if ((o->flags & DS_OPTION_REQUIRED) == 0)
            DS_TRY(option_default(o, arena, member));
        else
            return ds_value_fail(v != NULL ? v : map, "%s: '%s' is missing, expected %s (%s)", what,
                                 o->name, ds_option_describe(o, sizeof expected, expected),
                                 o->help == NULL ? "required" : o->help);
    }
    return DS_OK;
}

ds_status ds_options_parse(const ds_option *table, const ds_value *map, const char *what,
                           ds_arena *arena, void *out)
{
    DS_TRY(ds_options_check(1, &table, map, what));
    return ds_options_fill(table, map, what, arena, out);
}
