/* The plain way, as a yardstick: one MPI_Allreduce of the flat gradient, then the same update on
 * every rank. Fast where the MPI library is; bits depend on the number of ranks, optimizer state is
 * held n times. */
#include <math.h>
#include <string.h>

#include "descent/wire.h"

#include "owner.h"

typedef struct allreduce_state {
    ds_owner owner;
    double *words; /* (2 V + 1): losses, bad flags, word */
} allreduce_state;

static ds_status allreduce_create(ds_sync *self)
{
    allreduce_state *state = NULL;
    const size_t *begin = self->spec.plan->node_begin + self->rank;
    size_t V = (size_t)self->spec.plan->shards;
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *state, "sync", &state));
    self->state = state;
    self->transport = self->ranks > 1 ? "direct" : "none";
    ds_owner_spec spec = ds_owner_spec_of(self);
    spec.only = self->rank;
    spec.all = true;
    DS_TRY(ds_owner_init(&state->owner, &spec));
    DS_TRY(ds_sync_flat(self, "parameters", &self->params));
    state->owner.params = self->params;
    for (size_t j = 0; j < self->n_partials; j++) {
        DS_TRY(ds_sync_flat(self, "gradients", &self->partial[j]));
        state->owner.source[begin[0] + j] = (ds_source){.x = self->partial[j]};
    }
    state->owner.reduced = self->partial[0];
    DS_TRY(ds_arena_take(self->arena, state->owner.n_blocks, sizeof(double), "sync",
                         &state->owner.block));
    return ds_arena_take(self->arena, 2 * V + 1, sizeof(double), "sync", &state->words);
}

static void allreduce_destroy(ds_sync *self)
{
    (void)self;
}

static ds_status allreduce_tell(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    allreduce_state *state = self->state;
    int V = self->spec.plan->shards;
    for (int k = 0; k < V; k++) {
        state->words[k] = step->loss[k];
        state->words[V + k] = step->bad[k];
    }
    state->words[2 * V] = self->rank == 0 ? step->word : 0;
    DS_TRY(ds_world_sum(self->spec.world, state->words, 2 * (size_t)V + 1));
    ds_sync_judge(self, step, state->words, state->words + V, out);
    out->word = (int)state->words[2 * V];
    return DS_OK;
}

/* The sum over shards ends up in the first partial. */
static ds_status allreduce_sum(ds_sync *self)
{
    allreduce_state *state = self->state;
    if (self->n_partials > 1)
        ds_owner_all(&state->owner, &(ds_owner_task){.reduce = true});
    state->owner.overflow = false; /* the whole sum is judged below */
    DS_TRY(ds_world_sum_float(self->spec.world, self->partial[0], self->spec.layout->n_floats));
    if (state->owner.penalised)
        ds_owner_all(&state->owner, &(ds_owner_task){.penalise = true});
    return DS_OK;
}

static void allreduce_begin(ds_sync *self, int64_t t)
{
    const allreduce_state *state = self->state;
    (void)t;
    ds_inverses_refresh(state->owner.inverses, self->params);
}

static ds_status allreduce_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    allreduce_state *state = self->state;
    const ds_config *config = self->spec.config;
    DS_TRY(allreduce_tell(self, step, out));
    if (!out->finite)
        return DS_OK;
    ds_owner_begin(&state->owner, step->samples);
    ds_owner_moves(&state->owner, step->t + 1);
    state->owner.divisor = ds_sync_divisor(self, step, 0, self->spec.plan->shards);
    DS_TRY(allreduce_sum(self));
    bool ahead = config->clip_norm > 0 || ds_plan_ahead(config);
    if (ahead || step->want_norm) {
        ds_owner_all(&state->owner, &(ds_owner_task){.squares = true});
        out->grad_norm = ds_owner_norm(&state->owner, state->owner.block);
        out->finite = isfinite(out->grad_norm);
        if (!out->finite || ds_sync_vetoed(step, out))
            return DS_OK;
    }
    ds_owner_task task = {.update = true, .lr = step->lr, .t = step->t + 1};
    task.check = !ahead && !step->want_norm;
    task.scale = ds_owner_scale(&state->owner, ahead ? out->grad_norm : 0);
    ds_owner_all(&state->owner, &task);
    out->finite = !state->owner.overflow;
    return DS_OK;
}

static void allreduce_tensor_norms(const ds_sync *self, double *norm)
{
    const allreduce_state *state = self->state;
    ds_owner_tensor_norms(&state->owner, norm);
}

static ds_status allreduce_load(ds_sync *self, const float *flat)
{
    const allreduce_state *state = self->state;
    memcpy(self->params, flat, self->spec.layout->n_floats * sizeof *flat);
    ds_inverses_stale(state->owner.inverses);
    return DS_OK;
}

static ds_status allreduce_gather_slot(ds_sync *self, size_t s, float *flat)
{
    const allreduce_state *state = self->state;
    memset(flat, 0, self->spec.layout->n_floats * sizeof *flat);
    ds_owner_export(&state->owner, state->owner.slot[s], flat);
    return DS_OK;
}

static ds_status allreduce_load_slot(ds_sync *self, size_t s, const float *flat)
{
    allreduce_state *state = self->state;
    ds_owner_import(&state->owner, flat, state->owner.slot[s]);
    return DS_OK;
}

extern const ds_sync_ops ds_sync_allreduce;
const ds_sync_ops ds_sync_allreduce = {
    .name = "allreduce",
    .help = "one MPI_Allreduce and a replicated update: a yardstick, bits depend on the ranks",
    .create = allreduce_create,
    .destroy = allreduce_destroy,
    .begin = allreduce_begin,
    .step = allreduce_step,
    .tensor_norms = allreduce_tensor_norms,
    .load = allreduce_load,
    .gather_slot = allreduce_gather_slot,
    .load_slot = allreduce_load_slot,
};
