/* The exact sum: partials are added by the owners of slices in the order of one
 * fixed tree, so the bits do not depend on the number of ranks. Reduce-scatter by direct exchange,
 * update by the owner, then the new parameters to all: 2 (n-1)/n of the model a rank on the wire
 * for powers of two, the ring's bytes; nothing is copied between ranks of one host. Optimizer state
 * and update time divide by the ranks (ZeRO stage 1, Rajbhandari et al., SC'20). */
#include <string.h>

#include "descent/log.h"

#include "exact_parts.h"

/* Which transport, the same on all ranks. */
static ds_status exact_choose(ds_sync *self)
{
    const char *asked = self->spec.config->sync.transport;
    int hosts = ds_world_hosts(self->spec.world);
    bool shared = strcmp(asked, "shared") == 0, direct = strcmp(asked, "direct") == 0;
    DS_CHECK(hosts == 1 || !shared, DS_ERR_USAGE,
             "sync.transport 'shared' needs all ranks on one host, they are on %d: use 'auto'",
             hosts);
    self->transport = self->ranks == 1 ? "none" : hosts > 1 || direct ? "direct" : "shared";
    return DS_OK;
}

/* `auto` on one host: shared memory where it fits and works, else messages. */
static ds_status exact_try_shared(ds_sync *self)
{
    ds_status st = ds_shared_fits(self->spec.world, ds_exact_shared_bytes(self));
    if (st == DS_OK)
        st = ds_exact_shared_create(self);
    st = ds_agree(self->spec.world, st);
    if (st == DS_OK)
        return DS_OK;
    if (self->rank == 0)
        ds_log(DS_LOG_WARN, "%s; sending messages instead, which is slower", ds_last_error());
    self->transport = "direct";
    return ds_exact_direct_create(self);
}

static ds_status exact_prepare(ds_sync *self)
{
    ds_exact *exact = NULL;
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *exact, "sync", &exact));
    self->state = exact;
    DS_TRY(ds_owner_init(&exact->owner, self, -1, false));
    return ds_runs_init(&exact->runs, self);
}

static ds_status exact_create(ds_sync *self)
{
    DS_TRY(ds_agree(self->spec.world, exact_prepare(self)));
    DS_TRY(exact_choose(self));
    if (strcmp(self->transport, "direct") == 0)
        return ds_exact_direct_create(self);
    if (strcmp(self->transport, "shared") == 0 &&
        strcmp(self->spec.config->sync.transport, "auto") == 0)
        return exact_try_shared(self);
    return ds_exact_shared_create(self);
}

static void exact_destroy(ds_sync *self)
{
    ds_exact *exact = self->state;
    if (exact == NULL)
        return;
    ds_shared_destroy(&exact->shared);
    for (int i = 0; i < 2; i++) {
        ds_mail_destroy(&exact->mail[i]);
        ds_mail_destroy(&exact->news[i]);
    }
}

static ds_status exact_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    const ds_exact *exact = self->state;
    return exact->words != NULL ? ds_exact_direct_step(self, step, out)
                                : ds_exact_shared_step(self, step, out);
}

static ds_status exact_load(ds_sync *self, const float *flat)
{
    ds_exact *exact = self->state;
    size_t n = self->spec.layout->n_floats;
    if (exact->shared == NULL || exact->words != NULL) {
        memcpy(self->params, flat, n * sizeof *flat);
        return DS_OK;
    }
    size_t ranks = (size_t)self->ranks, rank = (size_t)self->rank;
    size_t from = n / ranks * rank, to = rank + 1 == ranks ? n : n / ranks * (rank + 1);
    DS_TRY(ds_shared_fence(exact->shared));
    memcpy(self->params + from, flat + from, (to - from) * sizeof *flat);
    return ds_shared_fence(exact->shared);
}

static ds_status exact_gather_slot(ds_sync *self, size_t s, float *flat)
{
    const ds_exact *exact = self->state;
    memset(flat, 0, self->spec.layout->n_floats * sizeof *flat);
    ds_owner_export(&exact->owner, s, flat);
    return ds_runs_spread(&exact->runs, self, flat);
}

static ds_status exact_load_slot(ds_sync *self, size_t s, const float *flat)
{
    ds_exact *exact = self->state;
    ds_owner_import(&exact->owner, s, flat);
    return DS_OK;
}

extern const ds_sync_ops ds_sync_exact;
const ds_sync_ops ds_sync_exact = {
    .name = "exact",
    .help = "sum along one fixed tree: the same bits on any number of ranks (default)",
    .create = exact_create,
    .destroy = exact_destroy,
    .step = exact_step,
    .load = exact_load,
    .gather_slot = exact_gather_slot,
    .load_slot = exact_load_slot,
};
