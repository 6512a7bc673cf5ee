/* The plan: a pure function of config x data x ranks. Who computes which shards, which subtrees
 * each rank adds, where buckets and slices lie, what memory and wire it takes. All ranks agree on
 * its hash before the first step. */
#ifndef DS_PLAN_H
#define DS_PLAN_H

#include <stdio.h>

#include "descent/config.h"
#include "descent/model.h"

/* A slice: floats [first, first + count) of one tensor in the flat block. */
typedef struct ds_slice {
    size_t param, first, count;
    bool exact; /* of a statistic: no codec touches it */
} ds_slice;
/* Local. Bytes of it in code. */
static inline size_t ds_slice_bytes(const ds_slice *self, const ds_codec *codec)
{
    return self->exact ? self->count * sizeof(float) : ds_codec_bytes(codec, self->count);
}

/* A subtree of shards of one replica, computed by one rank. */
typedef struct ds_node {
    int lo, hi, rank, replica;
} ds_node;

typedef struct ds_plan {
    int ranks, shards; /* V */
    int replicas;      /* R: what quantises or trains on its own; a rank computes one or several.
                          = ranks where replicas do not shape the numbers */
    int pass_shards;   /* at most so many shards in one forward and backward pass */
    size_t batch;      /* samples a step: size x accumulate */
    size_t samples, steps_per_epoch;
    int64_t total_steps; /* of the run; INT64_MAX when only a stopping rule ends it */
    size_t n_nodes;      /* partials of all ranks, rising by shard */
    ds_node *node;
    size_t *node_begin; /* (ranks + 1): rank r owns nodes [node_begin[r], node_begin[r + 1]) */
    size_t n_buckets;
    size_t *bucket_begin; /* (n_buckets * ranks + 1): slices of bucket b owned by rank r are
                             [bucket_begin[b * ranks + r], bucket_begin[b * ranks + r + 1]) of
                             `slice` */
    ds_slice *slice;      /* trainable tensors only */
    size_t n_slices;
    uint64_t hash;
    ds_arena *arena;
} ds_plan;

/* How the optimizer treats a tensor. */
typedef struct ds_rule {
    const void *options;
    double lr_scale, l1, l2;
    ds_matrix matrix; /* dims 1 where a group says `as_vector` */
} ds_rule;
/* Local, a pure function. */
DS_API ds_rule ds_plan_rule(const ds_config *config, const ds_param *param);
/* Local. Is that slot of that tensor kept (averaged weights are slot n_slots)? False for frozen
 * ones. */
DS_API bool ds_plan_uses_slot(const ds_config *config, const ds_param *param, size_t slot);
/* Local. Has any tensor an l1 or l2 penalty? */
DS_API bool ds_plan_penalised(const ds_config *config);
/* Local. Slots of the optimizer, and one more for averaged weights where they are on. */
static inline size_t ds_plan_slots(const ds_config *config)
{
    return config->optimizer == NULL ? 0 : config->optimizer->n_slots + (config->ema > 0);
}

/* Local. Do replicas shape the numbers? Not in the exact sum of uncompressed gradients. */
DS_API bool ds_plan_replicated(const ds_config *config);
/* Local. `layout` and samples as the ranks agreed. reach TENSOR keeps tensors whole. Errors: USAGE
 * (more ranks than shards or replicas, more replicas than shards: names the line to add). */
DS_API ds_status ds_plan_create(const ds_config *config, const ds_layout *layout, size_t samples,
                                int ranks, ds_plan **out) DS_NODISCARD;
DS_API void ds_plan_destroy(ds_plan **plan);
/* Local. First shard of a replica: i * V / R, rounded up (3 on 8 shards: 3, 3, 2), to a coarser
 * grain where that changes shares by 3 % at most. First replica of a rank: r * R / ranks, rounded
 * up. First shard of a rank: that of its first replica. */
DS_API int ds_plan_replica_shard(const ds_plan *self, int replica);
DS_API int ds_plan_replica_begin(const ds_plan *self, int rank);
DS_API int ds_plan_shard_begin(const ds_plan *self, int rank);
/* Local. Samples of the batch of update t (short at the end of an epoch) and the epoch position of
 * its first sample. */
DS_API size_t ds_plan_batch(const ds_plan *self, int64_t step, size_t *position);
/* Local. Most samples a rank holds in one pass of pass_shards consecutive shards; most samples of
 * one shard. */
DS_API size_t ds_plan_pass_rows(const ds_plan *self, int rank);
DS_API size_t ds_plan_shard_rows(const ds_plan *self);
/* Local. Floats of the slices a rank owns (one optimizer slot of it), and the bytes it sends in one
 * step by direct messages. */
DS_API size_t ds_plan_owned(const ds_plan *self, int rank);
DS_API uint64_t ds_plan_wire_bytes(const ds_plan *self, const ds_config *config, int rank);
/* Local. Bytes that all ranks send for a sample of training, by strategy and codec. */
DS_API double ds_plan_wire_per_sample(const ds_plan *self, const ds_config *config);
/* Local. Do replicas train on their own between meetings? Then: floats a rank holds for them (all
 * of its parameters, gradient sums and optimizer state; `flat` is layout->n_floats), and bytes it
 * sends a step on average, post-local's exact steps apart. */
typedef struct ds_plan_needs {
    double parameters, gradients, optimizer;
} ds_plan_needs;
DS_API bool ds_plan_local(const ds_config *config);
/* Must a step know the sum before it updates, clipping apart? Then one that is not taken leaves no
 * trace, in residuals neither: codes take a second copy of them. */
static inline bool ds_plan_ahead(const ds_config *config)
{
    return config->train.skip_nan || config->train.spike_z > 0;
}
DS_API ds_plan_needs ds_plan_local_needs(const ds_plan *self, const ds_config *config, double flat,
                                         int rank);
DS_API double ds_plan_local_wire(const ds_plan *self, const ds_config *config, int rank);
/* Local. For people: shards, idle share, memory and wire by rank, buckets. `model` may be NULL (no
 * activations then). Errors: WRITE. */
DS_API ds_status ds_plan_report(const ds_plan *self, const ds_config *config,
                                const ds_layout *layout, const ds_model *model,
                                FILE *out) DS_NODISCARD;

#endif
