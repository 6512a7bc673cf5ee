/* The table of problems, made from problems.list, and how one is put together. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem_parts.h"

#define X(name) extern const ds_problem_ops ds_problem_##name;
#include "problems.list"
#undef X

static const ds_problem_ops *const problem_table[] = {
#define X(name) &ds_problem_##name,
#include "problems.list"
#undef X
};
enum { PROBLEM_MEMBERS = sizeof problem_table / sizeof *problem_table };

const ds_problem_ops *ds_problem_at(size_t i)
{
    return i < PROBLEM_MEMBERS ? problem_table[i] : NULL;
}

const ds_problem_ops *ds_problem_find(const char *name)
{
    for (size_t i = 0; i < PROBLEM_MEMBERS; i++)
        if (strcmp(problem_table[i]->name, name) == 0)
            return problem_table[i];
    return NULL;
}

/* ---- the layout ----------------------------------------------------------------------------- */

ds_status ds_problem_room(ds_problem *self, size_t n)
{
    DS_TRY(ds_arena_take(self->arena, n, sizeof *self->param, "parameters", &self->param));
    self->layout.param = self->param;
    return DS_OK;
}

ds_status ds_problem_add(ds_problem *self, const char *suffix, const ds_shape *shape)
{
    char *name = NULL, text[DS_SHAPE_TEXT];
    size_t first = shape->n > 1 ? shape->dim[0] : 1, rest = 1, floats = 0;
    bool fits = first > 0;
    for (size_t i = shape->n > 1; i < shape->n && fits; i++)
        fits = shape->dim[i] > 0 && !__builtin_mul_overflow(rest, shape->dim[i], &rest);
    fits = fits && first <= INT_MAX && rest <= INT_MAX - 64;
    size_t stride = (rest + 15) / 16 * 16;
    fits = fits && !__builtin_mul_overflow(first, stride, &floats) &&
           floats < SIZE_MAX / 64 - self->layout.n_floats;
    DS_CHECK(fits, DS_ERR_USAGE, "problem '%s': '%s' of shape %s is no tensor that can be",
             self->name, suffix, ds_shape_text(shape, text));
    DS_TRY(ds_arena_printf(self->arena, &name, "%s/%s", self->name, suffix));
    self->param[self->layout.n_params++] = (ds_param){.name = name,
                                                      .shape = *shape,
                                                      .trainable = true,
                                                      .offset = self->layout.n_floats,
                                                      .rows = first,
                                                      .cols = rest,
                                                      .stride = stride};
    self->layout.n_floats += floats;
    return DS_OK;
}

ds_status ds_problem_settle(ds_problem *self)
{
    return ds_arena_take(self->arena, self->layout.n_floats, sizeof *self->initial,
                         "initial values", &self->initial);
}

/* ---- putting it together -------------------------------------------------------------------- */

static ds_status problem_unknown(const ds_value *name)
{
    const char *names[PROBLEM_MEMBERS];
    char list[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < PROBLEM_MEMBERS; i++) {
        names[i] = problem_table[i]->name;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ",
                                     names[i]);
    }
    const char *nearest = ds_closest(name->text, PROBLEM_MEMBERS, names);
    return ds_value_fail(name, "unknown problem '%.60s' (%s%s%sknown: %s)", name->text,
                         nearest == NULL ? "" : "closest: '", nearest == NULL ? "" : nearest,
                         nearest == NULL ? "" : "'; ", list);
}

static ds_status problem_find(const ds_value *map, const ds_problem_ops **out)
{
    char found[96];
    if (map->kind != DS_VALUE_MAP)
        return ds_value_fail(map, "problem is %s, expected a map such as {name: rosenbrock}",
                             ds_value_describe(map, sizeof found, found));
    const ds_value *name = ds_value_find(map, "name");
    if (ds_value_is_null(name) && ds_value_find(map, "plugin") != NULL) {
        *out = ds_problem_find("plugin");
        return DS_OK;
    }
    if (ds_value_is_null(name) || name->kind != DS_VALUE_SCALAR)
        return ds_value_fail(name != NULL ? name : map,
                             "problem: 'name' is %s, expected the name of a function (see descent "
                             "list problems), or 'plugin' with a file",
                             ds_value_describe(name, sizeof found, found));
    *out = ds_problem_find(name->text);
    return *out != NULL ? DS_OK : problem_unknown(name);
}

static ds_status problem_open(ds_problem *self, const ds_value *map)
{
    DS_TRY(problem_find(map, &self->ops));
    self->name = self->ops->name;
    self->input = (ds_shape){.n = 1, .dim = {1}};
    self->target = DS_TARGET_REAL;
    return self->ops->point != NULL ? ds_analytic_open(self, map) : self->ops->open(self, map);
}

ds_status ds_problem_create(const ds_value *config, uint64_t seed, ds_problem **out)
{
    ds_arena *arena = NULL;
    ds_problem *self = NULL;
    DS_TRY(ds_arena_create("the problem", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *self, "the problem", &self);
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    self->arena = arena;
    self->seed = seed;
    status = problem_open(self, config);
    if (status != DS_OK) {
        ds_problem_destroy(&self);
        return status;
    }
    *out = self;
    return DS_OK;
}

void ds_problem_destroy(ds_problem **problem)
{
    ds_problem *self = *problem;
    if (self == NULL)
        return;
    if (self->ops != NULL && self->ops->close != NULL)
        self->ops->close(self);
    ds_arena *arena = self->arena; /* holds the problem itself */
    *problem = NULL;
    ds_arena_destroy(&arena);
}

ds_status ds_problem_value(const ds_problem *self, const float *params, const ds_problem_rows *rows,
                           double *loss, float *gradient)
{
    return self->ops->point != NULL ? ds_analytic_value(self, params, rows, loss, gradient)
                                    : self->ops->value(self, params, rows, loss, gradient);
}

/* ---- in place of a loss --------------------------------------------------------------------- */

static void problem_no_value(const void *options, size_t n, size_t cols, const float *z,
                             size_t stride, const ds_targets *targets, double *sum, float *dz)
{
    (void)options, (void)n, (void)cols, (void)z, (void)stride, (void)targets, (void)dz;
    *sum = 0;
}

const ds_loss_ops *ds_problem_objective(ds_target_kind kind)
{
    static const ds_option none[] = {{0}};
    static const ds_loss_ops numbers = {.name = "problem",
                                        .help = "what the problem says",
                                        .options = none,
                                        .options_size = 1,
                                        .target = DS_TARGET_REAL,
                                        .value = problem_no_value};
    static const ds_loss_ops classes = {.name = "problem",
                                        .help = "what the problem says",
                                        .options = none,
                                        .options_size = 1,
                                        .target = DS_TARGET_CLASS,
                                        .value = problem_no_value};
    return kind == DS_TARGET_CLASS ? &classes : &numbers;
}
