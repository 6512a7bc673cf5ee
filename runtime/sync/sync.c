/* The registry of strategies and what they have in common. */
#include "descent/sync.h"

#include <math.h>
#include <string.h>

#include "sync_ops.h"

#define X(name) extern const ds_sync_ops ds_sync_##name;
#include "sync.list"
#undef X

static const ds_sync_ops *const sync_table[] = {
#define X(name) &ds_sync_##name,
#include "sync.list"
#undef X
};
enum { SYNC_N = sizeof sync_table / sizeof *sync_table };

const char *ds_sync_name(size_t i)
{
    return i < SYNC_N ? sync_table[i]->name : NULL;
}

const char *ds_sync_help(size_t i)
{
    return i < SYNC_N ? sync_table[i]->help : NULL;
}

static const ds_sync_ops *sync_find(const char *name)
{
    for (size_t i = 0; i < SYNC_N; i++)
        if (strcmp(sync_table[i]->name, name) == 0)
            return sync_table[i];
    return NULL;
}

static ds_status sync_choice(const ds_config *config, const char *key, const char *found, size_t n,
                             const char *const *names)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(found, names[i]) == 0)
            return DS_OK;
    const ds_value *at = ds_value_find(ds_value_find(config->root, "sync"), key);
    const char *near = ds_closest(found, n, names);
    char all[256] = "";
    for (size_t i = 0; i < n; i++) {
        strncat(all, i > 0 ? ", " : "", sizeof all - strlen(all) - 1);
        strncat(all, names[i], sizeof all - strlen(all) - 1);
    }
    if (near != NULL)
        return ds_value_fail(at, "sync.%s: there is no '%s'; did you mean '%s'? (%s)", key, found,
                             near, all);
    return ds_value_fail(at, "sync.%s: there is no '%s'; known: %s", key, found, all);
}

/* Averaged weights and penalties belong to the one update of all ranks. */
static ds_status sync_check_update(const ds_config *config)
{
    const char *strategy = config->sync.strategy;
    bool drives = config->optimizer != NULL && config->optimizer->reach == DS_REACH_MODEL;
    DS_CHECK(!drives || (config->clip_norm <= 0 && config->ema <= 0 && config->l1 <= 0 &&
                         config->n_groups == 0 && config->sync.codec.ops == NULL),
             DS_ERR_USAGE,
             "optimizer: clip_norm, ema, l1, groups and sync.compress do not go with %s",
             config->optimizer->name);
    if (strcmp(strategy, "exact") == 0 || strcmp(strategy, "allreduce") == 0)
        return DS_OK;
    const char *wish = NULL;
    if (drives || (config->optimizer != NULL && config->optimizer->keep != NULL))
        wish = config->optimizer->name;
    else if (config->ema > 0)
        wish = "ema";
    else if (ds_plan_penalised(config))
        wish = "l1 and l2";
    DS_CHECK(wish == NULL, DS_ERR_USAGE,
             "optimizer: %s goes with sync.strategy exact or allreduce only, found %s", wish,
             strategy);
    return DS_OK;
}

ds_status ds_sync_check(const ds_config *config)
{
    static const char *const transports[] = {"auto", "shared", "direct"};
    const char *names[SYNC_N];
    for (size_t i = 0; i < SYNC_N; i++)
        names[i] = sync_table[i]->name;
    DS_TRY(sync_choice(config, "strategy", config->sync.strategy, SYNC_N, names));
    DS_TRY(sync_choice(config, "transport", config->sync.transport, 3, transports));
    DS_TRY(sync_check_update(config));
    if (config->sync.codec.ops != NULL && !sync_find(config->sync.strategy)->codecs)
        return ds_value_fail(ds_value_find(ds_value_find(config->root, "sync"), "compress"),
                             "sync.compress is '%s', but strategy '%s' sends floats as they are: "
                             "expected none",
                             config->sync.compress, config->sync.strategy);
    return DS_OK;
}

static ds_status sync_start(const ds_sync_spec *spec, ds_sync **out)
{
    ds_arena *arena = NULL;
    ds_sync *self = NULL;
    DS_TRY(ds_arena_create("sync", &arena));
    ds_status st = ds_arena_take(arena, 1, sizeof *self, "sync", &self);
    if (st != DS_OK) {
        ds_arena_destroy(&arena);
        return st;
    }
    self->arena = arena;
    self->spec = *spec;
    self->rank = ds_world_rank(spec->world);
    self->ranks = ds_world_size(spec->world);
    self->transport = "none";
    const size_t *begin = spec->plan->node_begin + self->rank;
    self->n_partials = begin[1] - begin[0];
    *out = self;
    size_t ranks = (size_t)self->ranks;
    DS_TRY(ds_arena_take(arena, ranks, sizeof *self->first, "sync", &self->first));
    DS_TRY(ds_arena_take(arena, ranks, sizeof *self->count, "sync", &self->count));
    return ds_arena_take(arena, self->n_partials, sizeof *self->partial, "sync", &self->partial);
}

ds_status ds_sync_create(const ds_sync_spec *spec, ds_sync **out)
{
    ds_sync *self = NULL;
    ds_status st = ds_sync_check(spec->config);
    if (st == DS_OK && spec->plan->ranks != ds_world_size(spec->world))
        st = DS_FAIL(DS_ERR_INTERNAL, "the plan is for %d ranks, the world has %d (a bug)",
                     spec->plan->ranks, ds_world_size(spec->world));
    if (st == DS_OK)
        st = sync_start(spec, &self);
    st = ds_agree(spec->world, st);
    if (st == DS_OK) {
        self->ops = sync_find(spec->config->sync.strategy);
        st = ds_agree(spec->world, self->ops->create(self));
    }
    if (st != DS_OK) {
        ds_sync_destroy(&self);
        return st;
    }
    ds_arena_seal(self->arena);
    *out = self;
    return DS_OK;
}

void ds_sync_destroy(ds_sync **sync)
{
    ds_sync *self = *sync;
    if (self == NULL)
        return;
    if (self->ops != NULL)
        self->ops->destroy(self);
    ds_arena *arena = self->arena;
    ds_arena_destroy(&arena);
    *sync = NULL;
}

float *ds_sync_params(ds_sync *self)
{
    return self->params;
}

const float *ds_sync_node_params(ds_sync *self, size_t i)
{
    return self->node_params != NULL ? self->node_params[i] : self->params;
}

const char *ds_sync_transport(const ds_sync *self)
{
    return self->transport;
}

float *ds_sync_partial(ds_sync *self, size_t i)
{
    return self->partial[i];
}

void ds_sync_begin(ds_sync *self, int64_t t)
{
    if (self->ops->begin != NULL)
        self->ops->begin(self, t);
}

void ds_sync_ready(ds_sync *self, size_t samples, size_t param)
{
    if (self->ops->ready != NULL)
        self->ops->ready(self, samples, param);
}

void ds_sync_poll(ds_sync *self)
{
    if (self->ops->poll != NULL)
        self->ops->poll(self);
}

int64_t ds_sync_hidden_ns(const ds_sync *self)
{
    return self->hidden_ns;
}

ds_status ds_sync_flat(ds_sync *self, const char *what, float **out)
{
    return ds_arena_take(self->arena, self->spec.layout->n_floats, sizeof(float), what, out);
}

double ds_sync_divisor(const ds_sync *self, const ds_step *step, int lo, int hi)
{
    long b = (long)step->samples, V = self->spec.plan->shards;
    double sum = 0;
    if (step->weight == NULL)
        return (double)(ds_shard_begin(hi, b, V) - ds_shard_begin(lo, b, V));
    for (int k = lo; k < hi; k++)
        sum += step->weight[k];
    return sum > 0 ? sum : 1;
}

void ds_sync_judge(const ds_sync *self, const ds_step *step, const double *loss, const double *bad,
                   ds_outcome *out)
{
    double sum = 0;
    out->grad_norm = (double)NAN;
    out->bad_shard = -1;
    out->vetoed = false;
    for (int k = 0; k < self->spec.plan->shards; k++) {
        sum += loss[k];
        if (out->bad_shard < 0 && (bad[k] != 0 || !isfinite(loss[k])))
            out->bad_shard = k;
    }
    out->loss = sum / ds_sync_divisor(self, step, 0, self->spec.plan->shards);
    out->finite = out->bad_shard < 0;
}

/* Where a collective failed; the caller has no way left but to abort. */
static ds_status sync_told(const ds_sync *self, ds_status st, const char *phase)
{
    if (st == DS_OK || self->ranks == 1)
        return st;
    return ds_fail_prefix(st, "rank %d of %d on %s, %s: ", self->rank, self->ranks,
                          ds_world_host(self->spec.world), phase);
}

ds_status ds_sync_load(ds_sync *self, const float *flat)
{
    DS_TRY(sync_told(self, self->ops->load(self, flat), "loading parameters"));
    if (self->spec.config->ema > 0) /* means begin with the values they are means of */
        return ds_sync_load_slot(self, self->spec.config->optimizer->n_slots, flat);
    return DS_OK;
}

ds_status ds_sync_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    DS_ASSERT(step->samples > 0);
    return sync_told(self, self->ops->step(self, step, out), "exchange of gradients");
}

void ds_sync_tensor_norms(const ds_sync *self, double *norm)
{
    self->ops->tensor_norms(self, norm);
}

ds_status ds_sync_meet(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    if (self->ops->meet == NULL)
        return DS_OK;
    return sync_told(self, self->ops->meet(self, step, out), "meeting of replicas");
}

ds_status ds_sync_skipped(ds_sync *self, const ds_step *step)
{
    if (self->ops->skipped == NULL)
        return DS_OK;
    return sync_told(self, self->ops->skipped(self, step), "meeting of replicas");
}

ds_status ds_sync_gather_slot(ds_sync *self, size_t s, float *flat)
{
    DS_ASSERT(s < ds_plan_slots(self->spec.config));
    return sync_told(self, self->ops->gather_slot(self, s, flat), "gathering optimizer state");
}

ds_status ds_sync_load_slot(ds_sync *self, size_t s, const float *flat)
{
    DS_ASSERT(s < ds_plan_slots(self->spec.config));
    return sync_told(self, self->ops->load_slot(self, s, flat), "loading optimizer state");
}

const char *ds_sync_state_at(const ds_sync *self, size_t i)
{
    return self->ops->state_at != NULL ? self->ops->state_at(self, i) : NULL;
}

ds_status ds_sync_gather_state(ds_sync *self, size_t i, float *flat)
{
    return sync_told(self, self->ops->gather_state(self, i, flat),
                     "gathering the strategy's state");
}

ds_status ds_sync_load_state(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                             bool *used)
{
    *used = false;
    if (self->ops->load_state == NULL)
        return DS_OK;
    return sync_told(self, self->ops->load_state(self, saved, flat, used),
                     "loading the strategy's state");
}

bool ds_sync_number_at(const ds_sync *self, size_t i, ds_sync_number *out)
{
    return self->ops->number_at != NULL && self->ops->number_at(self, i, out);
}

void ds_sync_load_number(ds_sync *self, const ds_sync_number *number)
{
    if (self->ops->load_number != NULL)
        self->ops->load_number(self, number);
}
