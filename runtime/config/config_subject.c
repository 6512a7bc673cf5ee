/* What is minimised: a model under a loss, or a problem that is both. */
#include <string.h>

#include "config_parts.h"

static ds_status subject_missing(const ds_value *tree, const char *key, const char *what)
{
    return ds_value_fail(tree, "config: '%s' is missing, expected %s", key, what);
}

ds_status ds_config_check_subject(const ds_value *tree)
{
    if (!ds_value_is_null(ds_value_find(tree, "problem")))
        return DS_OK;
    if (ds_value_is_null(ds_value_find(tree, "model")))
        return subject_missing(tree, "model",
                               "a map (input and layers, or a preset), or a 'problem' instead of "
                               "model and loss");
    if (ds_value_is_null(ds_value_find(tree, "loss")))
        return subject_missing(tree, "loss",
                               "a loss, as cross_entropy (classes) or mse (numbers) (what is "
                               "minimised)");
    return DS_OK;
}

static ds_status subject_network(ds_config *self, const ds_raw_root *raw, ds_value *root)
{
    char found[96];
    if (raw->model->kind != DS_VALUE_MAP)
        return ds_value_fail(raw->model, "model is %s, expected a map with input and layers",
                             ds_value_describe(raw->model, sizeof found, found));
    DS_TRY(ds_config_take_model(self, raw->model, root));
    return ds_config_take_loss(self, raw->loss, root);
}

/* `problem: rosenbrock` is short for {name: rosenbrock}. */
static ds_status subject_map(ds_config *self, const ds_value *raw, ds_value **out)
{
    ds_value *name = NULL;
    if (raw->kind != DS_VALUE_SCALAR)
        return ds_value_copy(self->arena, "problem", raw, out);
    DS_TRY(ds_value_group(self->arena, DS_VALUE_MAP, "problem", out));
    DS_TRY(ds_value_copy(self->arena, "name", raw, &name));
    return ds_value_add(self->arena, *out, name);
}

static ds_status subject_problem(ds_config *self, const ds_raw_root *raw, ds_value *root)
{
    ds_value *map = NULL;
    char *absolute = NULL;
    const ds_value *both = raw->model != NULL ? raw->model : raw->loss;
    if (both != NULL)
        return ds_value_fail_key(both,
                                 "config: '%s' does not apply beside 'problem', which says what is "
                                 "minimised: leave one of them out",
                                 both->key);
    DS_TRY(subject_map(self, raw->problem, &map));
    const ds_value *file = ds_value_find(map, "plugin");
    if (!ds_value_is_null(file) && file->kind == DS_VALUE_SCALAR) {
        DS_TRY(ds_config_path(self, file->text, &absolute));
        DS_TRY(ds_config_put(self, map, "plugin", absolute, file));
    }
    self->problem = map;
    self->loss = ds_problem_objective(DS_TARGET_REAL);
    return ds_value_add(self->arena, root, map);
}

ds_status ds_config_take_subject(ds_config *self, const ds_raw_root *raw, ds_value *root)
{
    bool problem = !ds_value_is_null(raw->problem);
    return problem ? subject_problem(self, raw, root) : subject_network(self, raw, root);
}
