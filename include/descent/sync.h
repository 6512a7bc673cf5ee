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
    double grad_norm; /* of the mean gradient, before clipping; NAN where nobody wanted it. Where
                         replicas train on their own: mean of the norms of their mean gradients */
    bool finite;      /* false: a shard was not finite and nothing was updated, on any rank */
    int bad_shard;    /* the lowest shard that was not finite, or the first of a replica whose sum
                         or parameters are not. -1 with finite false: shards are
                         finite, but their sum is not; then nothing was updated if
                         config->train.skip_nan or clip_norm are set, else parameters are
                         unspecified (the run must stop) */
    bool vetoed;      /* step->veto said so: nothing was updated, on any rank */
    int word;         /* rank 0's word for this step */
} ds_outcome;

typedef struct ds_sync_spec {
    ds_world *world;
    const ds_plan *plan;
    const ds_layout *layout;
    const ds_config *config;
    const ds_kernels *kernels;
} ds_sync_spec;

/* Local. The i-th strategy's name, NULL past the end; its one line of help. */
DS_API const char *ds_sync_name(size_t i);
DS_API const char *ds_sync_help(size_t i);
/* Local. Does config->sync name a strategy, compression and transport that exist? Errors: USAGE
 * with the place in the config and the closest match. */
DS_API ds_status ds_sync_check(const ds_config *config) DS_NODISCARD;

/* Collective, agreed by all ranks. Borrows all of `spec`. Parameters are zero until ds_sync_load,
 * optimizer slots too. Errors: as ds_sync_check; USAGE (`shared` across hosts), NOMEM. */
DS_API ds_status ds_sync_create(const ds_sync_spec *spec, ds_sync **out) DS_NODISCARD;
DS_API void ds_sync_destroy(ds_sync **sync); /* Collective when memory is shared. */

/* Local. The flat parameter block of the run (shared by the ranks of a host where that is faster):
 * what is evaluated, hashed and saved. Where replicas train on their own: those of the last
 * meeting. A step may change the pointer. */
DS_API float *ds_sync_params(ds_sync *self);
/* Local. The flat parameter block that this rank's i-th node computes with: ds_sync_params, unless
 * replicas train on their own. */
DS_API const float *ds_sync_node_params(ds_sync *self, size_t i);
/* Local. "shared", "direct", or "none" where one rank is alone. */
DS_API const char *ds_sync_transport(const ds_sync *self);
/* Local. Flat block (zero at first; padding must stay zero; contents unspecified after a step) for
 * this rank's i-th node's sum (plan: node_begin[rank] + i). */
DS_API float *ds_sync_partial(ds_sync *self, size_t i);
/* Collective. New parameters, the same flat block brought by all ranks (initial values, a
 * checkpoint). Averaged weights start from them. */
DS_API ds_status ds_sync_load(ds_sync *self, const float *flat) DS_NODISCARD;

/* What a rank brings to a step. */
typedef struct ds_step {
    int64_t t;      /* updates done before this one */
    size_t samples; /* of the whole batch */
    double lr;
    const double *weight; /* (V): what each shard's samples count together, 0 when empty, known to
                             all ranks; NULL: one each. The update divides by their sum */
    double *loss;         /* (V): sums of the shards this rank computed, 0 elsewhere */
    bool *bad;            /* (V): true for shards of this rank that are not finite */
    int word;             /* rank 0's word, told to all */
    bool want_norm;       /* somebody reads outcome.grad_norm; equal on all ranks */
    /* Local. All ranks are asked with the same numbers, before anything is updated: true, and
     * nothing is. NULL unless config->train.spike_z > 0. */
    bool (*veto)(void *context, double loss, double grad_norm);
    void *context;
} ds_step;
/* Local. Before the gradients of update t (counted from 0): what an optimizer prepares from the
 * parameters as they stand. */
DS_API void ds_sync_begin(ds_sync *self, int64_t t);
/* Local, never waits; during the step's last pass. Parameter `param` stands in all partials of this
 * rank: it may be sent while others are computed (config->sync.overlap). Either all trainable ones
 * are reported before ds_sync_step or the rank has failed; either way the step then ends well.
 * `samples` as in ds_step. Trouble is told by ds_sync_step. */
DS_API void ds_sync_ready(ds_sync *self, size_t samples, size_t param);
/* Local, never waits. Help what was sent along its way. */
DS_API void ds_sync_poll(ds_sync *self);
/* Local. Nanoseconds so far during which this rank computed while messages it had sent were under
 * way. */
DS_API int64_t ds_sync_hidden_ns(const ds_sync *self);
/* Collective. Sum the partials along the tree, update each owner's slices, give all ranks the new
 * parameters. Allocates nothing. Errors: MPI, with rank, host and step: the caller must abort. */
DS_API ds_status ds_sync_step(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;

/* Local, on rank 0, between a step that wanted the norm and the next. Norm of the mean gradient of
 * each tensor, before clipping, as grad_norm is made of them: norm (n_params), 0 for frozen ones.
 * Where replicas train on their own: replica 0's. */
DS_API void ds_sync_tensor_norms(const ds_sync *self, double *norm);

/* Collective. The run ends after `step` otherwise than by its last step: replicas that train on
 * their own meet; elsewhere nothing happens. Errors: as ds_sync_step. */
DS_API ds_status ds_sync_meet(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;
/* Collective. `step` was not finite, has been looked into, and the run goes on without it: replicas
 * that were to meet after it do so. Errors: as ds_sync_step. */
DS_API ds_status ds_sync_skipped(ds_sync *self, const ds_step *step) DS_NODISCARD;

/* Collective. Optimizer slot s (averaged weights are slot n_slots) as one whole flat block on every
 * rank; and back (each keeps its part). Where replicas train on their own: replica 0's; back, it
 * becomes that of all. */
DS_API ds_status ds_sync_gather_slot(ds_sync *self, size_t s, float *flat) DS_NODISCARD;
DS_API ds_status ds_sync_load_slot(ds_sync *self, size_t s, const float *flat) DS_NODISCARD;

/* What a strategy keeps besides (masters, residuals, replicas): flat blocks by name, in the
 * checkpoint as /sync/NAME/<layer>/<tensor>, and numbers by name, as /run attributes sync_NAME. A
 * resumed run loads parameters, then slots, numbers and blocks that the file has, in this order. */
/* Local. Name of the i-th block ("master", "replica-1/optimizer/exp_avg"), alike on all ranks; NULL
 * past the end. */
DS_API const char *ds_sync_state_at(const ds_sync *self, size_t i);
/* Collective. Block i, whole on every rank; what lies outside trainable tensors is unspecified. */
DS_API ds_status ds_sync_gather_state(ds_sync *self, size_t i, float *flat) DS_NODISCARD;
typedef struct ds_sync_saved {
    const char *name;
    int replicas; /* R of the run that saved it */
} ds_sync_saved;
/* Collective. A block of a checkpoint, trainable tensors only, the rest zero; perhaps of other
 * replicas, another strategy: *used false where this one has no use for it. */
DS_API ds_status ds_sync_load_state(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                                    bool *used) DS_NODISCARD;
typedef struct ds_sync_number {
    const char *name;
    double value; /* kept to the bit */
} ds_sync_number;
/* Local, alike on all ranks. The i-th number, false past the end; take one back (unknown ones are
 * ignored). */
DS_API bool ds_sync_number_at(const ds_sync *self, size_t i, ds_sync_number *out);
DS_API void ds_sync_load_number(ds_sync *self, const ds_sync_number *number);

#endif
