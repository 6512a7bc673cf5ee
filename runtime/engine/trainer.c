/* Facts of a trainer, and its end. */
#include "trainer_parts.h"

void ds_trainer_destroy(ds_trainer **trainer)
{
    ds_trainer *self = *trainer;
    if (self == NULL)
        return;
    ds_workspace_destroy(&self->training);
    ds_workspace_destroy(&self->evaluating);
    sharpness_destroy(self);
    ds_sync_destroy(&self->sync);
    ds_plan_destroy(&self->plan);
    ds_splits_destroy(&self->splits);
    ds_model_destroy(&self->model);
    ds_config_destroy(&self->config);
    ds_arena *arena = self->arena;
    ds_arena_destroy(&arena);
    *trainer = NULL;
}

int64_t ds_trainer_steps(const ds_trainer *self)
{
    return self->step;
}

int64_t ds_trainer_saved_step(const ds_trainer *self)
{
    return self->saved_step;
}

const ds_config *ds_trainer_config(const ds_trainer *self)
{
    return self->config;
}

const ds_model *ds_trainer_model(const ds_trainer *self)
{
    return self->model;
}

const ds_plan *ds_trainer_plan(const ds_trainer *self)
{
    return self->plan;
}

const ds_splits *ds_trainer_splits(const ds_trainer *self)
{
    return self->splits;
}

const char *const *ds_trainer_names(const ds_trainer *self, ds_names which, size_t *n)
{
    const ds_dataset *train = self->splits == NULL ? NULL : self->splits->train;
    name_list list = self->names[which];
    if (train != NULL && which == DS_NAMES_CLASSES)
        list = (name_list){train->n_classes, train->class_name};
    else if (train != NULL && which == DS_NAMES_INPUTS)
        list = (name_list){ds_shape_elements(&train->input), train->column};
    else if (train != NULL)
        list = (name_list){train->n_targets, train->target_column};
    *n = list.n;
    return list.name;
}

uint64_t trainer_data_identity(const ds_trainer *self)
{
    const ds_dataset *split[] = {self->splits->train, self->splits->validation};
    uint64_t identity[2] = {0, 0};
    for (size_t i = 0; i < 2; i++)
        identity[i] = split[i] != NULL ? split[i]->identity : 0;
    return identity[1] == 0 ? identity[0] : ds_hash_of(identity, sizeof identity);
}

const float *ds_trainer_params(const ds_trainer *self)
{
    return self->sync != NULL ? ds_sync_params(self->sync) : self->own_params;
}

const ds_numerics *ds_trainer_numerics(const ds_trainer *self)
{
    return &self->numerics;
}

ds_status ds_trainer_hash(const ds_trainer *self, uint64_t *params_hash)
{
    return ds_layout_hash(ds_model_layout(self->model), ds_trainer_params(self), params_hash);
}

bool ds_trainer_finished(const ds_trainer *self)
{
    return self->plan != NULL &&
           (self->step >= self->plan->total_steps || self->stopping.reason[0] != '\0');
}
