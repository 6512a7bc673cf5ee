/* The exchange in few bits: error feedback of nodes and masters, and what of it a checkpoint keeps.
 * A node's code is the same on whichever rank and transport: its pieces begin at tensor starts and
 * multiples of DS_BLOCK. Costs one pass over each block and its residual. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/log.h"

#include "exchange_parts.h"

static ds_status exchange_code_names(ds_exchange *self)
{
    const ds_owner_spec *sum = &self->spec.sum;
    ds_arena *arena = self->sync->arena;
    DS_TRY(ds_arena_take(arena, sum->n_nodes + 1, sizeof *self->state, "sync", &self->state));
    DS_TRY(ds_arena_text(arena, "master", &self->state[0]));
    for (size_t j = 0; j < sum->n_nodes; j++)
        DS_TRY(ds_arena_printf(arena, &self->state[j + 1], "residual-%d-%d", sum->node[j].lo,
                               sum->node[j].hi));
    return DS_OK;
}

ds_status ds_exchange_code_create(ds_exchange *self)
{
    ds_arena *arena = self->sync->arena;
    size_t n = self->n_mine;
    ds_scaling_begin(&self->forward);
    ds_scaling_begin(&self->back);
    DS_TRY(ds_arena_take(arena, n, sizeof *self->residual, "sync", &self->residual));
    DS_TRY(ds_arena_take(arena, n, sizeof *self->loaded, "sync", &self->loaded));
    if (self->spec.ahead)
        DS_TRY(ds_arena_take(arena, n, sizeof *self->before, "sync", &self->before));
    for (size_t i = 0; i < n; i++) {
        DS_TRY(ds_sync_flat(self->sync, "residuals", &self->residual[i]));
        if (self->spec.ahead)
            DS_TRY(ds_sync_flat(self->sync, "residuals", &self->before[i]));
    }
    return exchange_code_names(self);
}

void ds_exchange_code_begin(ds_exchange *self)
{
    ds_codec codec = self->spec.codec;
    codec.scale = self->forward.scale;
    self->owner.forward = codec;
    codec.scale = self->back.scale;
    self->owner.back = codec;
    self->peak = 0;
}

uint8_t *ds_exchange_code_slices(ds_exchange *self, size_t i, size_t begin, size_t end,
                                 uint8_t *bytes)
{
    float odd = 0; /* how much more than finite values those are that are not said in code */
    for (size_t s = begin; s < end; s++) {
        const ds_codec *codec = ds_owner_codec(&self->owner, &self->owner.forward, s);
        size_t at = ds_owner_at(&self->owner, s), n = self->sync->spec.plan->slice[s].count;
        if (self->before != NULL)
            memcpy(self->before[i] + at, self->residual[i] + at, n * sizeof(float));
        float peak = ds_codec_send(codec, n, self->block[i] + at, self->residual[i] + at, bytes);
        if (codec == &self->owner.forward)
            self->peak = peak > self->peak ? peak : self->peak;
        odd = isfinite(peak) ? odd : peak;
        bytes = bytes == NULL ? NULL : bytes + ds_codec_bytes(codec, n);
    }
    self->owner.overflow |= !isfinite(self->peak) || !isfinite(odd);
    return bytes;
}

void ds_exchange_code_undo(ds_exchange *self)
{
    const ds_plan *plan = self->sync->spec.plan;
    const size_t first = self->spec.node_begin[self->sync->rank];
    if (self->before == NULL)
        return;
    for (size_t i = 0; i < self->n_mine; i++)
        for (size_t s = 0; s < plan->n_slices && !ds_owner_empty(&self->owner, first + i); s++) {
            size_t at = ds_owner_at(&self->owner, s), n = plan->slice[s].count;
            memcpy(self->residual[i] + at, self->before[i] + at, n * sizeof(float));
        }
}

size_t ds_exchange_code_bytes(const ds_exchange *self, size_t begin, size_t end)
{
    size_t bytes = 0;
    for (size_t s = begin; s < end; s++)
        bytes += ds_slice_bytes(&self->sync->spec.plan->slice[s], &self->spec.codec);
    return bytes;
}

static void exchange_code_say(const ds_exchange *self, const char *what, float peak,
                              const ds_scaling *scaling)
{
    if (self->sync->rank == 0)
        ds_log(DS_LOG_INFO,
               "%s: the largest of %s is %g, beyond the scale; the scale falls to %g, what was cut "
               "off goes out next time",
               self->spec.codec.ops->name, what, (double)peak, (double)scaling->scale);
}

void ds_exchange_code_learn(ds_exchange *self, float forward, float back)
{
    float limit = self->spec.codec.ops->limit;
    if (ds_scaling_learn(&self->forward, forward, limit))
        exchange_code_say(self, "the gradients", forward, &self->forward);
    if (ds_scaling_learn(&self->back, back, limit))
        exchange_code_say(self, "the updates", back, &self->back);
}

const char *ds_exchange_state_at(const ds_exchange *self, size_t i)
{
    return self->spec.sum.coded && i <= self->spec.sum.n_nodes ? self->state[i] : NULL;
}

ds_status ds_exchange_gather_state(ds_exchange *self, size_t i, float *flat)
{
    const ds_sync *sync = self->sync;
    size_t bytes = sync->spec.layout->n_floats * sizeof *flat;
    if (i == 0) {
        memset(flat, 0, bytes);
        ds_owner_export(&self->owner, self->owner.master, flat);
        return ds_runs_spread(&self->runs, sync, flat);
    }
    int owner = self->spec.sum.node[i - 1].rank;
    if (owner == sync->rank)
        memcpy(flat, self->residual[i - 1 - self->spec.node_begin[owner]], bytes);
    return ds_world_broadcast(sync->spec.world, flat, bytes, owner);
}

/* The node that has a leaf, or the last. */
static size_t exchange_code_node(const ds_exchange *self, int leaf)
{
    size_t j = 0;
    while (j + 1 < self->spec.sum.n_nodes && self->spec.sum.node[j].hi <= leaf)
        j++;
    return j;
}

ds_status ds_exchange_load_state(ds_exchange *self, const char *name, const float *flat, bool *used)
{
    int lo = -1, hi = -1, end = 0;
    *used = self->spec.sum.coded;
    if (!self->spec.sum.coded)
        return DS_OK;
    if (strcmp(name, self->state[0]) == 0) {
        ds_owner_import(&self->owner, flat, self->owner.master);
        return DS_OK;
    }
    *used = sscanf(name, "residual-%d-%d%n", &lo, &hi, &end) == 2 && name[end] == '\0';
    if (!*used)
        return DS_OK;
    size_t j = exchange_code_node(self, lo), n = self->sync->spec.layout->n_floats;
    if (self->spec.sum.node[j].rank != self->sync->rank)
        return DS_OK;
    size_t i = j - self->spec.node_begin[self->sync->rank];
    if (self->loaded[i])
        self->sync->spec.kernels->add(n, self->residual[i], flat);
    else
        memcpy(self->residual[i], flat, n * sizeof *flat);
    self->loaded[i] = true;
    return DS_OK;
}

enum { CODE_NUMBERS = 6 };

bool ds_exchange_number_at(const ds_exchange *self, size_t i, ds_sync_number *out)
{
    const ds_sync_number number[CODE_NUMBERS] = {{"forward_scale", (double)self->forward.scale},
                                                 {"forward_clean", (double)self->forward.clean},
                                                 {"forward_cuts", (double)self->forward.cuts},
                                                 {"back_scale", (double)self->back.scale},
                                                 {"back_clean", (double)self->back.clean},
                                                 {"back_cuts", (double)self->back.cuts}};
    bool has = self->spec.sum.coded && self->spec.codec.ops->limit > 0 && i < CODE_NUMBERS;
    if (has)
        *out = number[i];
    return has;
}

static void exchange_code_load(ds_scaling *self, const char *part, double value)
{
    if (strcmp(part, "scale") == 0 && value > 0 && isfinite(value))
        self->scale = (float)value;
    else if (strcmp(part, "clean") == 0)
        self->clean = (int64_t)value;
    else if (strcmp(part, "cuts") == 0)
        self->cuts = (int64_t)value;
}

void ds_exchange_load_number(ds_exchange *self, const ds_sync_number *number)
{
    if (strncmp(number->name, "forward_", 8) == 0)
        exchange_code_load(&self->forward, number->name + 8, number->value);
    else if (strncmp(number->name, "back_", 5) == 0)
        exchange_code_load(&self->back, number->name + 5, number->value);
}
