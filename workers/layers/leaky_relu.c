/* x above zero, 0.01 x below. */
#include "activation.h"

extern const ds_layer_ops ds_layer_leaky_relu;
const ds_layer_ops ds_layer_leaky_relu = {
    .name = "leaky_relu",
    .help = "x, or 0.01 x below 0",
    .options = ds_activation_options,
    .in_place = true,
    .reads_y = true,
    .activation = DS_ACT_LEAKY_RELU,
    .prepare = ds_activation_prepare,
    .forward = ds_activation_forward,
    .backward = ds_activation_backward,
    .held = ds_activation_held,
};
