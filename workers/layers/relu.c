/* max(x, 0). */
#include "activation.h"

extern const ds_layer_ops ds_layer_relu;
const ds_layer_ops ds_layer_relu = {
    .name = "relu",
    .help = "max(x, 0)",
    .options = ds_activation_options,
    .in_place = true,
    .reads_y = true,
    .activation = DS_ACT_RELU,
    .prepare = ds_activation_prepare,
    .forward = ds_activation_forward,
    .backward = ds_activation_backward,
    .held = ds_activation_held,
};
