/* The table of layers. */
#include "descent/layer.h"

#include <string.h>

#define X(name) extern const ds_layer_ops ds_layer_##name;
#include "layers.list"
#undef X

static const ds_layer_ops *const table[] = {
#define X(name) &ds_layer_##name,
#include "layers.list"
#undef X
};

static const ds_option common[] = {
    {.name = "name",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(ds_layer_common, name),
     .help = "name in checkpoints and messages; default: kind and number, dense1"},
    {.name = "trainable",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(ds_layer_common, trainable),
     .fallback = "true",
     .help = "false: parameters stay as they are"},
    {.name = NULL},
};

const ds_layer_ops *ds_layer_at(size_t i)
{
    return i < sizeof table / sizeof *table ? table[i] : NULL;
}

const ds_layer_ops *ds_layer_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

const ds_option *ds_layer_common_options(void)
{
    return common;
}
