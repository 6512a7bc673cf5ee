/* Problems from a user's shared object (descent/plugin.h). A plug-in sees dense tensors: where the
 * flat block has padding between rows, they are copied on the way in and out; else they lie in the
 * block itself. Cost: that copy. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_parts.h"

enum { PLUGIN_TENSORS = (1 << 20) - 1 };

typedef struct plugin_options {
    const char *plugin;
    const ds_value *input, *options;
    int64_t targets;
} plugin_options;

static const ds_option plugin_table[] = {
    {.name = "plugin",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(plugin_options, plugin),
     .flags = DS_OPTION_REQUIRED,
     .help = "the shared object, as descent/plugin.h says"},
    {.name = "input",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(plugin_options, input),
     .choices = "list of int",
     .help = "shape of a sample, where the plug-in does not say"},
    {.name = "targets",
     .type = DS_OPTION_INT,
     .offset = offsetof(plugin_options, targets),
     .min = 1,
     .max = 1 << 24,
     .help = "numbers to predict, or classes, where the plug-in does not say"},
    {.name = "options",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(plugin_options, options),
     .choices = "a map",
     .help = "the plug-in's own"},
    {0},
};
static const ds_option plugin_name[] = {{.name = "name", .type = DS_OPTION_TEXT}, {0}};

typedef struct plugin {
    void *handle;
    const ds_plugin *code;
    ds_plugin_problem problem;
    bool opened;
    float **in, **out;             /* (n_tensors) what a call is given */
    float **dense_in, **dense_out; /* (n_tensors) room of a copy, NULL where none is needed */
    char message[DS_PLUGIN_MESSAGE];
} plugin;

/* ---- what a plug-in says -------------------------------------------------------------------- */

/* Its own message, on one line. */
static ds_status plugin_verdict(const ds_problem *self, const char *call, int result)
{
    plugin *p = self->state;
    if (result == DS_PLUGIN_OK)
        return DS_OK;
    p->message[sizeof p->message - 1] = '\0';
    for (char *c = p->message; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    ds_status status = result == DS_PLUGIN_BAD_DATA   ? DS_ERR_DATA
                       : result == DS_PLUGIN_DIVERGED ? DS_ERR_DIVERGED
                                                      : DS_ERR_USAGE;
    return DS_FAIL(status, "plug-in %s: %s failed (%d): %s", self->name, call, result,
                   p->message[0] != '\0' ? p->message : "it does not say why");
}

/* ---- opening -------------------------------------------------------------------------------- */

/* [4], 4, or [1, 28, 28]. */
static ds_status plugin_input(const ds_value *value, ds_shape *out)
{
    ds_shape shape = {.n = 0};
    size_t n = value->kind == DS_VALUE_LIST ? value->n : 1, elements = 1;
    if (value->kind == DS_VALUE_MAP || n < 1 || n > DS_MAX_DIMS)
        return ds_value_fail(value, "problem: input must be a list of 1 to %d dimensions",
                             DS_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        const ds_value *v = value->kind == DS_VALUE_LIST ? value->child[i] : value;
        int64_t dim = 0;
        DS_TRY(ds_value_int(v, "problem", "input", &dim));
        if (dim < 1 || __builtin_mul_overflow(elements, (size_t)dim, &elements) ||
            elements > 1u << 30)
            return ds_value_fail(v,
                                 "problem: input has a dimension of %" PRId64
                                 ", expected 1 or more, and at most 2^30 elements",
                                 dim);
        shape.dim[shape.n++] = (size_t)dim;
    }
    *out = shape;
    return DS_OK;
}

/* Sizes of a sample and its targets: the config's, or the plug-in's; both must agree. */
static ds_status plugin_sizes(ds_problem *self, const plugin_options *o, const ds_value *map)
{
    const ds_plugin *code = ((plugin *)self->state)->code;
    self->reads_data = code->data != DS_PLUGIN_NO_DATA;
    const ds_value *given = o->input != NULL ? o->input : ds_value_find(map, "targets");
    if (!self->reads_data && given != NULL)
        return ds_value_fail_key(given,
                                 "problem: plug-in %s learns from no data: '%s' does not "
                                 "apply",
                                 self->name, given->key);
    if (!self->reads_data)
        return DS_OK;
    self->target = code->data == DS_PLUGIN_CLASSES ? DS_TARGET_CLASS : DS_TARGET_REAL;
    self->input = (ds_shape){.n = 1, .dim = {code->n_inputs}};
    if (o->input != NULL)
        DS_TRY(plugin_input(o->input, &self->input));
    size_t inputs = ds_shape_elements(&self->input);
    if (inputs == 0)
        return ds_value_fail(
            map,
            "problem: 'input' is missing, expected the shape of a sample as plug-in "
            "%s does not say it: input: [4]",
            self->name);
    if (code->n_inputs > 0 && inputs != code->n_inputs)
        return ds_value_fail(o->input, "problem: input has %zu elements, plug-in %s takes %zu",
                             inputs, self->name, code->n_inputs);
    self->outputs = o->targets > 0 ? (size_t)o->targets : code->n_targets;
    if (self->outputs == 0)
        return ds_value_fail(map,
                             "problem: 'targets' is missing, expected how many %s plug-in %s is to "
                             "learn: targets: 1",
                             self->target == DS_TARGET_CLASS ? "classes" : "numbers", self->name);
    if (code->n_targets > 0 && self->outputs != code->n_targets)
        return ds_value_fail(ds_value_find(map, "targets"),
                             "problem: targets is %zu, plug-in %s has %zu", self->outputs,
                             self->name, code->n_targets);
    self->gives_outputs = code->predict != NULL;
    return DS_OK;
}

/* A default that is no value of its kind is the plug-in author's mistake, whether it is needed or
 * not. As in our own tables it may lie outside the range. */
static ds_status plugin_check_default(const char *what, const ds_option *option, ds_arena *arena)
{
    ds_value *v = NULL;
    int64_t whole = 0;
    double real = 0;
    if (option->fallback == NULL || option->type == DS_OPTION_TEXT)
        return DS_OK;
    DS_TRY(ds_value_scalar(arena, option->name, option->fallback, &v));
    ds_status status = option->type == DS_OPTION_INT ? ds_value_int(v, what, option->name, &whole)
                                                     : ds_value_real(v, what, option->name, &real);
    DS_CHECK(status == DS_OK, DS_ERR_USAGE,
             "%s: its option '%s' has the default '%s', expected %s; mend its option table "
             "(descent/plugin.h)",
             what, option->name, option->fallback,
             option->type == DS_OPTION_INT ? "a whole number" : "a finite number");
    return DS_OK;
}

/* The plug-in's table as ours: one struct ds_plugin_value an option. */
static ds_status plugin_read_options(ds_problem *self, const ds_value *map, ds_plugin_value **out)
{
    static const ds_option_type type[] = {DS_OPTION_REAL, DS_OPTION_INT, DS_OPTION_TEXT};
    static const size_t member[] = {offsetof(ds_plugin_value, real),
                                    offsetof(ds_plugin_value, integer),
                                    offsetof(ds_plugin_value, text)};
    const ds_plugin *code = ((plugin *)self->state)->code;
    ds_option *table = NULL;
    char what[96];
    snprintf(what, sizeof what, "plug-in %s", self->name);
    DS_TRY(ds_arena_take(self->arena, code->n_options + 1, sizeof *table, what, &table));
    DS_TRY(ds_arena_take(self->arena, code->n_options + 1, sizeof **out, what, out));
    for (size_t i = 0; i < code->n_options; i++) {
        const ds_plugin_option *o = &code->option[i];
        DS_CHECK(o->name != NULL && o->kind <= DS_PLUGIN_TEXT, DS_ERR_USAGE,
                 "%s: option %zu of its table has no name or no kind", what, i);
        table[i] = (ds_option){.name = o->name,
                               .type = type[o->kind],
                               .offset = i * sizeof **out + member[o->kind],
                               .fallback = o->fallback,
                               .min = o->min,
                               .max = o->max,
                               .flags = o->fallback == NULL ? DS_OPTION_REQUIRED : 0,
                               .help = o->help != NULL ? o->help : "an option of the plug-in"};
        DS_TRY(plugin_check_default(what, &table[i], self->arena));
    }
    return ds_options_parse(table, map, what, self->arena, *out);
}

static ds_status plugin_add_tensors(ds_problem *self)
{
    plugin *p = self->state;
    size_t n = p->problem.n_tensors;
    DS_CHECK(n > 0 && n <= PLUGIN_TENSORS, DS_ERR_USAGE,
             "plug-in %s: open gave %zu tensors, expected 1 to %d", self->name, n, PLUGIN_TENSORS);
    DS_CHECK(p->problem.tensor != NULL, DS_ERR_USAGE,
             "plug-in %s: open gave %zu tensor%s, but their table (.tensor) is NULL", self->name, n,
             n == 1 ? "" : "s");
    DS_TRY(ds_problem_room(self, n));
    for (size_t i = 0; i < n; i++) {
        const ds_plugin_tensor *t = &p->problem.tensor[i];
        ds_shape shape = {.n = t->n_dims};
        DS_CHECK(t->name != NULL && t->name[0] != '\0' && strlen(t->name) <= 64 &&
                     strspn(t->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_-.") == strlen(t->name) &&
                     t->name[0] != '.',
                 DS_ERR_USAGE,
                 "plug-in %s: tensor %zu is named '%.80s', expected letters, digits, '_', '-', '.'",
                 self->name, i, t->name == NULL ? "" : t->name);
        DS_CHECK(t->n_dims <= DS_PLUGIN_DIMS, DS_ERR_USAGE,
                 "plug-in %s: tensor '%s' has %zu dimensions, at most %d", self->name, t->name,
                 t->n_dims, DS_PLUGIN_DIMS);
        for (size_t j = 0; j < i; j++)
            DS_CHECK(strcmp(p->problem.tensor[j].name, t->name) != 0, DS_ERR_USAGE,
                     "plug-in %s: two tensors are named '%s'", self->name, t->name);
        memcpy(shape.dim, t->dim, t->n_dims * sizeof *t->dim);
        DS_TRY(ds_problem_add(self, t->name, &shape));
    }
    return ds_problem_settle(self);
}

static ds_status plugin_take_room(ds_problem *self)
{
    plugin *p = self->state;
    size_t n = self->layout.n_params;
    float ***list[] = {&p->in, &p->out, &p->dense_in, &p->dense_out};
    for (size_t k = 0; k < 4; k++)
        DS_TRY(ds_arena_take(self->arena, n, sizeof **list[k], "a plug-in's tensors", list[k]));
    for (size_t i = 0; i < n; i++) {
        const ds_param *param = &self->layout.param[i];
        size_t elements = param->rows * param->cols;
        if (param->rows == 1 || param->stride == param->cols)
            continue;
        DS_TRY(ds_arena_take(self->arena, elements, sizeof(float), "a plug-in's tensors",
                             &p->dense_in[i]));
        DS_TRY(ds_arena_take(self->arena, elements, sizeof(float), "a plug-in's tensors",
                             &p->dense_out[i]));
    }
    return DS_OK;
}

/* Where a call finds or leaves each tensor of the block. */
static void plugin_point(const ds_problem *self, float *block, float *const *dense, float **at)
{
    for (size_t i = 0; i < self->layout.n_params; i++)
        at[i] = dense[i] != NULL ? dense[i] : block + self->layout.param[i].offset;
}

static void plugin_copy_out(const ds_problem *self, float *block)
{
    const plugin *p = self->state;
    for (size_t i = 0; i < self->layout.n_params; i++)
        if (p->dense_out[i] != NULL)
            ds_param_import(&self->layout.param[i], p->dense_out[i], block);
}

static void plugin_clear(const ds_problem *self)
{
    const plugin *p = self->state;
    for (size_t i = 0; i < self->layout.n_params; i++) {
        const ds_param *param = &self->layout.param[i];
        if (p->dense_out[i] != NULL)
            memset(p->dense_out[i], 0, param->rows * param->cols * sizeof(float));
    }
}

static ds_status plugin_start(ds_problem *self)
{
    plugin *p = self->state;
    if (p->code->initial == NULL)
        return DS_OK;
    plugin_point(self, self->initial, p->dense_out, p->out);
    p->message[0] = '\0';
    DS_TRY(plugin_verdict(self, "initial",
                          p->code->initial(p->problem.self, self->seed, p->out, p->message)));
    plugin_copy_out(self, self->initial);
    return DS_OK;
}

static ds_status plugin_open(ds_problem *self, const ds_value *map)
{
    plugin_options o = {0};
    plugin *p = NULL;
    ds_plugin_value *value = NULL;
    char *path = NULL;
    const ds_option *tables[] = {plugin_name, plugin_table};
    DS_TRY(ds_options_check(2, tables, map, "problem plugin"));
    DS_TRY(ds_options_fill(plugin_table, map, "problem plugin", self->arena, &o));
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *p, "a plug-in", &p));
    self->state = p;
    const ds_value *file = ds_value_find(map, "plugin");
    if (ds_plugin_load(o.plugin, &p->handle, &p->code, &self->identity) != DS_OK) {
        char why[1024];
        snprintf(why, sizeof why, "%s", ds_last_error());
        return ds_value_fail(file, "%s", why);
    }
    DS_TRY(ds_arena_text(self->arena, o.plugin, &path));
    self->file = path;
    self->name = p->code->name;
    DS_TRY(plugin_sizes(self, &o, map));
    DS_TRY(plugin_read_options(self, o.options, &value));
    ds_plugin_setup setup = {.n_inputs = self->reads_data ? ds_shape_elements(&self->input) : 0,
                             .n_targets = self->outputs,
                             .seed = self->seed,
                             .option = value};
    DS_TRY(plugin_verdict(self, "open", p->code->open(&setup, &p->problem, p->message)));
    p->opened = true;
    DS_TRY(plugin_add_tensors(self));
    DS_TRY(plugin_take_room(self));
    return plugin_start(self);
}

static void plugin_close(ds_problem *self)
{
    plugin *p = self->state;
    if (p == NULL)
        return;
    if (p->opened && p->code->close != NULL)
        p->code->close(p->problem.self);
    ds_plugin_unload(p->handle);
}

/* ---- a shard -------------------------------------------------------------------------------- */

static ds_plugin_shard plugin_shard(const ds_problem *self, const ds_problem_rows *rows)
{
    ds_plugin_shard shard = {.n = rows->n,
                             .seed = rows->seed,
                             .step = rows->step,
                             .position = rows->position,
                             .training = rows->training};
    if (!self->reads_data)
        return shard;
    shard.x = rows->x;
    shard.x_stride = rows->x_stride;
    if (rows->targets != NULL && self->target == DS_TARGET_CLASS)
        shard.label = rows->targets->label;
    else if (rows->targets != NULL)
        shard.target = rows->targets->value;
    return shard;
}

/* The parameters as a plug-in wants them. */
static const float *const *plugin_params(const ds_problem *self, const float *params)
{
    plugin *p = self->state;
    for (size_t i = 0; i < self->layout.n_params; i++)
        if (p->dense_in[i] != NULL)
            ds_param_export(&self->layout.param[i], params, p->dense_in[i]);
    union { /* both are read only by the plug-in */
        const float *from;
        float *to;
    } block = {.from = params};
    plugin_point(self, block.to, p->dense_in, p->in);
    return (const float *const *)p->in;
}

static ds_status plugin_value(const ds_problem *self, const float *params,
                              const ds_problem_rows *rows, double *loss, float *gradient)
{
    plugin *p = self->state;
    ds_plugin_shard shard = plugin_shard(self, rows);
    const float *const *in = plugin_params(self, params);
    if (gradient != NULL) {
        plugin_point(self, gradient, p->dense_out, p->out);
        plugin_clear(self);
    }
    *loss = 0;
    p->message[0] = '\0';
    int result = p->code->loss(p->problem.self, &shard, in, loss, gradient != NULL ? p->out : NULL,
                               p->message);
    DS_TRY(plugin_verdict(self, "loss", result));
    if (gradient != NULL)
        plugin_copy_out(self, gradient);
    return DS_OK;
}

static ds_status plugin_predict(const ds_problem *self, const float *params,
                                const ds_problem_rows *rows, float *y, size_t stride)
{
    plugin *p = self->state;
    ds_plugin_shard shard = plugin_shard(self, rows);
    shard.target = NULL;
    shard.label = NULL;
    p->message[0] = '\0';
    int result = p->code->predict(p->problem.self, &shard, plugin_params(self, params), y, stride,
                                  p->message);
    return plugin_verdict(self, "predict", result);
}

extern const ds_problem_ops ds_problem_plugin;
const ds_problem_ops ds_problem_plugin = {
    .name = "plugin",
    .help = "a problem from a shared object of yours: {plugin: ./libmine.so}",
    .options = plugin_table,
    .options_size = sizeof(plugin_options),
    .open = plugin_open,
    .close = plugin_close,
    .value = plugin_value,
    .predict = plugin_predict,
};
