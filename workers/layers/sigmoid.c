/* 1 / (1 + exp(-x)). */
#include "activation.h"

extern const ds_layer_ops ds_layer_sigmoid;
const ds_layer_ops ds_layer_sigmoid = {
    .name = "sigmoid",
    .help = "1 / (1 + exp(-x))",
    .options = ds_activation_options,
    .in_place = true,
    .reads_y = true,
    .activation = DS_ACT_SIGMOID,
    .prepare = ds_activation_prepare,
    .forward = ds_activation_forward,
    .backward = ds_activation_backward,
};
