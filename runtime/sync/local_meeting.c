/* Replicas meet: each brings how far it has come from the parameters of the last meeting, theta -
 * theta_i (McDonald et al. 2010; Stich, ICLR 2019; as outer gradient: Douillard et al. 2023). Their
 * mean is the gradient of an outer optimizer: sgd with rate 1 makes it the mean of the replicas,
 * Nesterov makes it DiLoCo. That is an exchange with a leaf and a node a replica, so the exact
 * sum's own code runs it, over either transport, through any codec: the bits depend on the number
 * of replicas, not on that of ranks. Cost: one exchange of the model, and one for each slot of the
 * optimizer that is averaged. */
#include <string.h>

#include "descent/simd.h"

#include "local.h"

/* w = mean of g: what averages optimizer state. */
static void local_meeting_mean(const void *options, const ds_update *u)
{
    (void)options;
    for (size_t i = 0; i < u->n; i++)
        u->w[i] = u->g[i] * u->scale;
}
static const ds_optim_ops local_meeting_average = {
    .name = "average", .help = "", .reach = DS_REACH_ELEMENT, .step = local_meeting_mean};

DS_SIMD static void local_meeting_move(size_t n, const float *restrict theta,
                                       const float *restrict mine, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = theta[i] - mine[i];
}

static ds_status local_meeting_nodes(ds_sync *self, ds_local *local)
{
    const ds_plan *plan = self->spec.plan;
    size_t R = (size_t)plan->replicas, ranks = (size_t)plan->ranks;
    DS_TRY(ds_arena_take(self->arena, R, sizeof *local->node, "sync", &local->node));
    DS_TRY(ds_arena_take(self->arena, ranks + 1, sizeof(size_t), "sync", &local->node_begin));
    for (size_t r = 0; r < ranks; r++) {
        int first = ds_plan_replica_begin(plan, (int)r);
        int end = ds_plan_replica_begin(plan, (int)r + 1);
        local->node_begin[r] = (size_t)first;
        for (int i = first; i < end; i++)
            local->node[i] = (ds_node){i, i + 1, (int)r, i};
    }
    local->node_begin[ranks] = R;
    return DS_OK;
}

static ds_status local_meeting_options(ds_sync *self, const ds_local_outer *outer,
                                       const ds_optim_ops *ops, const void **out)
{
    ds_value *map = NULL, *momentum = NULL;
    void *options = NULL;
    DS_TRY(ds_value_group(self->arena, DS_VALUE_MAP, NULL, &map));
    if (outer->momentum != NULL) {
        DS_TRY(ds_value_scalar(self->arena, "momentum", outer->momentum, &momentum));
        DS_TRY(ds_value_add(self->arena, map, momentum));
    }
    DS_TRY(ds_arena_take(self->arena, 1, ops->options_size, "sync", &options));
    DS_TRY(ds_options_parse(ops->options, map, "the outer optimizer", self->arena, options));
    *out = options;
    return DS_OK;
}

static ds_status local_meeting_prepare(ds_sync *self, ds_local *local, ds_exchange_spec *spec)
{
    size_t V = (size_t)self->spec.plan->shards;
    const ds_optim_ops *outer = ds_optim_find(local->outer.optimizer);
    DS_CHECK(outer != NULL, DS_ERR_INTERNAL, "no optimizer '%s' for the meeting (a bug)",
             local->outer.optimizer);
    DS_TRY(local_meeting_nodes(self, local));
    DS_TRY(ds_arena_take(self->arena, V, sizeof *local->no_loss, "sync", &local->no_loss));
    DS_TRY(ds_arena_take(self->arena, V, sizeof *local->bad, "sync", &local->bad));
    *spec = ds_exchange_spec_of(self);
    spec->node_begin = local->node_begin;
    spec->sum.clip_norm = 0;
    spec->sum.means = DS_MEANS_MEET;
    spec->sum.leaves = self->spec.plan->replicas;
    spec->sum.n_nodes = (size_t)self->spec.plan->replicas;
    spec->sum.node = local->node;
    spec->sum.optimizer = outer;
    return local_meeting_options(self, &local->outer, outer, &spec->sum.options);
}

ds_status ds_local_meeting_create(ds_sync *self, ds_local *local)
{
    ds_exchange_spec spec;
    DS_TRY(ds_agree(self->spec.world, local_meeting_prepare(self, local, &spec)));
    DS_TRY(ds_exchange_create(&spec, &local->meeting));
    local->outer_optimizer = spec.sum.optimizer;
    bool slots = self->spec.config->optimizer->n_slots > 0;
    if (!slots || self->spec.config->sync.optimizer_state != DS_STATE_AVERAGE)
        return DS_OK;
    spec.sum.optimizer = &local_meeting_average;
    spec.sum.means = DS_MEANS_AS_ANY;
    spec.codec = (ds_codec){0};
    return ds_exchange_create(&spec, &local->state);
}

/* All ranks' blocks stand, and which replica's numbers are not finite is known. */
static ds_status local_meeting_tell(ds_sync *self, ds_local *local, ds_exchange *exchange,
                                    const ds_step *step, ds_outcome *out)
{
    size_t n = self->spec.layout->n_floats, V = (size_t)self->spec.plan->shards;
    memset(local->bad, 0, V * sizeof *local->bad);
    for (size_t i = 0; i < local->n_replicas; i++)
        local->bad[local->replica[i].lo] =
            !self->spec.kernels->finite(n, ds_exchange_block(exchange, i));
    ds_step meet = *step;
    ds_outcome met = {0};
    meet.loss = local->no_loss;
    meet.bad = local->bad;
    DS_TRY(ds_exchange_tell(exchange, &meet, &met));
    out->finite = met.finite;
    out->bad_shard = met.bad_shard;
    return DS_OK;
}

static ds_status local_meeting_run(ds_sync *self, ds_exchange *exchange, double lr, int64_t t,
                                   ds_outcome *out)
{
    size_t R = (size_t)self->spec.plan->replicas;
    ds_exchange_job job = {.divisor = (double)R, .samples = R, .lr = lr, .t = t};
    ds_outcome met = {.finite = true, .bad_shard = -1};
    DS_TRY(ds_exchange_run(exchange, &job, &met));
    out->finite = met.finite;
    return DS_OK;
}

/* The outer step. */
static ds_status local_meeting_step(ds_sync *self, ds_local *local, const ds_step *step,
                                    ds_outcome *out)
{
    for (size_t i = 0; i < local->n_replicas; i++)
        local_meeting_move(self->spec.layout->n_floats, self->params, local->replica[i].params,
                           ds_exchange_block(local->meeting, i));
    DS_TRY(local_meeting_tell(self, local, local->meeting, step, out));
    if (!out->finite)
        return DS_OK;
    return local_meeting_run(self, local->meeting, local->outer.lr, step->t + 1, out);
}

static ds_status local_meeting_slot(ds_sync *self, ds_local *local, size_t s, const ds_step *step,
                                    ds_outcome *out)
{
    size_t bytes = self->spec.layout->n_floats * sizeof(float);
    for (size_t i = 0; i < local->n_replicas; i++)
        memcpy(ds_exchange_block(local->state, i), local->replica[i].slot[s], bytes);
    DS_TRY(local_meeting_tell(self, local, local->state, step, out));
    if (out->finite)
        DS_TRY(local_meeting_run(self, local->state, 0, 1, out));
    for (size_t i = 0; i < local->n_replicas && out->finite; i++)
        memcpy(local->replica[i].slot[s], ds_exchange_params(local->state), bytes);
    return DS_OK;
}

/* What the meeting does with the replicas' own optimizers. */
static ds_status local_meeting_state(ds_sync *self, ds_local *local, const ds_step *step,
                                     ds_outcome *out)
{
    size_t n_slots = self->spec.config->optimizer->n_slots;
    bool reset = self->spec.config->sync.optimizer_state == DS_STATE_RESET;
    for (size_t s = 0; s < n_slots; s++) {
        if (local->state != NULL && out->finite)
            DS_TRY(local_meeting_slot(self, local, s, step, out));
        for (size_t i = 0; i < local->n_replicas && reset; i++)
            memset(local->replica[i].slot[s], 0, self->spec.layout->n_floats * sizeof(float));
    }
    return DS_OK;
}

void ds_local_settle(const ds_sync *self, ds_local *local)
{
    size_t bytes = self->spec.layout->n_floats * sizeof(float);
    for (size_t i = 0; i < local->n_replicas; i++)
        memcpy(local->replica[i].params, ds_exchange_params(local->meeting), bytes);
    local->apart = false;
}

ds_status ds_local_meet(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    ds_local *local = self->state;
    if (!local->apart)
        return DS_OK;
    DS_TRY(local_meeting_step(self, local, step, out));
    if (!out->finite)
        return DS_OK;
    DS_TRY(local_meeting_state(self, local, step, out));
    ds_local_settle(self, local);
    return DS_OK;
}
