/* The inside of a workspace: one rank's blocks for a number of rows. */
#ifndef DS_RANK_H
#define DS_RANK_H

#include "graph.h"

enum { DS_MAX_DEPTH = 34 };

/* Which additions a parameter's gradient may make itself: [short panel or full][rows probed]. */
typedef struct ds_fused {
    bool yes[2][2];
} ds_fused;

struct ds_workspace {
    ds_arena *arena; /* NULL while measuring */
    size_t bytes;
    ds_workspace_spec spec;
    float **act; /* (n_layers + 1): x of the first layer, then y of each; in-place layers share */
    size_t *stride;  /* (n_layers + 1) */
    float **kept;    /* (n_layers) */
    float **tied_dy; /* (n_layers): dy of tied layers, until their lender's gradient is summed */
    float *hold[2 * DS_MAX_LEVELS]; /* what waits at joins and branches, two a level */
    float *grad[2];       /* gradients of activations, of two neighbouring layers at a time */
    float *shared;        /* what the shards of a pass share in one layer's backward */
    float *layer_scratch; /* room of one layer's call */
    int depth;            /* scratch blocks: right-hand subtrees on their way */
    float *scratch[DS_MAX_DEPTH];
    size_t probed[2];    /* shard rows for which fused additions were probed */
    ds_fused *fused;     /* (n_params) */
    size_t panel_floats; /* size of a scratch block */
    float *output;       /* (rows, output_stride) of a problem, as it predicts */
    size_t output_stride;
};

/* Rows of a parameter whose gradient is summed over all shards before the next. */
size_t ds_panel_rows(const ds_param *param);
/* The rows of a shard at layer l; the gradient block holding dy is grad[side]. */
ds_rows ds_workspace_rows(const ds_workspace *self, size_t l, int side, int64_t step,
                          const ds_shard *shard);
/* The loss of n samples: value and, where dz is not NULL, gradient, as ds_loss_ops.value; the mean
 * over a sample's positions where the model has them. */
void ds_workspace_loss(const ds_workspace *self, size_t n, const float *z, size_t stride,
                       const ds_targets *targets, double *sum, float *dz);
/* Forward of layer l for these rows; nothing for a view. */
ds_status ds_workspace_layer(const ds_workspace *self, size_t l, const float *params,
                             const ds_rows *rows);
/* before() of layer l for these rows, or its backward(); *filled tells whether `shared` holds this
 * layer's. */
ds_status ds_workspace_before(const ds_workspace *self, size_t l, const float *params,
                              ds_rows *rows, bool *filled);
ds_status ds_workspace_backward(const ds_workspace *self, size_t l, const float *params,
                                ds_rows *rows, bool *filled);
/* objective.c: the same of a model that is a problem. */
ds_status ds_objective_gradient(ds_workspace *self, const float *params,
                                ds_pass *pass) DS_NODISCARD;
ds_status ds_objective_forward(ds_workspace *self, const float *params, size_t n,
                               const ds_targets *targets, double *sum) DS_NODISCARD;
ds_status ds_objective_loss(const ds_workspace *self, const float *params, int64_t step,
                            const ds_shard *shard, double *loss) DS_NODISCARD;
ds_status ds_objective_diagnose(ds_workspace *self, const float *params, int64_t step,
                                const ds_shard *shard, ds_diagnosis *out) DS_NODISCARD;
/* dx of layer l has the block of dy. */
static inline bool ds_layer_dx_in_place(const ds_layer *layer)
{
    return layer->ops->in_place || layer->ops->view || layer->direct;
}

#endif
