/* From the config's `model` map to layers and one flat layout. A layer's own options and those
 * every layer takes are read as one table; an option named "activation" becomes the layer behind.
 */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

enum { BUILD_NAME = 64, BUILD_COMMON = 64 }; /* longest name; room of ds_layer_common */
_Static_assert(sizeof(ds_layer_common) <= BUILD_COMMON, "common options fit");

struct ds_layer_builder {
    ds_model *model;
    size_t room; /* parameters there is room for */
};

typedef struct build_options {
    const ds_value *input, *layers;
} build_options;

static const ds_option build_table[] = {
    {.name = "input",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(build_options, input),
     .flags = DS_OPTION_REQUIRED,
     .help = "shape of a sample: [784], or [1, 28, 28] as C, H, W"},
    {.name = "layers",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(build_options, layers),
     .flags = DS_OPTION_REQUIRED,
     .help = "list of layers, `- dense: {units: 10}`"},
    {.name = NULL},
};

/* Put the place in the config before a message already recorded, unless it has one. */
static ds_status build_at(const ds_value *at, ds_status status)
{
    if (status == DS_OK || at->source == NULL ||
        strncmp(ds_last_error(), at->source, strlen(at->source)) == 0)
        return status;
    return at->line > 0 ? ds_fail_prefix(status, "%s:%d:%d: ", at->source, at->line, at->column)
                        : ds_fail_prefix(status, "%s: ", at->source);
}

ds_arena *ds_layer_arena(ds_layer_builder *builder)
{
    return builder->model->arena;
}

/* Inside form of an outside shape; false where sizes overflow what BLAS or memory can take. */
static bool build_inside(const ds_param_spec *spec, ds_param *out)
{
    size_t first = spec->shape.n > 1 ? spec->shape.dim[0] : 1, rest = 1, floats = 0;
    for (size_t i = spec->shape.n > 1; i < spec->shape.n; i++)
        if (__builtin_mul_overflow(rest, spec->shape.dim[i], &rest))
            return false;
    out->rows = spec->transposed ? rest : first;
    out->cols = spec->transposed ? first : rest;
    if (out->rows > INT_MAX || out->cols > INT_MAX - 64)
        return false;
    out->stride = ds_stride_for(out->cols);
    return !__builtin_mul_overflow(out->rows, out->stride, &floats) && floats < SIZE_MAX / 64;
}

static ds_init_kind build_init(const ds_layer *layer, ds_init_kind asked)
{
    if (asked != DS_INIT_DEFAULT)
        return asked;
    ds_activation f = layer->followed_by;
    bool he = f == DS_ACT_RELU || f == DS_ACT_LEAKY_RELU || f == DS_ACT_GELU;
    return he ? DS_INIT_HE_NORMAL : DS_INIT_XAVIER_UNIFORM;
}

ds_status ds_layer_add_param(ds_layer_builder *builder, ds_layer *layer, const ds_param_spec *spec)
{
    ds_model *model = builder->model;
    ds_layout *layout = &model->layout;
    DS_ASSERT(layer->n_params < DS_LAYER_MAX_PARAMS && layout->n_params < builder->room);
    char text[DS_SHAPE_TEXT], *name = NULL;
    ds_param param = {.shape = spec->shape,
                      .transposed = spec->transposed,
                      .trainable = layer->trainable,
                      .offset = layout->n_floats};
    DS_CHECK(build_inside(spec, &param) && layout->n_floats < SIZE_MAX / 64, DS_ERR_USAGE,
             "layer '%s': %s of shape %s is larger than a tensor can be; use fewer units",
             layer->name, spec->suffix, ds_shape_text(&spec->shape, text));
    DS_TRY(ds_arena_printf(model->arena, &name, "%s/%s", layer->name, spec->suffix));
    param.name = name;
    size_t p = layout->n_params++;
    model->param[p] = param;
    model->initial[p] = (ds_initial){build_init(layer, spec->init), spec->fan_in, spec->fan_out};
    layer->param[layer->n_params++] = &model->param[p];
    layout->n_floats += ds_param_floats(&param);
    return DS_OK;
}

/* ---- input ---------------------------------------------------------------------------------- */

static ds_status build_dim(const ds_value *value, size_t *out)
{
    char *end = NULL;
    const char *text = value->kind == DS_VALUE_SCALAR ? value->text : "";
    long long n = isdigit((unsigned char)text[0]) ? strtoll(text, &end, 10) : 0;
    if (n < 1 || n > INT_MAX || *end != '\0')
        return ds_value_fail(value,
                             "model.input: found '%s' as a dimension, expected an integer "
                             "from 1 to %d",
                             text, INT_MAX);
    *out = (size_t)n;
    return DS_OK;
}

static ds_status build_input(ds_model *model, const ds_value *value)
{
    ds_shape shape = {.n = 0};
    size_t elements = 1;
    if (value->kind == DS_VALUE_SCALAR) {
        shape.n = 1;
        DS_TRY(build_dim(value, &shape.dim[0]));
    } else if (value->kind != DS_VALUE_LIST || value->n < 1 || value->n > DS_MAX_DIMS) {
        return ds_value_fail(value,
                             "model.input must be a list of 1 to %d dimensions, such as "
                             "[784] or [1, 28, 28]",
                             DS_MAX_DIMS);
    }
    for (size_t i = 0; value->kind == DS_VALUE_LIST && i < value->n; i++)
        DS_TRY(build_dim(value->child[i], &shape.dim[shape.n++]));
    for (size_t i = 0; i < shape.n; i++)
        if (__builtin_mul_overflow(elements, shape.dim[i], &elements) || elements > INT_MAX - 64)
            return ds_value_fail(value, "model.input has more elements than %d", INT_MAX - 64);
    model->input = shape;
    return DS_OK;
}

/* ---- layers --------------------------------------------------------------------------------- */

static ds_status build_kind(const ds_value *at, const char *text, const ds_layer_ops **out)
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
static ds_status build_entry(const ds_value *entry, const ds_layer_ops **ops, const ds_value **map)
{
    *map = NULL;
    if (entry->kind == DS_VALUE_SCALAR)
        return build_kind(entry, entry->text, ops);
    if (entry->kind != DS_VALUE_MAP || entry->n != 1)
        return ds_value_fail(entry,
                             "a layer must be one entry `- kind: {options}`, found %s of %zu",
                             entry->kind == DS_VALUE_MAP ? "a map" : "a list", entry->n);
    const ds_value *child = entry->child[0];
    DS_TRY(build_kind(child, child->key, ops));
    if (child->kind == DS_VALUE_MAP)
        *map = child;
    else if (child->kind == DS_VALUE_LIST || child->text[0] != '\0')
        return ds_value_fail(child, "options of layer %s must be a map: `%s: {option: value}`",
                             (*ops)->name, (*ops)->name);
    return DS_OK;
}

/* Read a layer's options and the common ones through one joined table. */
static ds_status build_parse(ds_model *model, ds_layer *layer, const ds_value *map,
                             ds_layer_common *common)
{
    const ds_option *own = layer->ops->options, *shared = ds_layer_common_options();
    size_t n_own = ds_options_count(own), n_shared = ds_options_count(shared);
    ds_option *table = NULL;
    char *block = NULL, what[BUILD_NAME + 16];
    DS_TRY(
        ds_arena_take(model->arena, n_own + n_shared + 1, sizeof *table, "option tables", &table));
    DS_TRY(ds_arena_take(model->arena, BUILD_COMMON + layer->ops->options_size, 1, "layer options",
                         &block));
    for (size_t i = 0; i < n_own; i++) {
        table[i] = own[i];
        table[i].offset += BUILD_COMMON;
    }
    memcpy(table + n_own, shared, n_shared * sizeof *table);
    snprintf(what, sizeof what, "layer %s", layer->ops->name);
    DS_TRY(ds_options_parse(table, map, what, model->arena, block));
    memcpy(common, block, sizeof *common);
    layer->options = block + BUILD_COMMON;
    layer->trainable = common->trainable;
    return DS_OK;
}

/* The layer asked for by an option named "activation"; NULL: none. */
static const ds_layer_ops *build_activation(const ds_layer *layer)
{
    for (const ds_option *o = layer->ops->options; o->name != NULL; o++) {
        if (strcmp(o->name, "activation") != 0 || o->type != DS_OPTION_CHOICE)
            continue;
        const char *text = o->choices;
        for (int skip = *(const int *)(const void *)((const char *)layer->options + o->offset);
             skip > 0; skip--)
            text = strchr(text, '|') + 1;
        char name[BUILD_NAME];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "|"), text);
        return ds_layer_find(name);
    }
    return NULL;
}

static ds_status build_check_name(const ds_model *model, const ds_value *at, const char *name)
{
    static const char *const allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    if (name[0] == '.' || strspn(name, allowed) != strlen(name) || strlen(name) > BUILD_NAME)
        return ds_value_fail(at,
                             "layer name '%s' must be 1 to %d letters, digits, '_', '-' or '.', "
                             "not starting with '.'",
                             name, BUILD_NAME);
    for (size_t i = 0; i < model->n_layers; i++)
        if (strcmp(model->layer[i].name, name) == 0)
            return ds_value_fail(at,
                                 "layer name '%s' is taken by an earlier layer; give one of "
                                 "them another `name`",
                                 name);
    return DS_OK;
}

/* dense1, dense2, ...: the number counts the config's entries of the kind, named or not. */
static ds_status build_name(ds_model *model, ds_layer *layer, const ds_value *at, const char *given)
{
    char *name = NULL;
    size_t number = 1;
    for (size_t i = 0; i < model->n_layers; i++)
        number += model->layer[i].ops == layer->ops && strchr(model->layer[i].name, '+') == NULL;
    if (given[0] != '\0')
        DS_TRY(ds_arena_text(model->arena, given, &name));
    else
        DS_TRY(ds_arena_printf(model->arena, &name, "%s%zu", layer->ops->name, number));
    DS_TRY(build_check_name(model, at, name));
    layer->name = name;
    return DS_OK;
}

/* Read entry `entry` into the next layer, and the activation behind it where asked. */
static ds_status build_layer(ds_model *model, const ds_value *entry)
{
    const ds_value *map = NULL;
    ds_layer layer = {.trainable = true};
    ds_layer_common common = {0};
    DS_TRY(build_entry(entry, &layer.ops, &map));
    ds_status read = build_parse(model, &layer, map, &common);
    DS_TRY(map != NULL ? read : build_at(entry, read)); /* where there is no map to point at */
    const ds_value *name_at = ds_value_find(map, "name");
    DS_TRY(build_name(model, &layer, name_at != NULL ? name_at : entry, common.name));
    model->layer[model->n_layers++] = layer;
    const ds_layer_ops *after = build_activation(&layer);
    if (after == NULL)
        return DS_OK;
    char *name = NULL;
    DS_TRY(ds_arena_printf(model->arena, &name, "%s+%s", layer.name, after->name));
    ds_layer behind = {.ops = after, .name = name, .trainable = true};
    DS_TRY(build_parse(model, &behind, NULL, &common));
    model->layer[model->n_layers++] = behind;
    return DS_OK;
}

/* ---- the graph ------------------------------------------------------------------------------ */

/* What the default init wants to know: the activation behind, past views. */
static ds_activation build_followed_by(const ds_model *model, size_t i)
{
    for (i++; i < model->n_layers; i++)
        if (!model->layer[i].ops->view)
            return model->layer[i].ops->activation;
    return DS_ACT_NONE;
}

/* Shapes and parameters, first layer to last. at[i] is where layer i stands in the config. */
static ds_status build_prepare(ds_layer_builder *builder, const ds_value *const *at)
{
    ds_model *model = builder->model;
    ds_shape shape = model->input;
    model->lowest = model->n_layers;
    for (size_t i = 0; i < model->n_layers; i++) {
        ds_layer *layer = &model->layer[i];
        layer->in = shape;
        layer->followed_by = build_followed_by(model, i);
        DS_TRY(build_at(at[i], layer->ops->prepare(layer, builder)));
        shape = layer->out;
        if (ds_shape_elements(&shape) > INT_MAX - 64)
            return ds_value_fail(at[i], "layer '%s' gives %zu elements a sample, more than %d",
                                 layer->name, ds_shape_elements(&shape), INT_MAX - 64);
        if (layer->trainable && layer->n_params > 0 && model->lowest == model->n_layers)
            model->lowest = i;
    }
    return DS_OK;
}

static ds_status build_check_output(const ds_model *model, const ds_value *at, size_t targets)
{
    const ds_layer *last = &model->layer[model->n_layers - 1];
    size_t found = ds_shape_elements(&last->out);
    if (targets == 0 || found == targets)
        return DS_OK;
    return ds_value_fail(at,
                         "the last layer '%s' gives %zu outputs, the data have %zu classes or "
                         "target columns: give the last dense layer `units: %zu`",
                         last->name, found, targets, targets);
}

static ds_status build_layers(ds_model *model, const ds_value *list, size_t targets)
{
    if (list->kind != DS_VALUE_LIST || list->n == 0)
        return ds_value_fail(list, "model.layers must be a list of at least one layer");
    size_t room = 2 * list->n, n = 0; /* each may bring its activation */
    const ds_value **at = NULL;
    ds_layer_builder builder = {model, room * DS_LAYER_MAX_PARAMS};
    DS_TRY(ds_arena_take(model->arena, room, sizeof *at, "layers", &at));
    DS_TRY(ds_arena_take(model->arena, room, sizeof *model->layer, "layers", &model->layer));
    DS_TRY(ds_arena_take(model->arena, builder.room, sizeof *model->param, "parameters",
                         &model->param));
    DS_TRY(ds_arena_take(model->arena, builder.room, sizeof *model->initial, "parameters",
                         &model->initial));
    model->layout.param = model->param;
    for (size_t i = 0; i < list->n; i++) {
        DS_TRY(build_layer(model, list->child[i]));
        while (n < model->n_layers)
            at[n++] = list->child[i];
    }
    DS_TRY(build_prepare(&builder, at));
    return build_check_output(model, list->child[list->n - 1], targets);
}

static ds_status build_model(ds_model *model, const ds_value *config, size_t targets)
{
    build_options options = {0};
    DS_TRY(ds_options_parse(build_table, config, "model", model->arena, &options));
    if (options.input == NULL || options.layers == NULL)
        return ds_value_fail(config, "model needs `input` and `layers`");
    DS_TRY(build_input(model, options.input));
    return build_layers(model, options.layers, targets);
}

ds_status ds_model_create(const ds_value *config, size_t targets, ds_model **out)
{
    ds_arena *arena = NULL;
    ds_model *model = NULL;
    DS_TRY(ds_arena_create("model", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *model, "the model", &model);
    if (status == DS_OK) {
        model->arena = arena;
        status = build_model(model, config, targets);
    }
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    *out = model;
    return DS_OK;
}
