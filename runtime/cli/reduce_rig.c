/* The exchange alone: a config around made-up tensors of 1 Mi floats, one shard a rank. Gradients
 * are written anew before each step, outside its timing: what a step leaves of them is not
 * specified. */
#include "reduce_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/clock.h"
#include "descent/wire.h"

enum { RIG_WIDTH = 1024, RIG_ROWS = 1024, RIG_TABLE = 8191, RIG_STREAM = 16 << 20, RIG_NAME = 64 };

struct ds_reduce_rig {
    ds_world *world;
    ds_arena *arena;
    ds_config *config;
    ds_plan *plan;
    ds_sync *sync;
    ds_layout layout;
    ds_param *param;
    double *loss;
    bool *bad;
    float *table; /* (RIG_TABLE) values as gradients have them: small, of all sizes */
    float *flat;  /* (n_floats) what MPI_Allreduce sums */
    int64_t t;
};

static ds_status reduce_config(ds_reduce_rig *self, const ds_reduce_spec *spec)
{
    char text[512], compress[RIG_NAME + 32];
    const char *set[256];
    int ranks = ds_world_size(self->world);
    snprintf(text, sizeof text,
             "data: {train: {format: synthetic, kind: blobs, samples: %d}}\n"
             "model: {input: [2], layers: [dense: {units: 2}]}\n"
             "loss: cross_entropy\n"
             "batch: {size: %d, shards: %d}\n"
             "optimizer: {name: sgd, lr: 1.0e-6}\n"
             "train: {max_steps: 1000000, epochs: 0}\n",
             ranks * 32, ranks * 32, ranks);
    DS_CHECK(strlen(spec->codec) < RIG_NAME, DS_ERR_USAGE, "bench reduce: --codec: no codec '%s'",
             spec->codec);
    snprintf(compress, sizeof compress, "sync.compress=%s", spec->codec);
    set[0] = compress;
    DS_CHECK(spec->n_set < 255, DS_ERR_USAGE, "bench reduce: more than 254 --set");
    for (size_t i = 0; i < spec->n_set; i++)
        set[i + 1] = spec->set[i];
    DS_TRY(ds_config_create(text, "bench reduce", spec->n_set + 1, set, &self->config));
    DS_TRY(ds_sync_check(self->config));
    const char *strategy = self->config->sync.strategy;
    DS_CHECK(strcmp(strategy, "exact") == 0 || strcmp(strategy, "allreduce") == 0, DS_ERR_USAGE,
             "bench reduce: sync.strategy is '%s', which does not exchange in every step; expected "
             "exact or allreduce",
             strategy);
    return DS_OK;
}

static ds_status reduce_layout(ds_reduce_rig *self, size_t floats)
{
    const size_t most = (size_t)RIG_ROWS * RIG_WIDTH;
    size_t n = (floats + most - 1) / most;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *self->param, "tensors", &self->param));
    for (size_t i = 0; i < n; i++) {
        char *name = NULL;
        size_t left = floats - i * most, count = left < most ? left : most;
        DS_TRY(ds_arena_printf(self->arena, &name, "dense%zu/weight", i + 1));
        size_t rows = (count + RIG_WIDTH - 1) / RIG_WIDTH;
        self->param[i] = (ds_param){.name = name,
                                    .shape = {2, {rows, RIG_WIDTH}},
                                    .trainable = true,
                                    .offset = i * most,
                                    .rows = rows,
                                    .cols = RIG_WIDTH,
                                    .stride = RIG_WIDTH};
    }
    const ds_param *last = &self->param[n - 1];
    self->layout = (ds_layout){n, self->param, last->offset + ds_param_floats(last)};
    return DS_OK;
}

static ds_status reduce_room(ds_reduce_rig *self)
{
    size_t V = (size_t)self->plan->shards;
    DS_TRY(ds_arena_take(self->arena, V, sizeof *self->loss, "shards", &self->loss));
    DS_TRY(ds_arena_take(self->arena, V, sizeof *self->bad, "shards", &self->bad));
    DS_TRY(ds_arena_take(self->arena, RIG_TABLE, sizeof(float), "gradients", &self->table));
    DS_TRY(
        ds_arena_take(self->arena, self->layout.n_floats, sizeof(float), "gradients", &self->flat));
    for (size_t i = 0; i < RIG_TABLE; i++) {
        float x = (float)((i * 7919 + (size_t)ds_world_rank(self->world) * 31) % RIG_TABLE);
        x = x / RIG_TABLE - 0.5f;
        self->table[i] = 0.1f * x * x * x;
    }
    return DS_OK;
}

static ds_status reduce_prepare(ds_reduce_rig *self, const ds_reduce_spec *spec)
{
    DS_TRY(ds_arena_create("bench reduce", &self->arena));
    DS_TRY(reduce_config(self, spec));
    DS_TRY(reduce_layout(self, (spec->bytes + sizeof(float) - 1) / sizeof(float)));
    DS_TRY(ds_plan_create(self->config, &self->layout, (size_t)self->config->batch.size,
                          ds_world_size(self->world), &self->plan));
    return reduce_room(self);
}

ds_status ds_reduce_rig_create(ds_world *world, const ds_reduce_spec *spec, ds_reduce_rig **out)
{
    ds_auto(ds_reduce_rig) self = calloc(1, sizeof *self);
    ds_status mine = self == NULL ? DS_FAIL(DS_ERR_NOMEM, "out of memory") : DS_OK;
    if (mine == DS_OK) {
        self->world = world;
        mine = reduce_prepare(self, spec);
    }
    DS_TRY(ds_agree(world, mine));
    ds_sync_spec sync = {world, self->plan, &self->layout, self->config,
                         ds_kernels_find(self->config->compute.kernels)};
    DS_TRY(ds_sync_create(&sync, &self->sync));
    DS_TRY(ds_sync_load(self->sync, self->flat));
    *out = ds_steal(self);
    return DS_OK;
}

void ds_reduce_rig_destroy(ds_reduce_rig **rig)
{
    ds_reduce_rig *self = *rig;
    if (self == NULL)
        return;
    ds_sync_destroy(&self->sync);
    ds_plan_destroy(&self->plan);
    ds_config_destroy(&self->config);
    ds_arena_destroy(&self->arena);
    free(self);
    *rig = NULL;
}

const char *ds_reduce_rig_transport(const ds_reduce_rig *self)
{
    return ds_sync_transport(self->sync);
}

uint64_t ds_reduce_rig_sent(const ds_reduce_rig *self)
{
    return ds_plan_wire_bytes(self->plan, self->config, ds_world_rank(self->world));
}

static void reduce_fill(const ds_reduce_rig *self, float *flat)
{
    for (size_t at = 0; at < self->layout.n_floats; at += RIG_TABLE) {
        size_t left = self->layout.n_floats - at;
        memcpy(flat + at, self->table, (left < RIG_TABLE ? left : RIG_TABLE) * sizeof *flat);
    }
}

static ds_status reduce_ready(ds_world *world, int64_t *start)
{
    DS_TRY(ds_world_barrier(world));
    *start = ds_clock_ns();
    return DS_OK;
}

static ds_status reduce_slowest(ds_world *world, int64_t start, double *seconds)
{
    *seconds = (double)(ds_clock_ns() - start) * 1e-9;
    return ds_world_max(world, seconds, 1);
}

ds_status ds_reduce_rig_step(ds_reduce_rig *self, double *seconds)
{
    ds_outcome out = {0};
    int64_t start = 0;
    int rank = ds_world_rank(self->world);
    const size_t *begin = self->plan->node_begin + rank;
    for (size_t j = 0; j < begin[1] - begin[0]; j++)
        reduce_fill(self, ds_sync_partial(self->sync, j));
    memset(self->loss, 0, (size_t)self->plan->shards * sizeof *self->loss);
    memset(self->bad, 0, (size_t)self->plan->shards * sizeof *self->bad);
    ds_step step = {.t = self->t++,
                    .samples = self->plan->batch,
                    .lr = self->config->lr,
                    .loss = self->loss,
                    .bad = self->bad};
    DS_TRY(reduce_ready(self->world, &start));
    DS_TRY(ds_sync_step(self->sync, &step, &out));
    DS_TRY(reduce_slowest(self->world, start, seconds));
    DS_CHECK(out.finite, DS_ERR_INTERNAL, "bench reduce: a sum is not finite (a bug)");
    return DS_OK;
}

ds_status ds_reduce_rig_allreduce(ds_reduce_rig *self, double *seconds)
{
    int64_t start = 0;
    reduce_fill(self, self->flat);
    DS_TRY(reduce_ready(self->world, &start));
    DS_TRY(ds_world_sum_float(self->world, self->flat, self->layout.n_floats));
    return reduce_slowest(self->world, start, seconds);
}

/* The ranks of the ring: the first of each host, or all. Which place this rank has in it: -1, none.
 */
static int reduce_ring(const ds_world *world, const char *hosts, int *ring, int *n)
{
    int place = -1;
    for (int r = 0; r < ds_world_size(world); r++) {
        int first = 0;
        while (strcmp(hosts + (size_t)first * RIG_NAME, hosts + (size_t)r * RIG_NAME) != 0)
            first++;
        if (first != r && ds_world_hosts(world) > 1)
            continue;
        place = r == ds_world_rank(world) ? *n : place;
        ring[(*n)++] = r;
    }
    return place;
}

static ds_status reduce_send_round(ds_world *world, ds_mail *mail, const int peer[2], float *x,
                                   size_t n, double *seconds)
{
    int64_t start = 0;
    DS_TRY(reduce_ready(world, &start));
    if (peer[0] >= 0) {
        DS_TRY(ds_mail_receive(mail, peer[0], 1, x, n * sizeof *x));
        DS_TRY(ds_mail_send(mail, peer[1], 1, x + n, n * sizeof *x));
    }
    DS_TRY(ds_mail_wait(mail));
    return reduce_slowest(world, start, seconds);
}

/* 256 KiB to warm up, then as much as takes about 0.3 s, at most 64 MiB; the better of two. */
static ds_status reduce_measure(ds_world *world, ds_mail *mail, const int peer[2], float *x,
                                double *bytes_per_s)
{
    size_t n = 64 << 10;
    const size_t most = RIG_STREAM;
    double seconds = 0;
    *bytes_per_s = 0;
    for (int round = 0; round < 5; round++) {
        DS_TRY(reduce_send_round(world, mail, peer, x, n, &seconds));
        double rate = (double)(n * sizeof *x) / seconds;
        if (round >= 3 && rate > *bytes_per_s)
            *bytes_per_s = rate;
        double floats = rate * 0.3 / sizeof *x;
        if (round < 3)
            n = floats < (double)n ? n : floats > (double)most ? most : (size_t)floats;
    }
    return DS_OK;
}

ds_status ds_reduce_stream(ds_world *world, double *bytes_per_s)
{
    int size = ds_world_size(world), n = 0, peer[2] = {-1, -1};
    *bytes_per_s = 0;
    if (size == 1)
        return DS_OK;
    ds_auto(ds_arena) arena = NULL;
    ds_auto(ds_mail) mail = NULL;
    char mine[RIG_NAME] = "", *hosts = NULL;
    int *ring = NULL;
    float *x = NULL;
    snprintf(mine, sizeof mine, "%s", ds_world_host(world));
    ds_status st = ds_arena_create("bench reduce", &arena);
    if (st == DS_OK)
        st = ds_arena_take(arena, (size_t)size, RIG_NAME, "host names", &hosts);
    if (st == DS_OK)
        st = ds_arena_take(arena, (size_t)size, sizeof *ring, "ring", &ring);
    if (st == DS_OK)
        st = ds_arena_take(arena, (size_t)2 * RIG_STREAM, sizeof *x, "stream", &x);
    if (st == DS_OK)
        st = ds_mail_create(world, 2, (size_t)2 * 4 * RIG_STREAM, &mail);
    DS_TRY(ds_agree(world, st));
    DS_TRY(ds_world_gather_all(world, mine, sizeof mine, hosts));
    int place = reduce_ring(world, hosts, ring, &n);
    if (place >= 0 && n > 1) {
        peer[0] = ring[(place + n - 1) % n];
        peer[1] = ring[(place + 1) % n];
    }
    return reduce_measure(world, mail, peer, x, bytes_per_s);
}
