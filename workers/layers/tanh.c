/* The hyperbolic tangent. */
#include "activation.h"

extern const ds_layer_ops ds_layer_tanh;
const ds_layer_ops ds_layer_tanh = {
    .name = "tanh",
    .help = "hyperbolic tangent",
    .options = ds_activation_options,
    .in_place = true,
    .reads_y = true,
    .activation = DS_ACT_TANH,
    .prepare = ds_activation_prepare,
    .forward = ds_activation_forward,
    .backward = ds_activation_backward,
};
