/* YAML text -> tree of values, from libfyaml's events rather than its documents: every event has a
 * mark, keys given twice can be named, and nothing is built that was not asked for. Aliases are
 * copied within a budget, so a small text cannot grow without bound. One pass; duplicate keys are
 * found by looking through the map, hence the limit on its size. */
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

enum { MOST_KEYS = 4096 };

typedef struct yaml_anchor {
    const char *name;
    const ds_value *value;
    struct yaml_anchor *next;
} yaml_anchor;

typedef struct yaml_reader {
    ds_arena *arena;
    const char *source;
    bool places;
    struct fy_diag *diag;
    struct fy_parser *parser;
    size_t values;
    yaml_anchor *anchors;
} yaml_reader;

/* An event without its library's memory. */
typedef struct yaml_item {
    enum fy_event_type type;
    char *text;   /* of a scalar, or an alias' name */
    char *anchor; /* or NULL */
    bool quoted, tagged;
    int line, column; /* from 1 */
} yaml_item;

static ds_status yaml_fail(const yaml_reader *r, int line, int column, const char *fmt, ...)
    DS_PRINTF(4, 5);
static ds_status yaml_fail(const yaml_reader *r, int line, int column, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ds_value at = {.source = r->source, .line = r->places ? line : 0, .column = column};
    return ds_value_fail(&at, "%s", text);
}

static void yaml_mute(struct fy_diag *diag, void *user, const char *text, size_t n)
{
    (void)diag, (void)user, (void)text, (void)n;
}

static void yaml_close(yaml_reader *r)
{
    fy_parser_destroy(r->parser);
    fy_diag_destroy(r->diag);
}

static ds_status yaml_open(yaml_reader *r, const char *text)
{
    struct fy_diag_cfg cfg;
    fy_diag_cfg_default(&cfg);
    cfg.fp = NULL;
    cfg.output_fn = yaml_mute;
    r->diag = fy_diag_create(&cfg);
    DS_CHECK(r->diag != NULL, DS_ERR_NOMEM, "out of memory for the YAML reader");
    fy_diag_set_collect_errors(r->diag, true);
    struct fy_parse_cfg parse = {.flags = FYPCF_DEFAULT_VERSION_1_2, .diag = r->diag};
    r->parser = fy_parser_create(&parse);
    DS_CHECK(r->parser != NULL && fy_parser_set_string(r->parser, text, strlen(text)) == 0,
             DS_ERR_NOMEM, "out of memory for the YAML reader");
    return DS_OK;
}

static ds_status yaml_syntax(const yaml_reader *r)
{
    void *next = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(r->diag, &next);
    if (e == NULL)
        return yaml_fail(r, 1, 1, "this is no YAML");
    return yaml_fail(r, e->line, e->column, "not valid YAML: %s", e->msg);
}

static ds_status yaml_text(const yaml_reader *r, struct fy_token *token, yaml_item *item)
{
    size_t n = 0;
    const char *text = token == NULL ? "" : fy_token_get_text(token, &n);
    if (text == NULL || memchr(text, '\0', n) != NULL)
        return yaml_fail(r, item->line, item->column, "a text holds a byte that is no character");
    return ds_arena_printf(r->arena, &item->text, "%.*s", (int)n, text);
}

static ds_status yaml_take_event(const yaml_reader *r, struct fy_event *event, yaml_item *item)
{
    struct fy_token *token = fy_event_get_token(event);
    struct fy_token *anchor = NULL;
    if (event->type == FYET_SCALAR || event->type == FYET_MAPPING_START ||
        event->type == FYET_SEQUENCE_START) {
        anchor = fy_event_get_anchor_token(event);
        item->tagged = fy_event_get_tag_token(event) != NULL;
    }
    if (event->type == FYET_ALIAS)
        token = event->alias.anchor;
    const struct fy_mark *mark = token == NULL ? NULL : fy_token_start_mark(token);
    item->type = event->type;
    item->line = mark == NULL ? 0 : mark->line + 1;
    item->column = mark == NULL ? 0 : mark->column + 1;
    if (anchor != NULL) {
        DS_TRY(yaml_text(r, anchor, item));
        item->anchor = item->text;
    }
    if (event->type != FYET_SCALAR && event->type != FYET_ALIAS)
        return DS_OK;
    enum fy_scalar_style style = FYSS_PLAIN;
    if (event->type == FYET_SCALAR && token != NULL)
        style = fy_token_scalar_style(token);
    item->quoted = style != FYSS_PLAIN;
    /* these marks stand behind the opening quote or star */
    item->column -=
        event->type == FYET_ALIAS || style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    return yaml_text(r, token, item);
}

static ds_status yaml_next(const yaml_reader *r, yaml_item *item)
{
    *item = (yaml_item){.type = FYET_NONE};
    struct fy_event *event = fy_parser_parse(r->parser);
    if (event == NULL)
        return yaml_syntax(r);
    ds_status st = yaml_take_event(r, event, item);
    fy_parser_event_free(r->parser, event);
    DS_TRY(st);
    if (item->tagged)
        return yaml_fail(r, item->line, item->column, "tags (!...) have no meaning here");
    return DS_OK;
}

/* The place of a collection is its key's; what has no mark of its own (an empty value) as well. */
static ds_status yaml_place(yaml_reader *r, ds_value *v, const yaml_item *item,
                            const yaml_item *key)
{
    if (++r->values > CONFIG_MOST_VALUES)
        return yaml_fail(r, item->line, item->column, "more than %d values", CONFIG_MOST_VALUES);
    v->source = r->source;
    if (!r->places)
        return DS_OK;
    if (key != NULL) {
        v->key_line = key->line;
        v->key_column = key->column;
    }
    bool own = key == NULL || (v->kind == DS_VALUE_SCALAR && item->line > 0);
    v->line = own ? item->line : key->line;
    v->column = own ? item->column : key->column;
    return DS_OK;
}

static bool yaml_is_null(const yaml_item *item)
{
    static const char *const nulls[] = {"~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (!item->quoted && strcmp(item->text, nulls[i]) == 0)
            return true;
    return false;
}

static ds_status yaml_alias(yaml_reader *r, const yaml_item *item, const yaml_item *key,
                            ds_value **out)
{
    const yaml_anchor *a = r->anchors;
    while (a != NULL && strcmp(a->name, item->text) != 0)
        a = a->next;
    if (a == NULL)
        return yaml_fail(r, item->line, item->column, "alias '*%.60s': no anchor '&%.60s' above it",
                         item->text, item->text);
    r->values += ds_value_count(a->value);
    if (r->values > CONFIG_MOST_VALUES)
        return yaml_fail(r, item->line, item->column, "more than %d values with aliases",
                         CONFIG_MOST_VALUES);
    DS_TRY(ds_value_copy(r->arena, key == NULL ? NULL : key->text, a->value, out));
    return yaml_place(r, *out, item, key);
}

static ds_status yaml_remember(yaml_reader *r, const char *name, const ds_value *value)
{
    yaml_anchor *a = NULL;
    DS_TRY(ds_arena_take(r->arena, 1, sizeof *a, "a YAML anchor", &a));
    *a = (yaml_anchor){.name = name, .value = value, .next = r->anchors};
    r->anchors = a;
    return DS_OK;
}

static ds_status yaml_node(yaml_reader *r, const yaml_item *item, const yaml_item *key, int depth,
                           ds_value **out);

static ds_status yaml_map(yaml_reader *r, ds_value *map, int depth)
{
    for (yaml_item key;;) {
        yaml_item item;
        ds_value *child = NULL;
        DS_TRY(yaml_next(r, &key));
        if (key.type == FYET_MAPPING_END)
            return DS_OK;
        if (key.type != FYET_SCALAR)
            return yaml_fail(r, key.line, key.column, "a key must be a word");
        const ds_value *first = ds_value_find(map, key.text);
        if (first != NULL && r->places)
            return yaml_fail(r, key.line, key.column,
                             "key '%.60s' is given twice, first in line %d", key.text,
                             first->key_line);
        if (first != NULL)
            return yaml_fail(r, 0, 0, "key '%.60s' is given twice", key.text);
        if (map->n >= MOST_KEYS)
            return yaml_fail(r, key.line, key.column, "more than %d keys in one map", MOST_KEYS);
        DS_TRY(yaml_next(r, &item));
        DS_TRY(yaml_node(r, &item, &key, depth + 1, &child));
        DS_TRY(ds_value_add(r->arena, map, child));
    }
}

static ds_status yaml_list(yaml_reader *r, ds_value *list, int depth)
{
    for (yaml_item item;;) {
        ds_value *child = NULL;
        DS_TRY(yaml_next(r, &item));
        if (item.type == FYET_SEQUENCE_END)
            return DS_OK;
        DS_TRY(yaml_node(r, &item, NULL, depth + 1, &child));
        DS_TRY(ds_value_add(r->arena, list, child));
    }
}

static ds_status yaml_node(yaml_reader *r, const yaml_item *item, const yaml_item *key, int depth,
                           ds_value **out)
{
    const char *name = key == NULL ? NULL : key->text;
    ds_value *v = NULL;
    if (depth > CONFIG_MOST_DEPTH)
        return yaml_fail(r, item->line, item->column, "nested more than %d deep",
                         CONFIG_MOST_DEPTH);
    if (item->type == FYET_ALIAS)
        return yaml_alias(r, item, key, out);
    if (item->type == FYET_SCALAR) {
        DS_TRY(ds_value_scalar(r->arena, name, yaml_is_null(item) ? "" : item->text, &v));
        v->quoted = item->quoted;
        DS_TRY(yaml_place(r, v, item, key));
    } else {
        bool map = item->type == FYET_MAPPING_START;
        DS_TRY(ds_value_group(r->arena, map ? DS_VALUE_MAP : DS_VALUE_LIST, name, &v));
        DS_TRY(yaml_place(r, v, item, key));
        DS_TRY(map ? yaml_map(r, v, depth) : yaml_list(r, v, depth));
    }
    if (item->anchor != NULL)
        DS_TRY(yaml_remember(r, item->anchor, v));
    *out = v;
    return DS_OK;
}

static ds_status yaml_document(yaml_reader *r, ds_value **out)
{
    yaml_item item;
    ds_value *root = NULL;
    DS_TRY(yaml_next(r, &item)); /* the stream's start */
    DS_TRY(yaml_next(r, &item));
    if (item.type == FYET_STREAM_END) {
        *out = NULL;
        return DS_OK;
    }
    DS_TRY(yaml_next(r, &item));
    DS_TRY(yaml_node(r, &item, NULL, 0, &root));
    DS_TRY(yaml_next(r, &item)); /* the document's end */
    DS_TRY(yaml_next(r, &item));
    if (item.type != FYET_STREAM_END)
        return yaml_fail(r, root->line, root->column,
                         "more than one YAML document (cut by ---), expected one");
    *out = root;
    return DS_OK;
}

ds_status ds_yaml_parse(ds_arena *arena, const char *source, bool places, const char *text,
                        ds_value **out)
{
    yaml_reader r = {.arena = arena, .source = source, .places = places};
    ds_value at = {.source = source};
    if (strlen(text) > CONFIG_MOST_BYTES)
        return ds_value_fail(&at, "%zu bytes, expected at most %d: is this a config?", strlen(text),
                             CONFIG_MOST_BYTES);
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    DS_TRY(ds_utf8_check(source, places, text));
    ds_status st = yaml_open(&r, text);
    if (st == DS_OK)
        st = yaml_document(&r, out);
    yaml_close(&r);
    return st;
}
