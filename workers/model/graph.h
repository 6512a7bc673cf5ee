/* The inside of a model: what build.c makes and the rest reads. */
#ifndef DS_GRAPH_H
#define DS_GRAPH_H

#include "descent/model.h"

enum { DS_MAX_LEVELS = 16 }; /* residual blocks inside each other */

/* How a parameter starts. */
typedef struct ds_initial {
    ds_init_kind kind; /* resolved: never DS_INIT_DEFAULT */
    size_t fan_in, fan_out;
} ds_initial;

struct ds_model {
    ds_arena *arena;
    ds_problem *problem; /* instead of layers, or NULL; owned */
    ds_shape input;
    ds_shape output; /* of a problem */
    size_t n_layers;
    ds_layer *layer;
    ds_layout layout;
    ds_param *param;     /* the layout's, while it grows */
    ds_initial *initial; /* (n_params) */
    bool factors;        /* the optimizer wants them */
    size_t levels;       /* of residual blocks inside each other */
    size_t lowest;       /* first layer with a trainable parameter; n_layers if there is none */
};

/* Index of a layer's p-th parameter in the layout. */
static inline size_t ds_model_param(const ds_model *self, const ds_layer *layer, size_t p)
{
    return (size_t)(layer->param[p] - self->layout.param);
}

#endif
