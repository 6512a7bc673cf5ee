/* How the ranks' gradients become one update. One file and one line in sync.list add a strategy. */
#ifndef DS_SYNC_H
#define DS_SYNC_H

#include "descent/plan.h"
#include "descent/world.h"

typedef struct ds_sync ds_sync;
typedef struct ds_sync_ops ds_sync_ops;

/* What one step tells all ranks. */
typedef struct ds_outcome {
    double loss;      /* mean over the step's samples, by shards in order */
    double grad_norm; /* of the mean gradient, before clipping */
    bool finite;      /* false: nothing was updated */
    int bad_shard;    /* the lowest shard that was not finite; -1 */
    int word;         /* rank 0's word for this step */
} ds_outcome;

typedef struct ds_sync_spec {
    ds_world *world;
    const ds_plan *plan;
    const ds_layout *layout;
    const ds_config *config;
    const ds_kernels *kernels;
} ds_sync_spec;

/* Collective. */
DS_API ds_status ds_sync_create(const ds_sync_spec *spec, ds_sync **out) DS_NODISCARD;
DS_API void ds_sync_destroy(ds_sync **sync); /* Collective when memory is shared. */

/* Local. The flat parameter block this rank reads (shared by the ranks of a host where that is
 * faster). */
DS_API float *ds_sync_params(ds_sync *self);
/* Local. Flat block for this rank's i-th node's sum (plan: node_begin[rank] + i). */
DS_API float *ds_sync_partial(ds_sync *self, size_t i);
/* Collective. After parameters were written by all ranks alike (initial values, a checkpoint)
 * through ds_sync_load. */
DS_API ds_status ds_sync_load(ds_sync *self, const float *flat) DS_NODISCARD;

/* What a rank brings to a step. */
typedef struct ds_step {
    int64_t t;      /* updates done before this one */
    size_t samples; /* of the whole batch */
    double lr;
    double *loss; /* (V): sums of the shards this rank computed, 0 elsewhere */
    bool *bad;    /* (V): true for shards of this rank that are not finite */
    int word;     /* rank 0's word, told to all */
} ds_step;
/* Collective. Sum the partials along the tree, update each owner's slices, give all ranks the new
 * parameters. */
DS_API ds_status ds_sync_step(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;

/* Collective. Optimizer slot s as one whole flat block on every rank; and back (each keeps its
 * part). */
DS_API ds_status ds_sync_gather_slot(ds_sync *self, size_t s, float *flat) DS_NODISCARD;
DS_API ds_status ds_sync_load_slot(ds_sync *self, size_t s, const float *flat) DS_NODISCARD;

#endif
