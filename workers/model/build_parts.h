/* What the two files that put a model together share. */
#ifndef DS_BUILD_PARTS_H
#define DS_BUILD_PARTS_H

#include "graph.h"

struct ds_layer_builder {
    ds_model *model;
    size_t room;         /* parameters there is room for */
    const ds_value **at; /* (layers there is room for): where each stands in the config */
    size_t level;        /* residual blocks around the next layer */
};

/* Local. Put the place in the config before a message already recorded, unless it has one. */
ds_status ds_build_at(const ds_value *at, ds_status status) DS_NODISCARD;
/* Local. Layers that a list of entries may become, activations, forks and branches counted. */
size_t ds_build_count(const ds_value *list);
/* Local. Append the layers of a list, as yet without shapes and parameters. `what` names it. */
ds_status ds_build_list(ds_layer_builder *builder, const ds_value *list,
                        const char *what) DS_NODISCARD;

#endif
