/* The exchange that strategies are made of: blocks of all nodes come together at the owners of
 * slices, are added along the tree, an optimizer takes the sum, and the new parameters go to all.
 * `exact` has one, for its gradients; a strategy whose replicas train on their own has one for
 * their meetings, with the outer optimizer and a node a replica.
 *
 *     ds_exchange_create(&spec, &x)        once, in the strategy's create
 *     fill ds_exchange_block(x, i)         each rank, for each of its nodes
 *     ds_exchange_tell(x, step, &out)      every step: losses, verdicts, rank 0's word
 *     ds_exchange_run(x, &job, &out)       if out.finite, in the steps that sum
 *
 * With a codec each node keeps what its code does not say and adds it next time; owners keep exact
 * masters, and the parameters that all ranks see follow them by the same codec. The bits depend on
 * the nodes, not on the ranks that hold them, nor on the transport. */
#ifndef DS_EXCHANGE_H
#define DS_EXCHANGE_H

#include "owner.h"

typedef struct ds_exchange ds_exchange;

typedef struct ds_exchange_spec {
    ds_owner_spec sum;        /* ds_owner_spec_of() and what differs; only -1, all false; coded is
                                 set by create */
    ds_codec codec;           /* of blocks and of new parameters; ops NULL: none */
    const size_t *node_begin; /* (ranks + 1): nodes of sum.node by rank */
    bool overlap; /* ds_exchange_ready will be called in every step, and the step will sum */
    bool ahead;   /* clip_norm apart: update only once the sum is known to be finite on all ranks */
} ds_exchange_spec;

/* Local. exact's: the config's optimizer over the plan's nodes. */
ds_exchange_spec ds_exchange_spec_of(ds_sync *sync);
/* Collective, agreed by all ranks. Chooses the transport by config->sync.transport. Memory is the
 * sync's arena and, where ranks share, a block of shared memory. Errors: USAGE (`shared` across
 * hosts), NOMEM. */
ds_status ds_exchange_create(const ds_exchange_spec *spec, ds_exchange **out) DS_NODISCARD;
void ds_exchange_destroy(ds_exchange **exchange); /* Collective when memory is shared */

/* Local. The flat parameters, alike on all ranks; this rank's i-th block (spec.node_begin[rank] +
 * i), as ds_sync_partial; "shared", "direct" or "none". */
float *ds_exchange_params(ds_exchange *self);
float *ds_exchange_block(ds_exchange *self, size_t i);
const char *ds_exchange_transport(const ds_exchange *self);

/* Local. As ds_sync_begin. */
void ds_exchange_prepare(ds_exchange *self);
/* Local. As ds_sync_ready and ds_sync_poll. */
void ds_exchange_ready(ds_exchange *self, size_t samples, size_t param);
void ds_exchange_poll(ds_exchange *self);

/* Collective. Once a step: all ranks' losses, flags and the word -> out (see ds_sync_judge). What
 * ranks wrote to their blocks before, stands afterwards. */
ds_status ds_exchange_tell(ds_exchange *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;

typedef struct ds_exchange_job {
    double divisor; /* of the sum */
    size_t samples; /* leaf k of L has none when ds_shard_begin(k,
                       samples, L) == ds_shard_begin(k + 1, ...): such a node's block is left out */
    double lr;
    int64_t t; /* updates of this optimizer, this one included: from 1 */
    bool want_norm;
    const ds_step *step; /* whose veto is asked where the sum is known ahead, or NULL */
} ds_exchange_job;
/* Collective, after tell in the same step. Sum, update, spread. out's grad_norm is set where wanted
 * or needed; finite becomes false (bad_shard -1) where the sum is not: then nothing was updated if
 * `ahead` or clip_norm, else parameters are unspecified. Blocks are unspecified afterwards. */
ds_status ds_exchange_run(ds_exchange *self, const ds_exchange_job *job,
                          ds_outcome *out) DS_NODISCARD;

/* Collective. Both for a step whose leaves are the plan's shards: ds_sync_step of one update. */
ds_status ds_exchange_step(ds_exchange *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;

/* Local. As ds_sync_tensor_norms. */
void ds_exchange_tensor_norms(const ds_exchange *self, double *norm);

/* Collective. As ds_sync_load, ds_sync_gather_slot and ds_sync_load_slot. */
ds_status ds_exchange_load(ds_exchange *self, const float *flat) DS_NODISCARD;
ds_status ds_exchange_gather_slot(ds_exchange *self, size_t s, float *flat) DS_NODISCARD;
ds_status ds_exchange_load_slot(ds_exchange *self, size_t s, const float *flat) DS_NODISCARD;

/* As ds_sync_state_at and what follows it: with a codec the masters ("master"), the residual of
 * each node ("residual-LO-HI", by leaves) and the scales; else nothing. A residual of other nodes
 * goes to the node that has its first leaf, so that their sum is kept. */
const char *ds_exchange_state_at(const ds_exchange *self, size_t i);
ds_status ds_exchange_gather_state(ds_exchange *self, size_t i, float *flat) DS_NODISCARD;
ds_status ds_exchange_load_state(ds_exchange *self, const char *name, const float *flat,
                                 bool *used) DS_NODISCARD;
bool ds_exchange_number_at(const ds_exchange *self, size_t i, ds_sync_number *out);
void ds_exchange_load_number(ds_exchange *self, const ds_sync_number *number);

#endif
