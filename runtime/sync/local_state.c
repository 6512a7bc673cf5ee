/* What replicas keep, in the checkpoint: the outer optimizer's slots, what the meeting's codec
 * keeps, and where replicas have moved
 * since the last meeting their parameters; of their own optimizers' state, replica 0's goes with
 * the run's (/optimizer), the others' by name. Right after a meeting that averages or resets, all
 * are replica 0's. Another number of replicas starts from the last meeting's parameters, with the
 * state of replica 0. */
#include <stdio.h>
#include <string.h>

#include "local.h"

static const char local_state_meeting[] = "meeting-";

static size_t local_state_slots(const ds_sync *self)
{
    return self->spec.config->optimizer->n_slots;
}

/* Block i of all that there may be: outer slots; parameters of each replica; its slots, slot by
 * slot, from replica 1 on. */
typedef struct local_block {
    bool outer, params;
    size_t slot;
    int replica;
} local_block;

static local_block local_state_block(const ds_sync *self, const ds_local *local, size_t i)
{
    size_t outer = local->outer_optimizer->n_slots, R = (size_t)self->spec.plan->replicas;
    if (i < outer)
        return (local_block){.outer = true, .slot = i};
    i -= outer;
    if (i < R)
        return (local_block){.params = true, .replica = (int)i};
    i -= R;
    return (local_block){.slot = i / (R - 1), .replica = 1 + (int)(i % (R - 1))};
}

static ds_status local_state_name(ds_sync *self, const ds_local *local, local_block block,
                                  char **out)
{
    const ds_optim_ops *inner = self->spec.config->optimizer;
    if (block.outer)
        return ds_arena_printf(self->arena, out, "outer-%s",
                               local->outer_optimizer->slot_name[block.slot]);
    if (block.params)
        return ds_arena_printf(self->arena, out, "replica-%d/parameters", block.replica);
    return ds_arena_printf(self->arena, out, "replica-%d/optimizer/%s", block.replica,
                           inner->slot_name[block.slot]);
}

/* Movements are no gradients: what the exact strategy keeps for its codec has names of its own. */
static ds_status local_state_codes(ds_sync *self, ds_local *local)
{
    while (ds_exchange_state_at(local->meeting, local->n_codes) != NULL)
        local->n_codes++;
    DS_TRY(ds_arena_take(self->arena, local->n_codes, sizeof *local->code, "sync", &local->code));
    for (size_t i = 0; i < local->n_codes; i++)
        DS_TRY(ds_arena_printf(self->arena, &local->code[i], "%s%s", local_state_meeting,
                               ds_exchange_state_at(local->meeting, i)));
    return DS_OK;
}

ds_status ds_local_state_create(ds_sync *self, ds_local *local)
{
    size_t R = (size_t)self->spec.plan->replicas;
    local->n_names = local->outer_optimizer->n_slots + R + (R - 1) * local_state_slots(self);
    DS_TRY(ds_arena_take(self->arena, local->n_names, sizeof *local->name, "sync", &local->name));
    for (size_t i = 0; i < local->n_names; i++)
        DS_TRY(local_state_name(self, local, local_state_block(self, local, i), &local->name[i]));
    ds_sync_number number;
    while (ds_exchange_number_at(local->meeting, local->n_numbers, &number))
        local->n_numbers++;
    DS_TRY(ds_arena_take(self->arena, local->n_numbers, sizeof *local->number, "sync",
                         &local->number));
    for (size_t i = 0; ds_exchange_number_at(local->meeting, i, &number); i++)
        DS_TRY(ds_arena_printf(self->arena, &local->number[i], "meeting_%s", number.name));
    return local_state_codes(self, local);
}

/* Does it hold anything that the run's own blocks do not? */
static bool local_state_present(const ds_sync *self, const ds_local *local, size_t i)
{
    local_block block = local_state_block(self, local, i);
    return block.outer || local->apart ||
           (!block.params && self->spec.config->sync.optimizer_state == DS_STATE_KEEP);
}

/* The *i-th that is present; n_names past the end, where *i then counts on. */
static size_t local_state_find(const ds_sync *self, const ds_local *local, size_t *i)
{
    size_t at = 0;
    for (; at < local->n_names; at++)
        if (local_state_present(self, local, at) && (*i)-- == 0)
            break;
    return at;
}

const char *ds_local_state_at(const ds_sync *self, size_t i)
{
    const ds_local *local = self->state;
    size_t at = local_state_find(self, local, &i);
    if (at < local->n_names)
        return local->name[at];
    return i < local->n_codes ? local->code[i] : NULL;
}

/* The replica if it is this rank's, else NULL. */
static ds_replica *local_state_mine(const ds_local *local, int replica)
{
    for (size_t i = 0; i < local->n_replicas; i++)
        if (local->replica[i].index == replica)
            return &local->replica[i];
    return NULL;
}

static ds_status local_state_spread(ds_sync *self, ds_local *local, local_block block, float *flat)
{
    size_t bytes = self->spec.layout->n_floats * sizeof *flat;
    const ds_replica *mine = local_state_mine(local, block.replica);
    if (mine != NULL)
        memcpy(flat, block.params ? mine->params : mine->slot[block.slot], bytes);
    return ds_world_broadcast(self->spec.world, flat, bytes, local->node[block.replica].rank);
}

ds_status ds_local_gather_state(ds_sync *self, size_t i, float *flat)
{
    ds_local *local = self->state;
    size_t at = local_state_find(self, local, &i);
    if (at == local->n_names)
        return ds_exchange_gather_state(local->meeting, i, flat);
    local_block block = local_state_block(self, local, at);
    if (block.outer)
        return ds_exchange_gather_slot(local->meeting, block.slot, flat);
    return local_state_spread(self, local, block, flat);
}

ds_status ds_local_gather_slot(ds_sync *self, size_t s, float *flat)
{
    ds_local *local = self->state;
    return local_state_spread(self, local, (local_block){.slot = s}, flat);
}

ds_status ds_local_load_slot(ds_sync *self, size_t s, const float *flat)
{
    ds_local *local = self->state;
    for (size_t i = 0; i < local->n_replicas; i++)
        memcpy(local->replica[i].slot[s], flat, self->spec.layout->n_floats * sizeof *flat);
    return DS_OK;
}

/* Trainable tensors only: the others are the run's. */
static void local_state_take(const ds_sync *self, const float *from, float *to)
{
    const ds_layout *layout = self->spec.layout;
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        if (param->trainable)
            memcpy(to + param->offset, from + param->offset, ds_param_floats(param) * sizeof *to);
    }
}

/* What the meeting's codec keeps. Residuals of other replicas go to those with their place. */
static ds_status local_state_code(ds_sync *self, ds_local *local, const ds_sync_saved *saved,
                                  const float *flat, bool *used)
{
    char name[64];
    int lo = 0, hi = 0, R = self->spec.plan->replicas, then = saved->replicas;
    size_t n = sizeof local_state_meeting - 1;
    if (strncmp(saved->name, local_state_meeting, n) != 0)
        return DS_OK;
    const char *inner = saved->name + n;
    if (then == R || then <= 0 || sscanf(inner, "residual-%d-%d", &lo, &hi) != 2)
        return ds_exchange_load_state(local->meeting, inner, flat, used);
    int place = (int)((int64_t)lo * R / then);
    snprintf(name, sizeof name, "residual-%d-%d", place, place + 1);
    return ds_exchange_load_state(local->meeting, name, flat, used);
}

ds_status ds_local_load_state(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                              bool *used)
{
    ds_local *local = self->state;
    size_t at = 0;
    while (at < local->n_names && strcmp(local->name[at], saved->name) != 0)
        at++;
    if (at == local->n_names)
        return local_state_code(self, local, saved, flat, used);
    *used = true;
    local_block block = local_state_block(self, local, at);
    if (block.outer)
        return ds_exchange_load_slot(local->meeting, block.slot, flat);
    *used = saved->replicas == self->spec.plan->replicas;
    ds_replica *mine = local_state_mine(local, block.replica);
    if (*used && mine != NULL)
        local_state_take(self, flat, block.params ? mine->params : mine->slot[block.slot]);
    return DS_OK;
}

bool ds_local_number_at(const ds_sync *self, size_t i, ds_sync_number *out)
{
    const ds_local *local = self->state;
    *out = (ds_sync_number){"apart", local->apart};
    if (i == 0)
        return true;
    if (i > local->n_numbers || !ds_exchange_number_at(local->meeting, i - 1, out))
        return false;
    out->name = local->number[i - 1];
    return true;
}

void ds_local_load_number(ds_sync *self, const ds_sync_number *number)
{
    ds_local *local = self->state;
    static const char meeting[] = "meeting_";
    size_t n = sizeof meeting - 1;
    if (strcmp(number->name, "apart") == 0)
        local->apart = number->value != 0;
    else if (strncmp(number->name, meeting, n) == 0)
        ds_exchange_load_number(local->meeting, &(ds_sync_number){number->name + n, number->value});
}
