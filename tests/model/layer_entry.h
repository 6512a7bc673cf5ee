/* A config entry for any layer of the registry, present and future, and an input that it takes. */
#ifndef DS_LAYER_ENTRY_H
#define DS_LAYER_ENTRY_H

#include <stdio.h>
#include <string.h>

#include "descent/layer.h"

/* `{NAME: {units: 5}}`: required options get 5, what is no number a value that fits. */
static inline const char *layer_entry(const ds_layer_ops *ops, size_t room, char *text)
{
    size_t used = (size_t)snprintf(text, room, "{%s: {", ops->name);
    for (const ds_option *o = ops->options; o != NULL && o->name != NULL; o++)
        if (o->flags & DS_OPTION_REQUIRED)
            used +=
                (size_t)snprintf(text + used, room - used, "%s: %s, ", o->name,
                                 strcmp(o->name, "shape") == 0    ? "[2, 3, 4]"
                                 : strcmp(o->name, "layers") == 0 ? "[tanh, {dense: {units: 24}}]"
                                 : strcmp(o->name, "kernel") == 0 ? "2"
                                                                  : "5");
    snprintf(text + used, room - used, "trainable: true}}");
    return text;
}

/* A shape of 24 elements with as many dimensions as it wants. */
static inline const char *layer_input(const ds_layer_ops *ops)
{
    return ops->in_dims == 3 ? "2, 3, 4" : ops->in_dims == 2 ? "4, 6" : "24";
}

#endif
