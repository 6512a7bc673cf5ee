/* Local training (local SGD, Stich, ICLR 2019): a step is one update of each replica with the mean
 * gradient of its own share of the batch; every sync.local_steps steps, and at the run's last, they
 * meet. Between meetings only losses, flags and rank 0's word are told: 8 (2 V + R + 2) bytes.
 * Memory: parameters and optimizer state of each replica, whole. */
#include "local.h"

#include <math.h>
#include <string.h>

static ds_status local_blocks(ds_sync *self, ds_local *local)
{
    const ds_plan *plan = self->spec.plan;
    size_t V = (size_t)plan->shards, R = (size_t)plan->replicas;
    size_t first = plan->node_begin[self->rank], n_slots = self->spec.config->optimizer->n_slots;
    DS_TRY(ds_arena_take(self->arena, 2 * V + R + 2, sizeof(double), "sync", &local->words));
    DS_TRY(ds_arena_take(self->arena, self->n_partials, sizeof *self->node_params, "sync",
                         &self->node_params));
    for (size_t j = 0; j < self->n_partials; j++) {
        size_t i = (size_t)(plan->node[first + j].replica - local->replica[0].index);
        ds_replica *replica = &local->replica[i];
        if (replica->params == NULL) { /* its first node: shares the block that it meets with */
            replica->node_begin = first + j;
            self->partial[j] = ds_exchange_block(local->meeting, i);
            DS_TRY(ds_sync_flat(self, "replicas' parameters", &replica->params));
            for (size_t s = 0; s < n_slots; s++)
                DS_TRY(ds_sync_flat(self, "replicas' optimizer state", &replica->slot[s]));
        } else {
            DS_TRY(ds_sync_flat(self, "gradients", &self->partial[j]));
        }
        self->node_params[j] = replica->params;
    }
    return DS_OK;
}

static ds_status local_replicas(ds_sync *self, ds_local *local)
{
    const ds_plan *plan = self->spec.plan;
    int first = ds_plan_replica_begin(plan, self->rank);
    int end = ds_plan_replica_begin(plan, self->rank + 1);
    local->n_replicas = (size_t)(end - first);
    DS_TRY(ds_arena_take(self->arena, local->n_replicas, sizeof *local->replica, "sync",
                         &local->replica));
    for (int i = first; i < end; i++)
        local->replica[i - first] = (ds_replica){.index = i,
                                                 .lo = ds_plan_replica_shard(plan, i),
                                                 .hi = ds_plan_replica_shard(plan, i + 1)};
    DS_TRY(ds_arena_take(self->arena, self->spec.layout->n_params, sizeof(double), "sync",
                         &local->replica[0].tensor));
    return ds_replica_rules(self, local);
}

void ds_local_tensor_norms(const ds_sync *self, double *norm)
{
    const ds_local *local = self->state;
    memcpy(norm, local->replica[0].tensor, self->spec.layout->n_params * sizeof *norm);
}

ds_status ds_local_create(ds_sync *self, const ds_local_outer *outer)
{
    ds_local *local = NULL;
    ds_status mine = ds_arena_take(self->arena, 1, sizeof *local, "sync", &local);
    if (mine == DS_OK) {
        self->state = local;
        local->outer = *outer;
        mine = local_replicas(self, local);
    }
    DS_TRY(ds_agree(self->spec.world, mine));
    DS_TRY(ds_local_meeting_create(self, local));
    self->transport = ds_exchange_transport(local->meeting);
    self->params = ds_exchange_params(local->meeting);
    mine = local_blocks(self, local);
    if (mine == DS_OK)
        mine = ds_local_state_create(self, local);
    return ds_agree(self->spec.world, mine); /* post-local goes on to what all ranks must make */
}

void ds_local_destroy(ds_sync *self)
{
    ds_local *local = self->state;
    if (local == NULL)
        return;
    ds_exchange_destroy(&local->state);
    ds_exchange_destroy(&local->meeting);
}

ds_status ds_local_load(ds_sync *self, const float *flat)
{
    ds_local *local = self->state;
    DS_TRY(ds_exchange_load(local->meeting, flat));
    ds_local_settle(self, local);
    return DS_OK;
}

/* What all must know before anybody updates: losses, flags, norms, rank 0's word. */
static ds_status local_tell(ds_sync *self, ds_local *local, const ds_step *step, ds_outcome *out)
{
    size_t V = (size_t)self->spec.plan->shards, R = (size_t)self->spec.plan->replicas;
    double *bad = local->words + V, *norm = bad + V, *last = norm + R;
    memset(local->words, 0, (2 * V + R + 2) * sizeof *local->words);
    for (size_t k = 0; k < V; k++) {
        local->words[k] = step->loss[k];
        bad[k] = step->bad[k];
    }
    for (size_t i = 0; i < local->n_replicas; i++) {
        ds_replica *replica = &local->replica[i];
        ds_replica_reduce(self, replica, step);
        if (isfinite(replica->norm))
            norm[replica->index] = replica->norm;
        else /* its shards may all be finite: the first answers for the sum */
            bad[replica->lo] = 1;
        last[0] += replica->sum != NULL;
    }
    last[1] = self->rank == 0 ? step->word : 0;
    DS_TRY(ds_world_sum(self->spec.world, local->words, 2 * V + R + 2));
    ds_sync_judge(self, step, local->words, bad, out);
    out->word = (int)last[1];
    double sum = 0;
    for (size_t i = 0; i < R; i++)
        sum += norm[i];
    out->grad_norm = out->finite ? sum / last[0] : (double)NAN;
    return DS_OK;
}

static bool local_due(const ds_sync *self, const ds_local *local, int64_t t)
{
    return (t + 1 - local->outer.first) % self->spec.config->sync.local_steps == 0 ||
           t + 1 == self->spec.plan->total_steps;
}

/* Updates that the optimizer's state has seen, this one included. */
static int64_t local_count(const ds_sync *self, const ds_local *local, int64_t t)
{
    int64_t H = self->spec.config->sync.local_steps;
    bool reset = self->spec.config->sync.optimizer_state == DS_STATE_RESET;
    int64_t since = t - local->outer.first;
    return reset && since >= H ? since % H + 1 : t + 1;
}

ds_status ds_local_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    ds_local *local = self->state;
    DS_TRY(local_tell(self, local, step, out));
    if (!out->finite || ds_sync_vetoed(step, out))
        return DS_OK;
    int64_t count = local_count(self, local, step->t);
    for (size_t i = 0; i < local->n_replicas; i++)
        ds_replica_update(self, &local->replica[i], step, count);
    local->apart = true;
    return local_due(self, local, step->t) ? ds_local_meet(self, step, out) : DS_OK;
}

ds_status ds_local_skipped(ds_sync *self, const ds_step *step)
{
    ds_outcome met = {0};
    return local_due(self, self->state, step->t) ? ds_local_meet(self, step, &met) : DS_OK;
}
