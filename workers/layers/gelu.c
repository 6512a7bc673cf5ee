/* x Phi(x) with the exact normal distribution (Hendrycks and Gimpel 2016). Its backward reads x, so
 * it is not in place. */
#include "activation.h"

extern const ds_layer_ops ds_layer_gelu;
const ds_layer_ops ds_layer_gelu = {
    .name = "gelu",
    .help = "x Phi(x), exact (Hendrycks and Gimpel 2016)",
    .options = ds_activation_options,
    .activation = DS_ACT_GELU,
    .prepare = ds_activation_prepare,
    .forward = ds_activation_forward,
    .backward = ds_activation_backward,
};
