/* Entries of the config's list of layers. A layer's own options and those every layer takes are
 * read as one table; an option named "activation" becomes the layer behind; a residual block
 * becomes a fork, its layers, a branch, its shortcut's and the join. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_parts.h"

enum { ENTRY_NAME = 64, ENTRY_COMMON = 64 }; /* longest name; room of ds_layer_common */
_Static_assert(sizeof(ds_layer_common) <= ENTRY_COMMON, "common options fit");

static ds_status entry_kind(const ds_value *at, const char *text, const ds_layer_ops **out)
{
    const char *names[256];
    size_t n = 0;
    *out = ds_layer_find(text);
    if (*out != NULL)
        return DS_OK;
    while (n < sizeof names / sizeof *names && ds_layer_at(n) != NULL) {
        names[n] = ds_layer_at(n)->name;
        n++;
    }
    const char *near = ds_closest(text, n, names);
    if (near != NULL)
        return ds_value_fail(at, "unknown layer '%s' (closest: '%s')", text, near);
    return ds_value_fail(at, "unknown layer '%s'; see `descent list layers`", text);
}

/* A list entry -> kind and map of options (NULL: none). */
static ds_status entry_open(const ds_value *entry, const ds_layer_ops **ops, const ds_value **map)
{
    *map = NULL;
    if (entry->kind == DS_VALUE_SCALAR)
        return entry_kind(entry, entry->text, ops);
    if (entry->kind != DS_VALUE_MAP || entry->n != 1)
        return ds_value_fail(entry,
                             "a layer must be one entry `- kind: {options}`, found %s of %zu",
                             entry->kind == DS_VALUE_MAP ? "a map" : "a list", entry->n);
    const ds_value *child = entry->child[0];
    DS_TRY(entry_kind(child, child->key, ops));
    if (child->kind == DS_VALUE_MAP)
        *map = child;
    else if (child->kind == DS_VALUE_LIST || child->text[0] != '\0')
        return ds_value_fail(child, "options of layer %s must be a map: `%s: {option: value}`",
                             (*ops)->name, (*ops)->name);
    return DS_OK;
}

/* Read a layer's options and the common ones through one joined table. */
static ds_status entry_parse(ds_model *model, ds_layer *layer, const ds_value *map,
                             ds_layer_common *common)
{
    const ds_option *own = layer->ops->options, *shared = ds_layer_common_options();
    size_t n_own = ds_options_count(own), n_shared = ds_options_count(shared);
    ds_option *table = NULL;
    char *block = NULL, what[ENTRY_NAME + 16];
    DS_TRY(
        ds_arena_take(model->arena, n_own + n_shared + 1, sizeof *table, "option tables", &table));
    DS_TRY(ds_arena_take(model->arena, ENTRY_COMMON + layer->ops->options_size, 1, "layer options",
                         &block));
    for (size_t i = 0; i < n_own; i++) {
        table[i] = own[i];
        table[i].offset += ENTRY_COMMON;
    }
    memcpy(table + n_own, shared, n_shared * sizeof *table);
    snprintf(what, sizeof what, "layer %s", layer->ops->name);
    DS_TRY(ds_options_parse(table, map, what, model->arena, block));
    memcpy(common, block, sizeof *common);
    layer->options = block + ENTRY_COMMON;
    layer->trainable = common->trainable;
    return DS_OK;
}

/* The layer asked for by an option named "activation"; NULL: none. */
static const ds_layer_ops *entry_activation(const ds_layer *layer)
{
    for (const ds_option *o = layer->ops->options; o->name != NULL; o++) {
        if (strcmp(o->name, "activation") != 0 || o->type != DS_OPTION_CHOICE)
            continue;
        const char *text = o->choices;
        for (int skip = *(const int *)(const void *)((const char *)layer->options + o->offset);
             skip > 0; skip--)
            text = strchr(text, '|') + 1;
        char name[ENTRY_NAME];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "|"), text);
        return ds_layer_find(name);
    }
    return NULL;
}

static ds_status entry_check_name(const ds_model *model, const ds_value *at, const char *name)
{
    static const char *const allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    if (name[0] == '.' || strspn(name, allowed) != strlen(name) || strlen(name) > ENTRY_NAME)
        return ds_value_fail(at,
                             "layer name '%s' must be 1 to %d letters, digits, '_', '-' or '.', "
                             "not starting with '.'",
                             name, ENTRY_NAME);
    for (size_t i = 0; i < model->n_layers; i++)
        if (strcmp(model->layer[i].name, name) == 0)
            return ds_value_fail(at,
                                 "layer name '%s' is taken by an earlier layer; give one of "
                                 "them another `name`",
                                 name);
    return DS_OK;
}

/* dense1, dense2, ...: the number counts the config's entries of the kind, named or not. */
static ds_status entry_name(ds_model *model, ds_layer *layer, const ds_value *at, const char *given)
{
    char *name = NULL;
    size_t number = 1;
    for (size_t i = 0; i < model->n_layers; i++)
        number += model->layer[i].ops == layer->ops && strchr(model->layer[i].name, '+') == NULL;
    if (given[0] != '\0')
        DS_TRY(ds_arena_text(model->arena, given, &name));
    else
        DS_TRY(ds_arena_printf(model->arena, &name, "%s%zu", layer->ops->name, number));
    DS_TRY(entry_check_name(model, at, name));
    layer->name = name;
    return DS_OK;
}

static size_t entry_push(ds_layer_builder *builder, const ds_value *at, const ds_layer *layer)
{
    ds_model *model = builder->model;
    builder->at[model->n_layers] = at;
    model->layer[model->n_layers] = *layer;
    model->layer[model->n_layers].level = builder->level;
    return model->n_layers++;
}

/* Append a layer with default options that stands for a part of `owner`. */
static ds_status entry_push_part(ds_layer_builder *builder, const ds_value *at, const char *owner,
                                 const ds_layer_ops *ops, size_t link)
{
    ds_layer part = {.ops = ops, .trainable = true, .link = link};
    ds_layer_common common = {0};
    char *name = NULL;
    DS_TRY(ds_arena_printf(builder->model->arena, &name, "%s+%s", owner, ops->name));
    part.name = name;
    DS_TRY(entry_parse(builder->model, &part, NULL, &common));
    entry_push(builder, at, &part);
    return DS_OK;
}

/* The ways of a residual block; the join itself is the caller's. */
static ds_status entry_ways(ds_layer_builder *builder, const ds_value *at, ds_layer *join)
{
    const ds_residual_options *o = join->options;
    size_t fork = builder->model->n_layers;
    if (builder->level == DS_MAX_LEVELS)
        return ds_value_fail(at, "residual blocks lie more than %d deep", DS_MAX_LEVELS);
    DS_TRY(entry_push_part(builder, at, join->name, &ds_layer_fork, 0));
    builder->level++;
    DS_TRY(ds_build_list(builder, o->layers, "layers"));
    builder->level--;
    join->link = builder->model->n_layers;
    DS_TRY(entry_push_part(builder, at, join->name, &ds_layer_branch, fork));
    builder->level++;
    if (o->shortcut != NULL)
        DS_TRY(ds_build_list(builder, o->shortcut, "shortcut"));
    builder->level--;
    return DS_OK;
}

/* Read entry `entry` into the next layers: itself, what lies in it, the activation behind it. */
static ds_status entry_layer(ds_layer_builder *builder, const ds_value *entry)
{
    const ds_value *map = NULL;
    ds_layer layer = {.trainable = true};
    ds_layer_common common = {0};
    ds_model *model = builder->model;
    DS_TRY(entry_open(entry, &layer.ops, &map));
    ds_status read = entry_parse(model, &layer, map, &common);
    DS_TRY(map != NULL ? read : ds_build_at(entry, read)); /* where there is no map to point at */
    const ds_value *name_at = ds_value_find(map, "name");
    DS_TRY(entry_name(model, &layer, name_at != NULL ? name_at : entry, common.name));
    if (layer.ops->flow == DS_FLOW_JOIN)
        DS_TRY(entry_ways(builder, entry, &layer));
    entry_push(builder, entry, &layer);
    const ds_layer_ops *after = entry_activation(&layer);
    return after != NULL ? entry_push_part(builder, entry, layer.name, after, 0) : DS_OK;
}

size_t ds_build_count(const ds_value *list)
{
    size_t n = 0;
    for (size_t i = 0; list != NULL && list->kind == DS_VALUE_LIST && i < list->n; i++) {
        const ds_value *entry = list->child[i];
        const ds_value *map = entry->kind == DS_VALUE_MAP && entry->n == 1 ? entry->child[0] : NULL;
        n += 4 + ds_build_count(ds_value_find(map, "layers")) +
             ds_build_count(ds_value_find(map, "shortcut"));
    }
    return n;
}

ds_status ds_build_list(ds_layer_builder *builder, const ds_value *list, const char *what)
{
    if (list->kind != DS_VALUE_LIST || list->n == 0)
        return ds_value_fail(list, "%s must be a list of at least one layer", what);
    for (size_t i = 0; i < list->n; i++)
        DS_TRY(entry_layer(builder, list->child[i]));
    return DS_OK;
}
