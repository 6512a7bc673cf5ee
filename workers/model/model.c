/* A model's accessors and its end. */
#include "graph.h"

void ds_model_destroy(ds_model **model)
{
    if (*model == NULL)
        return;
    ds_problem_destroy(&(*model)->problem);
    ds_arena *arena = (*model)->arena; /* holds the model itself */
    *model = NULL;
    ds_arena_destroy(&arena);
}

const ds_layout *ds_model_layout(const ds_model *self)
{
    return &self->layout;
}

size_t ds_model_n_layers(const ds_model *self)
{
    return self->n_layers;
}

const ds_layer *ds_model_layer(const ds_model *self, size_t i)
{
    return &self->layer[i];
}

const ds_shape *ds_model_input(const ds_model *self)
{
    return &self->input;
}

const ds_shape *ds_model_output(const ds_model *self)
{
    return self->problem != NULL ? &self->output : &self->layer[self->n_layers - 1].out;
}

size_t ds_model_positions(const ds_model *self, ds_target_kind kind)
{
    const ds_shape *out = ds_model_output(self);
    return kind == DS_TARGET_CLASS && out->n == 2 ? out->dim[0] : 1;
}

size_t ds_model_classes(const ds_model *self, ds_target_kind kind)
{
    return ds_shape_elements(ds_model_output(self)) / ds_model_positions(self, kind);
}
