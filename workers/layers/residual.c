/* Residual block (He et al. 2015): y = layers(x) + shortcut(x), the shortcut being x itself unless
 * layers are given for it. In the chain of layers it stands as: fork, its layers, branch, those of
 * the shortcut, and the join that bears the block's name. Backward: the join's dy goes down both
 * ways; it waits in hold[0] while the shortcut is gone through, the shortcut's gradient in hold[1]
 * until the fork adds it. Where the shortcut is x itself, dy stays where it is. */
#include <string.h>

#include "descent/layer.h"

static const ds_option options[] = {
    {.name = "layers",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(ds_residual_options, layers),
     .choices = "a list of layers",
     .flags = DS_OPTION_REQUIRED,
     .help = "the way whose result is added"},
    {.name = "shortcut",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(ds_residual_options, shortcut),
     .choices = "a list of layers",
     .help = "the other way; default: the input as it is"},
    {.name = "activation",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(ds_residual_options, activation),
     .choices = DS_ACTIVATION_CHOICES,
     .help = "layer that follows the sum"},
    {.name = NULL},
};
static const ds_option no_options[] = {{.name = NULL}};

static ds_status residual_prepare(ds_layer *self, ds_layer_builder *builder)
{
    (void)builder;
    if (self->ops->flow != DS_FLOW_BRANCH) /* whose out the model sets: its fork's */
        self->out = self->in;
    return DS_OK;
}

static ds_status residual_fork_backward(const ds_layer *self, const ds_kernels *k,
                                        const float *params, const ds_rows *rows)
{
    (void)params;
    size_t n = ds_shape_elements(&self->in);
    for (size_t r = 0; r < rows->n; r++)
        k->add(n, rows->dx + r * rows->x_stride, rows->hold[1] + r * rows->y_stride);
    return DS_OK;
}

static ds_status residual_branch_backward(const ds_layer *self, const ds_kernels *k,
                                          const float *params, const ds_rows *rows)
{
    (void)k, (void)params;
    size_t in = ds_shape_elements(&self->in), out = ds_shape_elements(&self->out);
    for (size_t r = 0; r < rows->n; r++) {
        memcpy(rows->hold[1] + r * rows->y_stride, rows->dy + r * rows->y_stride,
               out * sizeof(float));
        if (!self->direct)
            memcpy(rows->dx + r * rows->x_stride, rows->hold[0] + r * rows->x_stride,
                   in * sizeof(float));
    }
    return DS_OK;
}

static ds_status residual_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                  const ds_rows *rows)
{
    (void)params;
    size_t n = ds_shape_elements(&self->in);
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride,
                    *other = rows->other + r * rows->other_stride;
        float *y = rows->y + r * rows->y_stride;
        if (y == x)
            k->add(n, y, other);
        else
            k->sum(n, y, other, x);
    }
    return DS_OK;
}

static ds_status residual_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)k, (void)params;
    for (size_t r = 0; r < rows->n && !self->direct; r++)
        memcpy(rows->hold[0] + r * rows->other_stride, rows->dy + r * rows->y_stride,
               ds_shape_elements(&self->out) * sizeof(float));
    return DS_OK;
}

const ds_layer_ops ds_layer_fork = {
    .name = "fork",
    .help = "start of a residual block",
    .options = no_options,
    .view = true,
    .flow = DS_FLOW_FORK,
    .prepare = residual_prepare,
    .backward = residual_fork_backward,
};

const ds_layer_ops ds_layer_branch = {
    .name = "branch",
    .help = "start of a residual block's shortcut",
    .options = no_options,
    .flow = DS_FLOW_BRANCH,
    .prepare = residual_prepare,
    .backward = residual_branch_backward,
};

extern const ds_layer_ops ds_layer_residual;
const ds_layer_ops ds_layer_residual = {
    .name = "residual",
    .help = "layers(x) + x, or + shortcut(x) (He et al. 2015)",
    .options = options,
    .options_size = sizeof(ds_residual_options),
    .in_place = true,
    .flow = DS_FLOW_JOIN,
    .prepare = residual_prepare,
    .forward = residual_forward,
    .backward = residual_backward,
};
