/* What a trainer does for a problem that is no network: are there data where it learns from some,
 * and is a plug-in the same file on all ranks. Without data a sample is a position in the batch,
 * and a step is an epoch. */
#include "trainer_parts.h"

ds_status create_problem_fits(const ds_trainer *self, const ds_trainer_spec *spec)
{
    const ds_problem *problem = ds_model_problem(self->model);
    const ds_data_config *data = &self->config->data;
    const ds_value *given = data->train != NULL ? data->train : data->test;
    if (problem == NULL)
        return DS_OK;
    if (given == NULL)
        given = data->validation;
    if (!problem->reads_data && (given != NULL || data->validation_fraction > 0))
        return ds_value_fail_key(ds_value_find(self->config->root, "data"),
                                 "data does not apply to problem '%s', which is a function of its "
                                 "parameters alone: leave it out",
                                 problem->name);
    if (problem->reads_data && data->train == NULL && spec->train == NULL && !spec->inference)
        return ds_value_fail(self->config->problem,
                             "problem '%s' learns from samples: expected a source in data.train, "
                             "such as {format: csv, path: FILE, target: COLUMN}",
                             problem->name);
    return DS_OK;
}

ds_status create_problem_same(ds_trainer *self)
{
    const ds_problem *problem = ds_model_problem(self->model);
    double mine[2] = {0, 0};
    if (problem == NULL || problem->file == NULL)
        return DS_OK;
    /* exact in a double: halves of the hash, and their negatives for the minimum */
    const double half[2] = {(double)(problem->identity >> 32),
                            (double)(problem->identity & UINT32_MAX)};
    for (int i = 0; i < 2; i++) {
        double most[2] = {half[i], -half[i]};
        DS_TRY(ds_world_max(self->world, most, 2));
        mine[i] = most[0] + most[1];
    }
    DS_CHECK(mine[0] + mine[1] == 0, DS_ERR_USAGE,
             "plug-in %s is not the same file on all ranks: copy one to all hosts", problem->file);
    return DS_OK;
}

ds_status create_problem_data(const ds_trainer *self, ds_dataset **out)
{
    const ds_batch_config *batch = &self->config->batch;
    ds_auto(ds_dataset) data = NULL;
    float *nothing = NULL;
    DS_TRY(ds_dataset_create(&data));
    data->n = (size_t)(batch->size * batch->accumulate);
    data->input = *ds_model_input(self->model);
    data->kind = DS_TARGET_REAL;
    DS_TRY(ds_arena_take(data->arena, data->n, sizeof *nothing, "positions", &nothing));
    data->values = nothing;
    DS_TRY(ds_dataset_judge(data, "train"));
    *out = ds_steal(data);
    return DS_OK;
}

ds_status create_problem_targets(const ds_trainer *self, const ds_dataset *data, const char *split)
{
    const ds_problem *problem = ds_model_problem(self->model);
    const ds_value *targets = ds_value_find(self->config->problem, "targets");
    const ds_value *at = targets != NULL ? targets : self->config->problem;
    bool classes = data->kind == DS_TARGET_CLASS;
    size_t found = classes ? data->n_classes : data->n_targets;
    bool exact = !classes || data->class_name != NULL; /* plain numbers may leave some out */
    if (found > problem->outputs || (exact && found != problem->outputs))
        return ds_value_fail(at,
                             "problem: plug-in %s has targets: %zu, the %s data have %zu %s: set "
                             "targets to %zu",
                             problem->name, problem->outputs, split, found,
                             classes      ? (found == 1 ? "class" : "classes")
                             : found == 1 ? "target column"
                                          : "target columns",
                             found);
    if (classes && data->n_labels != 1)
        return ds_value_fail(at, "problem: plug-in %s takes a class a sample, the %s data have %zu",
                             problem->name, split, data->n_labels);
    return DS_OK;
}
