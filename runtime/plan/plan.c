/* Who does what: shards and subtrees by rank, steps by epoch. A pure function, so every rank makes
 * its own and only the hash is compared. The slices are cut in slices.c. Cost: linear in slices. */
#include "descent/plan.h"

#include <stdio.h>
#include <string.h>

#include "descent/tree.h"

#include "plan_parts.h"

enum { PLAN_MAX_SHARDS = 1 << 22 };

bool ds_plan_replicated(const ds_config *config)
{
    if (strcmp(config->sync.strategy, "allreduce") == 0)
        return false;
    return strcmp(config->sync.strategy, "exact") != 0 ||
           strcmp(config->sync.compress, "none") != 0;
}

static ds_status plan_count_replicas(ds_plan *self, const ds_config *config)
{
    int64_t asked = ds_plan_replicated(config) ? config->sync.replicas : 0;
    DS_CHECK(asked == 0 || asked >= self->ranks, DS_ERR_USAGE,
             "more ranks (%d) than replicas (%lld): set 'sync: {replicas: %d}', or start at most "
             "%lld ranks",
             self->ranks, (long long)asked, self->ranks, (long long)asked);
    DS_CHECK(asked <= PLAN_MAX_SHARDS, DS_ERR_USAGE, "sync: %lld replicas, the most is %d",
             (long long)asked, PLAN_MAX_SHARDS);
    self->replicas = asked > 0 ? (int)asked : self->ranks;
    return DS_OK;
}

/* What the config lacks for so many ranks: a power of two where the batch has as many samples. */
static void plan_shards_for(int ranks, const ds_batch_config *batch, size_t size, char *line)
{
    int64_t least = (ranks + batch->accumulate - 1) / batch->accumulate, enough = 1;
    while (enough < least)
        enough *= 2;
    if (least > batch->size)
        snprintf(line, size, "size: %lld, shards: %lld", (long long)least, (long long)least);
    else
        snprintf(line, size, "shards: %lld", (long long)(enough <= batch->size ? enough : least));
}

/* V, or why the ranks cannot share it. */
static ds_status plan_count_shards(ds_plan *self, const ds_config *config)
{
    const ds_batch_config *batch = &config->batch;
    int64_t accumulate = batch->accumulate, shards = batch->shards;
    DS_CHECK(batch->size > 0 && accumulate > 0 && shards >= 0, DS_ERR_USAGE,
             "batch: size %lld, shards %lld, accumulate %lld: each must be at least 1",
             (long long)batch->size, (long long)shards, (long long)accumulate);
    if (shards == 0)
        shards = self->replicas;
    DS_CHECK(shards <= PLAN_MAX_SHARDS / accumulate, DS_ERR_USAGE,
             "batch: shards x accumulate is %lld x %lld, the most is %d", (long long)shards,
             (long long)accumulate, PLAN_MAX_SHARDS);
    DS_CHECK(batch->size <= INT64_MAX / PLAN_MAX_SHARDS / accumulate, DS_ERR_USAGE,
             "batch: size %lld is too large", (long long)batch->size);
    char line[64];
    plan_shards_for(self->ranks, batch, sizeof line, line);
    DS_CHECK(
        shards * accumulate >= self->ranks, DS_ERR_USAGE,
        "more ranks (%d) than shards (%lld): add 'batch: {%s}' to the config, or start at most "
        "%lld ranks",
        self->ranks, (long long)(shards * accumulate), line, (long long)(shards * accumulate));
    DS_CHECK(shards * accumulate >= self->replicas, DS_ERR_USAGE,
             "more replicas (%d) than shards (%lld): lower sync.replicas, or add 'batch: {shards: "
             "%d}' to the config",
             self->replicas, (long long)(shards * accumulate), self->replicas);
    self->shards = (int)(shards * accumulate);
    self->pass_shards = (int)((shards + self->ranks - 1) / self->ranks);
    self->batch = (size_t)(batch->size * accumulate);
    return DS_OK;
}

static void plan_count_steps(ds_plan *self, const ds_config *config, size_t samples)
{
    self->samples = samples;
    self->steps_per_epoch = samples / self->batch + (samples % self->batch != 0);
    int64_t epochs = config->train.epochs, steps = INT64_MAX;
    if (epochs > 0 && !__builtin_mul_overflow(epochs, (int64_t)self->steps_per_epoch, &steps) &&
        self->steps_per_epoch == 0)
        steps = INT64_MAX; /* nothing to read: an analytic problem has no epochs */
    if (config->train.max_steps > 0 && config->train.max_steps < steps)
        steps = config->train.max_steps;
    self->total_steps = steps;
}

/* Append the largest subtrees of [lo, hi) that lie wholly in a replica's shards; count only while
 * node is NULL. */
static void plan_find_nodes(ds_plan *self, int lo, int hi, ds_node in)
{
    if (hi <= in.lo || in.hi <= lo)
        return;
    if (in.lo <= lo && hi <= in.hi) {
        if (self->node != NULL)
            self->node[self->n_nodes] = (ds_node){lo, hi, in.rank, in.replica};
        self->n_nodes++;
        return;
    }
    int split = ds_tree_split(lo, hi);
    plan_find_nodes(self, lo, split, in);
    plan_find_nodes(self, split, hi, in);
}

/* Rank by rank, replica by replica: rising by shard. */
static void plan_list_nodes(ds_plan *self)
{
    self->n_nodes = 0;
    for (int r = 0; r < self->ranks; r++) {
        self->node_begin[r] = self->n_nodes;
        for (int i = ds_plan_replica_begin(self, r); i < ds_plan_replica_begin(self, r + 1); i++) {
            int first = ds_plan_replica_shard(self, i), end = ds_plan_replica_shard(self, i + 1);
            plan_find_nodes(self, 0, self->shards, (ds_node){first, end, r, i});
        }
    }
    self->node_begin[self->ranks] = self->n_nodes;
}

static ds_status plan_make_nodes(ds_plan *self)
{
    size_t ranks = (size_t)self->ranks;
    DS_TRY(ds_arena_take(self->arena, ranks + 1, sizeof(size_t), "plan", &self->node_begin));
    plan_list_nodes(self);
    ds_node *node = NULL;
    DS_TRY(ds_arena_take(self->arena, self->n_nodes, sizeof *node, "plan", &node));
    self->node = node;
    plan_list_nodes(self);
    return DS_OK;
}

static ds_status plan_fill(ds_plan *self, const ds_config *config, const ds_layout *layout,
                           size_t samples)
{
    DS_TRY(plan_count_replicas(self, config));
    DS_TRY(plan_count_shards(self, config));
    DS_TRY(ds_plan_check_groups(config, layout));
    plan_count_steps(self, config, samples);
    DS_TRY(plan_make_nodes(self));
    DS_TRY(ds_plan_cut_slices(self, config, layout));
    DS_TRY(ds_plan_make_hash(self, config, layout));
    ds_arena_seal(self->arena);
    return DS_OK;
}

ds_status ds_plan_create(const ds_config *config, const ds_layout *layout, size_t samples,
                         int ranks, ds_plan **out)
{
    DS_ASSERT(ranks >= 1);
    ds_arena *arena = NULL;
    ds_plan *self = NULL;
    DS_TRY(ds_arena_create("the plan", &arena));
    ds_status st = ds_arena_take(arena, 1, sizeof *self, "plan", &self);
    if (st == DS_OK) {
        self->arena = arena;
        self->ranks = ranks;
        st = plan_fill(self, config, layout, samples);
    }
    if (st != DS_OK) {
        ds_arena_destroy(&arena);
        return ds_trace(st, __FILE__, __LINE__, "plan_fill");
    }
    *out = self;
    return DS_OK;
}

void ds_plan_destroy(ds_plan **plan)
{
    if (*plan == NULL)
        return;
    ds_arena *arena = (*plan)->arena; /* the plan itself lies in it */
    ds_arena_destroy(&arena);
    *plan = NULL;
}

/* Where replicas have many shards, borders keep to round numbers: a replica's range is then few
 * subtrees (each costs a flat block and its wire), and the shares differ by 3 % at most. */
static int64_t plan_grain(const ds_plan *self)
{
    int64_t grain = 1, fine = (int64_t)self->replicas * 32;
    while (grain * 2 * fine <= self->shards)
        grain *= 2;
    return grain;
}

int ds_plan_replica_shard(const ds_plan *self, int replica)
{
    int64_t grain = plan_grain(self), step = self->replicas * grain;
    int64_t begin = ((int64_t)replica * self->shards + step - 1) / step * grain;
    return (int)(begin < self->shards ? begin : self->shards);
}

int ds_plan_replica_begin(const ds_plan *self, int rank)
{
    return (int)(((int64_t)rank * self->replicas + self->ranks - 1) / self->ranks);
}

int ds_plan_shard_begin(const ds_plan *self, int rank)
{
    return ds_plan_replica_shard(self, ds_plan_replica_begin(self, rank));
}

size_t ds_plan_batch(const ds_plan *self, int64_t step, size_t *position)
{
    size_t first = 0, left = self->samples;
    if (self->steps_per_epoch > 0)
        first = (size_t)step % self->steps_per_epoch * self->batch;
    left -= first;
    if (position != NULL)
        *position = first;
    return left < self->batch ? left : self->batch;
}

/* k consecutive of V shards of b samples hold at most ceil(k b / V), in short batches too. */
static size_t plan_rows(const ds_plan *self, size_t shards)
{
    size_t V = (size_t)self->shards;
    return (shards * self->batch + V - 1) / V;
}

size_t ds_plan_pass_rows(const ds_plan *self, int rank)
{
    int own = ds_plan_shard_begin(self, rank + 1) - ds_plan_shard_begin(self, rank);
    return plan_rows(self, (size_t)(own < self->pass_shards ? own : self->pass_shards));
}

size_t ds_plan_shard_rows(const ds_plan *self)
{
    return plan_rows(self, 1);
}

size_t ds_plan_owned(const ds_plan *self, int rank)
{
    size_t floats = 0, ranks = (size_t)self->ranks;
    for (size_t b = 0; b < self->n_buckets; b++) {
        const size_t *at = self->bucket_begin + b * ranks + (size_t)rank;
        for (size_t i = at[0]; i < at[1]; i++)
            floats += self->slice[i].count;
    }
    return floats;
}

uint64_t ds_plan_slice_bytes(const ds_plan *self, const ds_codec *codec, int rank)
{
    uint64_t bytes = 0;
    size_t ranks = (size_t)self->ranks;
    for (size_t part = 0; part < self->n_buckets * ranks; part++) {
        const size_t *at = self->bucket_begin + part;
        for (size_t i = at[0]; i < at[1] && (rank < 0 || (size_t)rank == part % ranks); i++)
            bytes += codec->ops != NULL ? ds_slice_bytes(&self->slice[i], codec)
                                        : sizeof(float) * self->slice[i].count;
    }
    return bytes;
}

/* Its partials of all others' slices, and its new slices to all others; or a ring's share. */
uint64_t ds_plan_wire_bytes(const ds_plan *self, const ds_config *config, int rank)
{
    const ds_codec *codec = &config->sync.codec;
    uint64_t all = ds_plan_slice_bytes(self, codec, -1), others = (uint64_t)(self->ranks - 1);
    if (strcmp(config->sync.strategy, "allreduce") == 0)
        return 2 * all * others / (uint64_t)self->ranks;
    uint64_t mine = ds_plan_slice_bytes(self, codec, rank);
    uint64_t nodes = self->node_begin[rank + 1] - self->node_begin[rank];
    return nodes * (all - mine) + others * mine;
}

double ds_plan_wire_per_sample(const ds_plan *self, const ds_config *config)
{
    double sent = 0;
    for (int r = 0; r < self->ranks; r++)
        sent += ds_plan_local(config) ? ds_plan_local_wire(self, config, r)
                                      : (double)ds_plan_wire_bytes(self, config, r);
    return sent / (double)self->batch;
}
