/* A step that is not finite: the rank that owns the first bad shard replays its shards one by one,
 * layer by layer, and tells all. The flag of a step names the first shard of a bad pass, so the
 * owner looks for the culprit from there on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trainer_parts.h"

static int diagnose_owner(const ds_plan *plan, int shard)
{
    int rank = 0;
    while (rank + 1 < plan->ranks && ds_plan_shard_begin(plan, rank + 1) <= shard)
        rank++;
    return rank;
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

/* The parameters that shard k of this rank computes with. */
static const float *diagnose_params(const ds_trainer *self, int k)
{
    const ds_plan *plan = self->plan;
    size_t first = plan->node_begin[ds_world_rank(self->world)], j = first;
    while (plan->node[j].hi <= k)
        j++;
    return ds_sync_node_params(self->sync, j - first);
}

static ds_status diagnose_shards(ds_trainer *self, const batch_source *batch, int from, size_t room,
                                 char *text)
{
    int rank = ds_world_rank(self->world), end = ds_plan_shard_begin(self->plan, rank + 1);
    for (int k = from; k < end; k++) {
        ds_diagnosis found;
        gradient_fetch(self, batch, k, k + 1);
        DS_TRY(ds_model_diagnose(self->training, diagnose_params(self, k), self->step,
                                 &self->shard[k], &found));
        if (found.text[0] == '\0')
            continue;
        snprintf(text, room, "step %lld, shard %d of %d on rank %d (%s): %s",
                 (long long)self->step + 1, k, self->plan->shards, rank, ds_world_host(self->world),
                 found.text);
        diagnose_rows(batch, &self->shard[k], &found, room, text);
        return DS_OK;
    }
    snprintf(text, room,
             "step %lld, shards %d to %d on rank %d (%s): finite one by one, not in their sum",
             (long long)self->step + 1, from, end - 1, rank, ds_world_host(self->world));
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
    int owner = diagnose_owner(self->plan, bad_shard);
    ds_status mine = DS_OK;
    if (owner == ds_world_rank(self->world))
        mine = diagnose_shards(self, batch, bad_shard, room, text);
    DS_TRY(ds_agree(self->world, mine));
    return ds_world_broadcast(self->world, text, room, owner);
}
