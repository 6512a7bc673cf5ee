/* More channels of zeros behind those there are: (C, H, W) becomes (channels, H, W), as the
 * shortcut without parameters of He et al. (2015, option A). */
#include <string.h>

#include "descent/layer.h"

typedef struct pad_channels_options {
    int64_t channels;
} pad_channels_options;

static const ds_option options[] = {
    {.name = "channels",
     .type = DS_OPTION_INT,
     .offset = offsetof(pad_channels_options, channels),
     .min = 1,
     .max = 1048576,
     .flags = DS_OPTION_REQUIRED,
     .help = "channels of the output"},
    {.name = NULL},
};

static ds_status pad_channels_prepare(ds_layer *self, ds_layer_builder *builder)
{
    const pad_channels_options *o = self->options;
    char text[DS_SHAPE_TEXT];
    (void)builder;
    DS_CHECK(self->in.n == 3 && self->in.dim[0] <= (size_t)o->channels, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [channels, height, width] with at "
             "most %lld channels",
             self->name, ds_shape_text(&self->in, text), (long long)o->channels);
    self->out = self->in;
    self->out.dim[0] = (size_t)o->channels;
    return DS_OK;
}

static ds_status pad_channels_forward(const ds_layer *self, const ds_kernels *k,
                                      const float *params, const ds_rows *rows)
{
    (void)k, (void)params;
    size_t in = ds_shape_elements(&self->in), out = ds_shape_elements(&self->out);
    for (size_t r = 0; r < rows->n; r++) {
        float *y = rows->y + r * rows->y_stride;
        memcpy(y, rows->x + r * rows->x_stride, in * sizeof *y);
        memset(y + in, 0, (out - in) * sizeof *y);
    }
    return DS_OK;
}

static ds_status pad_channels_backward(const ds_layer *self, const ds_kernels *k,
                                       const float *params, const ds_rows *rows)
{
    (void)k, (void)params;
    for (size_t r = 0; r < rows->n; r++)
        memcpy(rows->dx + r * rows->x_stride, rows->dy + r * rows->y_stride,
               ds_shape_elements(&self->in) * sizeof *rows->dx);
    return DS_OK;
}

extern const ds_layer_ops ds_layer_pad_channels;
const ds_layer_ops ds_layer_pad_channels = {
    .name = "pad_channels",
    .help = "channels of zeros behind those there are",
    .options = options,
    .options_size = sizeof(pad_channels_options),
    .in_dims = 3,
    .prepare = pad_channels_prepare,
    .forward = pad_channels_forward,
    .backward = pad_channels_backward,
};
