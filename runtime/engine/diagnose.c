/* A step that is not finite: the rank that owns the first bad shard replays its shards one by
 * one, layer by layer, and tells all. The flag of a step names the first shard of a bad pass or
 * replica, so the owner looks for the culprit from there on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trainer_parts.h"

/* The node that computes a shard. */
static size_t diagnose_node(const ds_plan *plan, int shard)
{
    size_t j = 0;
    while (plan->node[j].hi <= shard)
        j++;
    return j;
}

/* The culprits as rows of the training data. */
static void diagnose_rows(const batch_source *batch, const ds_shard *shard,
                          const ds_diagnosis *found, size_t room, char *text)
{
    if (batch->x != NULL)
        return;
    for (size_t i = 0; i < found->n_samples; i++) {
        size_t used = strlen(text), place = batch->position + shard->position + found->sample[i];
        snprintf(text + used, room - used, "%s%llu",
                 i > 0                  ? ", "
                 : found->n_samples > 1 ? ": rows "
                                        : ": row ",
                 (unsigned long long)ds_order_at(&batch->order, place));
    }
    size_t used = strlen(text);
    if (found->n_samples > 0)
        snprintf(text + used, room - used, " of the training data, counted from 0");
}

/* " of replica 1", where replicas train on their own; else nothing. */
static const float *diagnose_params(ds_trainer *self, int shard, size_t room, char *who)
{
    size_t at = diagnose_node(self->plan, shard);
    const ds_node *node = &self->plan->node[at];
    const float *params = ds_sync_node_params(self->sync, at - self->plan->node_begin[node->rank]);
    bool own = params != ds_sync_params(self->sync);
    who[0] = '\0';
    if (own)
        snprintf(who, room, " of replica %d", node->replica);
    return params;
}

/* Shards from `from` on, of the rank that computes them: a pass may be of several nodes. */
static ds_status diagnose_shards(ds_trainer *self, const batch_source *batch, int from, size_t room,
                                 char *text)
{
    int rank = ds_world_rank(self->world), end = ds_plan_shard_begin(self->plan, rank + 1);
    char who[32];
    for (int k = from; k < end; k++) {
        ds_diagnosis found;
        const float *params = diagnose_params(self, k, sizeof who, who);
        gradient_fetch(self, batch, k, k + 1);
        DS_TRY(ds_model_diagnose(self->training, params, self->step, &self->shard[k], &found));
        if (found.text[0] == '\0')
            continue;
        snprintf(text, room, "step %lld, shard %d of %d%s on rank %d (%s): %s",
                 (long long)self->step + 1, k, self->plan->shards, who, rank,
                 ds_world_host(self->world), found.text);
        diagnose_rows(batch, &self->shard[k], &found, room, text);
        return DS_OK;
    }
    (void)diagnose_params(self, from, sizeof who, who);
    snprintf(text, room,
             "step %lld, shards %d to %d%s on rank %d (%s): finite one by one, not in their sum",
             (long long)self->step + 1, from, end - 1, who, rank, ds_world_host(self->world));
    return DS_OK;
}

ds_status diagnose_step(ds_trainer *self, const batch_source *batch, int bad_shard, size_t room,
                        char *text)
{
    memset(text, 0, room);
    if (bad_shard < 0) {
        snprintf(text, room, "step %lld: the gradient overflows in the sum over shards",
                 (long long)self->step + 1);
        return DS_OK;
    }
    int owner = self->plan->node[diagnose_node(self->plan, bad_shard)].rank;
    ds_status mine = DS_OK;
    if (owner == ds_world_rank(self->world))
        mine = diagnose_shards(self, batch, bad_shard, room, text);
    DS_TRY(ds_agree(self->world, mine));
    return ds_world_broadcast(self->world, text, room, owner);
}
