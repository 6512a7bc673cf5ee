/* What the exchange's transports have in common: the choice between them, and whole blocks in and
 * out. */
#include "exchange.h"

#include <string.h>

#include "descent/log.h"

#include "exchange_parts.h"

ds_exchange_spec ds_exchange_spec_of(ds_sync *sync)
{
    return (ds_exchange_spec){.sum = ds_owner_spec_of(sync),
                              .codec = sync->spec.config->sync.codec,
                              .node_begin = sync->spec.plan->node_begin,
                              .ahead = ds_plan_ahead(sync->spec.config)};
}

/* Which transport, the same on all ranks. */
static ds_status exchange_choose(ds_exchange *self)
{
    const ds_sync *sync = self->sync;
    const char *asked = sync->spec.config->sync.transport;
    int hosts = ds_world_hosts(sync->spec.world);
    bool shared = strcmp(asked, "shared") == 0, direct = strcmp(asked, "direct") == 0;
    DS_CHECK(hosts == 1 || !shared, DS_ERR_USAGE,
             "sync.transport 'shared' needs all ranks on one host, they are on %d: use 'auto'",
             hosts);
    self->transport = sync->ranks == 1 ? "none" : hosts > 1 || direct ? "direct" : "shared";
    return DS_OK;
}

/* `auto` on one host: shared memory where it fits and works, else messages. */
static ds_status exchange_try_shared(ds_exchange *self)
{
    ds_world *world = self->sync->spec.world;
    if (ds_agree(world, ds_exchange_shared_create(self)) == DS_OK)
        return DS_OK;
    if (self->sync->rank == 0)
        ds_log(DS_LOG_WARN, "%s; sending messages instead, which is slower", ds_last_error());
    self->transport = "direct";
    return ds_exchange_direct_create(self);
}

static ds_status exchange_prepare(const ds_exchange_spec *spec, ds_exchange **out)
{
    ds_exchange *self = NULL;
    ds_sync *sync = spec->sum.sync;
    const size_t *begin = spec->node_begin + sync->rank;
    DS_TRY(ds_arena_take(sync->arena, 1, sizeof *self, "sync", &self));
    *self = (ds_exchange){.spec = *spec, .sync = sync, .n_mine = begin[1] - begin[0]};
    *out = self;
    DS_TRY(ds_arena_take(sync->arena, self->n_mine, sizeof *self->block, "sync", &self->block));
    self->spec.sum.coded = spec->codec.ops != NULL;
    DS_TRY(ds_owner_init(&self->owner, &self->spec.sum));
    if (self->spec.sum.coded)
        DS_TRY(ds_exchange_code_create(self));
    return ds_runs_init(&self->runs, sync);
}

static ds_status exchange_connect(ds_exchange *self)
{
    DS_TRY(exchange_choose(self));
    if (strcmp(self->transport, "direct") == 0)
        return ds_exchange_direct_create(self);
    if (strcmp(self->transport, "shared") == 0 &&
        strcmp(self->sync->spec.config->sync.transport, "auto") == 0)
        return exchange_try_shared(self);
    return ds_exchange_shared_create(self);
}

ds_status ds_exchange_create(const ds_exchange_spec *spec, ds_exchange **out)
{
    ds_world *world = spec->sum.sync->spec.world;
    ds_exchange *self = NULL;
    ds_status st = ds_agree(world, exchange_prepare(spec, &self));
    if (st == DS_OK)
        st = ds_agree(world, exchange_connect(self));
    if (st != DS_OK) {
        ds_exchange_destroy(&self);
        return st;
    }
    self->owner.params = self->params;
    /* A rank without nodes keeps its sums in memory of its own. */
    if (self->n_mine > 0)
        self->owner.reduced = self->block[0];
    else
        st = ds_sync_flat(self->sync, "sums", &self->owner.reduced);
    st = ds_agree(world, st);
    if (st != DS_OK)
        ds_exchange_destroy(&self);
    else
        *out = self;
    return st;
}

void ds_exchange_destroy(ds_exchange **exchange)
{
    ds_exchange *self = *exchange;
    if (self == NULL)
        return;
    ds_shared_destroy(&self->shared);
    for (size_t i = 0; self->lane != NULL && i < self->lanes; i++)
        ds_mail_destroy(&self->lane[i].mail);
    for (int i = 0; i < 2; i++)
        ds_mail_destroy(&self->news[i].mail);
    *exchange = NULL;
}

float *ds_exchange_params(ds_exchange *self)
{
    return self->params;
}

float *ds_exchange_block(ds_exchange *self, size_t i)
{
    return self->block[i];
}

const char *ds_exchange_transport(const ds_exchange *self)
{
    return self->transport;
}

ds_status ds_exchange_tell(ds_exchange *self, const ds_step *step, ds_outcome *out)
{
    return self->words != NULL ? ds_exchange_direct_tell(self, step, out)
                               : ds_exchange_shared_tell(self, step, out);
}

void ds_exchange_begin(ds_exchange *self, size_t samples)
{
    ds_owner_begin(&self->owner, samples);
    if (self->spec.sum.coded)
        ds_exchange_code_begin(self);
}

void ds_exchange_prepare(ds_exchange *self)
{
    ds_inverses_refresh(self->owner.inverses, self->params);
}

ds_status ds_exchange_run(ds_exchange *self, const ds_exchange_job *job, ds_outcome *out)
{
    self->owner.divisor = job->divisor;
    ds_owner_moves(&self->owner, job->t);
    if (!self->overlap.on)
        ds_exchange_begin(self, job->samples);
    return self->words != NULL ? ds_exchange_direct_run(self, job, out)
                               : ds_exchange_shared_run(self, job, out);
}

/* Codes remember: what is not finite must not reach them. A pass judges its own sums, this the sums
 * of passes. */
static void exchange_judge(const ds_exchange *self, const ds_step *step)
{
    const ds_sync_spec *spec = &self->sync->spec;
    const ds_node *node = self->spec.sum.node + self->spec.node_begin[self->sync->rank];
    if (self->spec.codec.ops == NULL || !spec->config->train.skip_nan)
        return;
    for (size_t i = 0; i < self->n_mine; i++)
        if (node[i].hi - node[i].lo > spec->plan->pass_shards &&
            !spec->kernels->finite(spec->layout->n_floats, self->block[i]))
            step->bad[node[i].lo] = true;
}

ds_status ds_exchange_step(ds_exchange *self, const ds_step *step, ds_outcome *out)
{
    exchange_judge(self, step);
    DS_TRY(ds_exchange_tell(self, step, out));
    if (!out->finite)
        return DS_OK;
    ds_exchange_job job = {.divisor =
                               ds_sync_divisor(self->sync, step, 0, self->sync->spec.plan->shards),
                           .samples = step->samples,
                           .lr = step->lr,
                           .t = step->t + 1,
                           .want_norm = step->want_norm,
                           .step = step};
    return ds_exchange_run(self, &job, out);
}

void ds_exchange_tensor_norms(const ds_exchange *self, double *norm)
{
    ds_owner_tensor_norms(&self->owner, norm);
}

ds_status ds_exchange_load(ds_exchange *self, const float *flat)
{
    size_t n = self->sync->spec.layout->n_floats;
    ds_inverses_stale(self->owner.inverses);
    if (self->spec.sum.coded)
        ds_owner_import(&self->owner, flat, self->owner.master);
    if (self->shared == NULL || self->words != NULL) {
        memcpy(self->params, flat, n * sizeof *flat);
        return DS_OK;
    }
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    size_t from = n / ranks * rank, to = rank + 1 == ranks ? n : n / ranks * (rank + 1);
    DS_TRY(ds_shared_fence(self->shared));
    memcpy(self->params + from, flat + from, (to - from) * sizeof *flat);
    return ds_shared_fence(self->shared);
}

ds_status ds_exchange_gather_slot(ds_exchange *self, size_t s, float *flat)
{
    memset(flat, 0, self->sync->spec.layout->n_floats * sizeof *flat);
    ds_owner_export(&self->owner, self->owner.slot[s], flat);
    return ds_runs_spread(&self->runs, self->sync, flat);
}

ds_status ds_exchange_load_slot(ds_exchange *self, size_t s, const float *flat)
{
    ds_owner_import(&self->owner, flat, self->owner.slot[s]);
    return DS_OK;
}
