/* From the config's `model` map to layers and one flat layout: entry.c reads the layers, here they
 * get shapes and parameters. */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_parts.h"

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

ds_status ds_build_at(const ds_value *at, ds_status status)
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
                      .offset = layout->n_floats,
                      .kind = spec->kind,
                      .pace = spec->pace};
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

ds_status ds_layer_tie_param(ds_layer_builder *builder, ds_layer *layer, const char *name)
{
    ds_model *model = builder->model;
    ds_layer *lender = model->layer;
    DS_ASSERT(layer->n_params == 0);
    while (lender < layer && strcmp(lender->name, name) != 0)
        lender++;
    DS_CHECK(lender < layer, DS_ERR_USAGE,
             "layer '%s': tied to '%s', but no layer before it has that name; name an earlier "
             "layer with weights, such as embedding1",
             layer->name, name);
    DS_CHECK(lender->n_params > 0, DS_ERR_USAGE, "layer '%s': tied to '%s', which has no weights",
             layer->name, name);
    layer->tied = lender->tied > 0 ? lender->tied : (size_t)(lender - model->layer) + 1;
    model->layer[layer->tied - 1].lends = true;
    layer->param[layer->n_params++] = lender->param[0];
    return DS_OK;
}

ds_status ds_layer_add_factors(ds_layer_builder *builder, ds_layer *layer,
                               const ds_factor_spec *spec)
{
    bool wanted = builder->model->factors && layer->trainable && layer->tied == 0;
    if (!wanted || spec->in > DS_FACTOR_MOST || spec->out > DS_FACTOR_MOST)
        return DS_OK;
    ds_param_spec input = {.suffix = "input_factor",
                           .shape = {.n = 2, .dim = {spec->groups * spec->in, spec->in}},
                           .init = DS_INIT_ZEROS,
                           .kind = DS_PARAM_FACTOR,
                           .pace = 1};
    ds_param_spec output = input;
    output.suffix = "output_factor";
    output.shape = (ds_shape){.n = 2, .dim = {spec->groups * spec->out, spec->out}};
    output.pace = 1 / (double)spec->positions;
    DS_TRY(ds_layer_add_param(builder, layer, &input));
    return ds_layer_add_param(builder, layer, &output);
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

/* ---- the graph ------------------------------------------------------------------------------ */

/* What the default init wants to know: the activation behind, past views. */
static ds_activation build_followed_by(const ds_model *model, size_t i)
{
    for (i++; i < model->n_layers; i++)
        if (!model->layer[i].ops->view)
            return model->layer[i].ops->activation;
    return DS_ACT_NONE;
}

/* A join adds like to like; a branch starts from its fork's shape. */
static ds_status build_flow(ds_model *model, ds_layer *layer)
{
    char one[DS_SHAPE_TEXT], other[DS_SHAPE_TEXT];
    if (layer->ops->flow == DS_FLOW_BRANCH)
        layer->out = model->layer[layer->link].out;
    if (layer->ops->flow != DS_FLOW_JOIN)
        return DS_OK;
    const ds_shape *main = &model->layer[layer->link].in;
    DS_CHECK(ds_shape_equal(main, &layer->in), DS_ERR_USAGE,
             "layer '%s': its layers give shape %s, its shortcut %s: they must be equal; give a "
             "`shortcut` that makes them so",
             layer->name, ds_shape_text(main, one), ds_shape_text(&layer->in, other));
    return DS_OK;
}

/* Token ids are the sample itself: behind a layer that computes they would be no whole numbers. */
static ds_status build_ids(const ds_model *model, const ds_layer *layer)
{
    for (const ds_layer *l = model->layer; layer->ops->reads_ids && l < layer; l++)
        DS_CHECK(l->ops->view, DS_ERR_USAGE,
                 "layer '%s' reads token ids, layer '%s' before it gives none: put '%s' first",
                 layer->name, l->name, layer->name);
    return DS_OK;
}

/* What may share a block has its stride. */
static void build_strides(ds_model *model, size_t i)
{
    ds_layer *layer = &model->layer[i];
    layer->x_stride = i > 0 ? model->layer[i - 1].y_stride : ds_shape_stride(&model->input);
    layer->y_stride =
        layer->ops->view || layer->ops->in_place ? layer->x_stride : ds_shape_stride(&layer->out);
    if (layer->ops->flow != DS_FLOW_BRANCH)
        return;
    layer->y_stride = model->layer[layer->link].y_stride;
    ds_layer *next = layer + 1;
    layer->direct = i + 1 < model->n_layers && next->ops->flow == DS_FLOW_JOIN && next->link == i &&
                    layer->x_stride == layer->y_stride;
    if (layer->direct)
        next->direct = true;
}

/* Shapes and parameters, first layer to last. */
static ds_status build_prepare(ds_layer_builder *builder)
{
    ds_model *model = builder->model;
    ds_shape shape = model->input;
    model->lowest = model->n_layers;
    for (size_t i = 0; i < model->n_layers; i++) {
        ds_layer *layer = &model->layer[i];
        layer->in = shape;
        layer->followed_by = build_followed_by(model, i);
        DS_TRY(ds_build_at(builder->at[i], build_ids(model, layer)));
        DS_TRY(ds_build_at(builder->at[i], build_flow(model, layer)));
        DS_TRY(ds_build_at(builder->at[i], layer->ops->prepare(layer, builder)));
        shape = layer->out;
        build_strides(model, i);
        if (ds_shape_elements(&shape) > INT_MAX - 64)
            return ds_value_fail(builder->at[i],
                                 "layer '%s' gives %zu elements a sample, more than %d",
                                 layer->name, ds_shape_elements(&shape), INT_MAX - 64);
        if (layer->trainable && layer->n_params > (layer->tied > 0) &&
            model->lowest == model->n_layers)
            model->lowest = i;
        if (layer->ops->flow != DS_FLOW_ON && layer->level + 1 > model->levels)
            model->levels = layer->level + 1;
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
                         "the last layer '%s' gives %zu output%s, the data have %zu class%s or "
                         "target column%s: give the last dense layer `units: %zu`",
                         last->name, found, found == 1 ? "" : "s", targets,
                         targets == 1 ? "" : "es", targets == 1 ? "" : "s", targets);
}

static ds_status build_layers(ds_model *model, const ds_value *list, size_t targets)
{
    size_t room = ds_build_count(list);
    ds_layer_builder builder = {.model = model, .room = room * DS_LAYER_MAX_PARAMS};
    DS_TRY(ds_arena_take(model->arena, room, sizeof *builder.at, "layers", &builder.at));
    DS_TRY(ds_arena_take(model->arena, room, sizeof *model->layer, "layers", &model->layer));
    DS_TRY(ds_arena_take(model->arena, builder.room, sizeof *model->param, "parameters",
                         &model->param));
    DS_TRY(ds_arena_take(model->arena, builder.room, sizeof *model->initial, "parameters",
                         &model->initial));
    model->layout.param = model->param;
    DS_TRY(ds_build_list(&builder, list, "model.layers"));
    DS_TRY(build_prepare(&builder));
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

static ds_status build_create(const ds_value *config, size_t targets, bool factors, ds_model **out)
{
    ds_arena *arena = NULL;
    ds_model *model = NULL;
    DS_TRY(ds_arena_create("model", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *model, "the model", &model);
    if (status == DS_OK) {
        model->arena = arena;
        model->factors = factors;
        status = build_model(model, config, targets);
    }
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    *out = model;
    return DS_OK;
}

ds_status ds_model_create(const ds_value *config, size_t targets, ds_model **out)
{
    return build_create(config, targets, false, out);
}

ds_status ds_model_create_factored(const ds_value *config, size_t targets, ds_model **out)
{
    return build_create(config, targets, true, out);
}
