/* What the element-wise activation layers share: shape kept, no options, kernel by ops->activation.
 */
#ifndef DS_ACTIVATION_H
#define DS_ACTIVATION_H

#include "descent/layer.h"

extern const ds_option ds_activation_options[];
ds_status ds_activation_prepare(ds_layer *self, ds_layer_builder *builder);
ds_status ds_activation_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                const ds_rows *rows);
ds_status ds_activation_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                 const ds_rows *rows);
/* held of relu and leaky_relu: x times the slope at base. */
void ds_activation_held(const ds_layer *self, const float *base, const float *x, float *y);

#endif
