/* Any shape as one dimension. Samples lie dense, so nothing moves. */
#include "activation.h"

static ds_status flatten_prepare(ds_layer *self, ds_layer_builder *builder)
{
    (void)builder;
    self->out = (ds_shape){.n = 1, .dim = {ds_shape_elements(&self->in)}};
    return DS_OK;
}

extern const ds_layer_ops ds_layer_flatten;
const ds_layer_ops ds_layer_flatten = {
    .name = "flatten",
    .help = "any shape as one dimension",
    .options = ds_activation_options,
    .view = true,
    .prepare = flatten_prepare,
};
