/* The same numbers under another shape. Samples lie dense, so nothing moves. */
#include <string.h>

#include "descent/layer.h"

typedef struct reshape_options {
    const ds_value *shape;
} reshape_options;

static const ds_option options[] = {
    {.name = "shape",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(reshape_options, shape),
     .choices = "a list of int",
     .flags = DS_OPTION_REQUIRED,
     .help = "of a sample, as [3, 32, 32]"},
    {.name = NULL},
};

static ds_status reshape_prepare(ds_layer *self, ds_layer_builder *builder)
{
    (void)builder;
    const reshape_options *o = self->options;
    const ds_value *list = o->shape;
    char found[DS_SHAPE_TEXT], asked[DS_SHAPE_TEXT];
    if (list->kind != DS_VALUE_LIST || list->n < 1 || list->n > DS_MAX_DIMS)
        return ds_value_fail(list, "layer '%s': shape must be a list of 1 to %d dimensions",
                             self->name, DS_MAX_DIMS);
    self->out.n = list->n;
    for (size_t i = 0; i < list->n; i++) {
        int64_t n = 0;
        DS_TRY(ds_value_int(list->child[i], self->name, "shape", &n));
        if (n < 1 || n > 1 << 30)
            return ds_value_fail(list->child[i],
                                 "layer '%s': %lld as a dimension, expected 1 to %d", self->name,
                                 (long long)n, 1 << 30);
        self->out.dim[i] = (size_t)n;
    }
    if (ds_shape_elements(&self->out) != ds_shape_elements(&self->in))
        return ds_value_fail(list, "layer '%s': shape %s has %zu elements, its input %s has %zu",
                             self->name, ds_shape_text(&self->out, asked),
                             ds_shape_elements(&self->out), ds_shape_text(&self->in, found),
                             ds_shape_elements(&self->in));
    return DS_OK;
}

extern const ds_layer_ops ds_layer_reshape;
const ds_layer_ops ds_layer_reshape = {
    .name = "reshape",
    .help = "the same numbers under another shape",
    .options = options,
    .options_size = sizeof(reshape_options),
    .view = true,
    .prepare = reshape_prepare,
};
