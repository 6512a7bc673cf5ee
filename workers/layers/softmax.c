/* Softmax over the last dimension, y_i = exp(x_i) / sum_j exp(x_j). Backward is the product with
 * the whole Jacobian diag(y) - y y^T, in O(width): dx_i = y_i (dy_i - sum_j y_j dy_j), the sum in
 * double. For training towards classes use loss cross_entropy on the logits instead. */
#include "activation.h"

/* A sample is `groups` rows of `width`. */
static size_t softmax_width(const ds_layer *self)
{
    return self->in.n == 0 ? 1 : self->in.dim[self->in.n - 1];
}

static ds_status softmax_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                 const ds_rows *rows)
{
    (void)params;
    size_t width = softmax_width(self), groups = ds_shape_elements(&self->in) / width;
    if (groups == 1) {
        k->softmax(rows->n, width, rows->x, rows->x_stride, rows->y, rows->y_stride);
        return DS_OK;
    }
    for (size_t r = 0; r < rows->n; r++)
        k->softmax(groups, width, rows->x + r * rows->x_stride, width, rows->y + r * rows->y_stride,
                   width);
    return DS_OK;
}

static void softmax_gradient(size_t width, const float *y, const float *dy, float *dx)
{
    double dot = 0;
    for (size_t j = 0; j < width; j++)
        dot += (double)y[j] * (double)dy[j];
    for (size_t j = 0; j < width; j++)
        dx[j] = (float)((double)y[j] * ((double)dy[j] - dot));
}

static ds_status softmax_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                  const ds_rows *rows)
{
    (void)k, (void)params;
    size_t width = softmax_width(self), elements = ds_shape_elements(&self->in);
    for (size_t r = 0; r < rows->n; r++)
        for (size_t j = 0; j < elements; j += width)
            softmax_gradient(width, rows->y + r * rows->y_stride + j,
                             rows->dy + r * rows->y_stride + j, rows->dx + r * rows->x_stride + j);
    return DS_OK;
}

extern const ds_layer_ops ds_layer_softmax;
const ds_layer_ops ds_layer_softmax = {
    .name = "softmax",
    .help = "probabilities over the last dimension",
    .options = ds_activation_options,
    .in_place = true,
    .reads_y = true,
    .prepare = ds_activation_prepare,
    .forward = softmax_forward,
    .backward = softmax_backward,
};
