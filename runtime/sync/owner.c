/* The owner pass. Blocks of DS_BLOCK floats go through the tree's additions into a temporary that
 * stays in cache and from there straight into the optimizer: each partial is read once, each
 * parameter and slot read and written once. The tree is compiled to a list of additions, since it
 * depends on the batch: an empty shard adds nothing, not even a zero (-0 + 0 would differ). */
#include "owner.h"

#include <math.h>
#include <string.h>

#include "descent/simd.h"

enum { OWNER_NOTHING = INT32_MAX, OWNER_DEPTH = 32 };

/* w = mean of g: for an optimizer that drives, all ranks are given the gradient. */
DS_SIMD static void owner_gather_loop(size_t n, float scale, const float *restrict g,
                                      float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = g[i] * scale;
}

static void owner_gather_step(const void *options, const ds_update *update)
{
    (void)options;
    owner_gather_loop(update->n, update->scale, update->g, update->w);
}

static const ds_option owner_no_options[] = {{0}};
static const ds_optim_ops owner_gather = {
    .name = "gather", .options = owner_no_options, .step = owner_gather_step};

ds_owner_spec ds_owner_spec_of(ds_sync *sync)
{
    const ds_config *config = sync->spec.config;
    const ds_plan *plan = sync->spec.plan;
    if (config->optimizer->reach == DS_REACH_MODEL)
        return (ds_owner_spec){.sync = sync,
                               .optimizer = &owner_gather,
                               .means = DS_MEANS_AS_ANY,
                               .leaves = plan->shards,
                               .n_nodes = plan->n_nodes,
                               .node = plan->node,
                               .only = -1};
    return (ds_owner_spec){.sync = sync,
                           .optimizer = config->optimizer,
                           .options = config->optimizer_options,
                           .clip_norm = config->clip_norm,
                           .leaves = plan->shards,
                           .n_nodes = plan->n_nodes,
                           .node = plan->node,
                           .only = -1};
}

static void owner_place_slices(ds_owner *self)
{
    const ds_plan *plan = self->spec.sync->spec.plan;
    size_t ranks = (size_t)plan->ranks, rank = (size_t)self->spec.sync->rank;
    for (size_t run = 0; run < plan->n_buckets * ranks; run++)
        for (size_t i = plan->bucket_begin[run]; i < plan->bucket_begin[run + 1]; i++) {
            bool mine = self->spec.all || run % ranks == rank;
            self->owned_at[i] = mine ? self->n_owned : SIZE_MAX;
            self->n_owned += mine ? plan->slice[i].count : 0;
        }
}

static void owner_count_blocks(ds_owner *self)
{
    const ds_layout *layout = self->spec.sync->spec.layout;
    for (size_t p = 0; p < layout->n_params; p++) {
        self->block_begin[p] = self->n_blocks;
        if (layout->param[p].trainable)
            self->n_blocks += (ds_param_floats(&layout->param[p]) + DS_BLOCK - 1) / DS_BLOCK;
    }
}

/* What the config says of tensors is said of its own optimizer; another one treats all alike. */
static ds_status owner_take_rules(ds_owner *self)
{
    const ds_sync_spec *spec = &self->spec.sync->spec;
    size_t n = spec->layout->n_params;
    DS_TRY(ds_arena_take(self->spec.sync->arena, n, sizeof *self->rule, "sync", &self->rule));
    self->main = self->spec.optimizer == spec->config->optimizer &&
                 self->spec.options == spec->config->optimizer_options;
    for (size_t p = 0; p < n; p++) {
        ds_rule *rule = &self->rule[p];
        *rule = ds_plan_rule(spec->config, &spec->layout->param[p]);
        if (!self->main)
            *rule = (ds_rule){.options = self->spec.options, .lr_scale = 1, .matrix = rule->matrix};
        self->penalised = self->penalised || rule->l1 > 0 || rule->l2 > 0;
    }
    return DS_OK;
}

/* Slots that a tensor uses, and scratch for the tensor of ours that wants most. */
static ds_status owner_take_slots(ds_owner *self)
{
    const ds_sync_spec *spec = &self->spec.sync->spec;
    const ds_optim_ops *optimizer = self->spec.optimizer;
    ds_arena *arena = self->spec.sync->arena;
    size_t most = 0, n_slots = self->main ? ds_plan_slots(spec->config) : optimizer->n_slots;
    for (size_t s = 0; s < n_slots; s++) {
        bool used = !self->main;
        for (size_t p = 0; p < spec->layout->n_params; p++)
            used = used || ds_plan_uses_slot(spec->config, &spec->layout->param[p], s);
        if (used)
            DS_TRY(ds_arena_take(arena, self->n_owned, sizeof(float), "optimizer state",
                                 &self->slot[s]));
    }
    for (size_t i = 0; optimizer->scratch != NULL && i < spec->plan->n_slices; i++) {
        const ds_slice *slice = &spec->plan->slice[i];
        const ds_rule *rule = &self->rule[slice->param];
        if (self->owned_at[i] == SIZE_MAX || !ds_param_learns(&spec->layout->param[slice->param]))
            continue;
        size_t n = optimizer->scratch(rule->options, &rule->matrix);
        most = n > most ? n : most;
    }
    return ds_arena_take(arena, most, sizeof(float), "optimizer scratch", &self->scratch);
}

ds_status ds_owner_init(ds_owner *self, const ds_owner_spec *spec)
{
    const ds_plan *plan = spec->sync->spec.plan;
    *self = (ds_owner){.spec = *spec};
    ds_arena *arena = spec->sync->arena;
    DS_TRY(ds_arena_take(arena, spec->n_nodes, sizeof *self->add, "sync", &self->add));
    DS_TRY(ds_arena_take(arena, spec->n_nodes, sizeof *self->source, "sync", &self->source));
    size_t depth = spec->n_nodes < OWNER_DEPTH ? spec->n_nodes : OWNER_DEPTH;
    DS_TRY(ds_arena_take(arena, depth, DS_BLOCK * sizeof(float), "sums", &self->temp));
    DS_TRY(ds_arena_take(arena, plan->n_slices, sizeof(size_t), "sync", &self->owned_at));
    DS_TRY(ds_arena_take(arena, spec->sync->spec.layout->n_params, sizeof(size_t), "sync",
                         &self->block_begin));
    owner_place_slices(self);
    owner_count_blocks(self);
    DS_TRY(owner_take_rules(self));
    DS_TRY(owner_take_slots(self));
    const ds_inverses_spec inverses = {spec->sync, self->owned_at, self->rule};
    if (self->main && spec->optimizer->keep != NULL)
        DS_TRY(ds_inverses_create(&inverses, &self->inverses));
    if (!spec->coded)
        return DS_OK;
    DS_TRY(ds_arena_take(arena, 2 * DS_BLOCK, sizeof(float), "sums", &self->decoded));
    return ds_arena_take(arena, self->n_owned, sizeof(float), "masters", &self->master);
}

void ds_owner_moves(ds_owner *self, int64_t t)
{
    if (self->inverses != NULL && self->spec.optimizer->keep(self->spec.options, t - 1) < 1)
        ds_inverses_stale(self->inverses);
}

bool ds_owner_empty(const ds_owner *self, size_t j)
{
    const ds_node *node = &self->spec.node[j];
    long b = (long)self->samples, V = self->spec.leaves;
    return ds_shard_begin(node->lo, b, V) == ds_shard_begin(node->hi, b, V);
}

/* Compile the sum over [lo, hi), whose first node is *next; its result may use temp[depth] and
 * above. Returns the operand that holds it. */
static int owner_compile(ds_owner *self, int lo, int hi, size_t *next, int depth)
{
    const ds_node *node = &self->spec.node[*next];
    if (node->lo == lo && node->hi == hi) {
        bool left_out = self->spec.only >= 0 && node->rank != self->spec.only;
        return left_out || ds_owner_empty(self, *next) ? ((*next)++, OWNER_NOTHING)
                                                       : (int)(*next)++;
    }
    int split = ds_tree_split(lo, hi);
    int left = owner_compile(self, lo, split, next, depth);
    int right = owner_compile(self, split, hi, next, depth + (left != OWNER_NOTHING));
    if (left == OWNER_NOTHING || right == OWNER_NOTHING)
        return left == OWNER_NOTHING ? right : left;
    self->add[self->n_adds++] = (ds_owner_add){depth, left, right};
    return ~depth;
}

void ds_owner_begin(ds_owner *self, size_t samples)
{
    self->overflow = false;
    self->peak = 0;
    if (samples == self->samples)
        return;
    self->samples = samples;
    self->n_adds = 0;
    size_t next = 0;
    self->root = owner_compile(self, 0, self->spec.leaves, &next, 0);
}

const ds_codec *ds_owner_codec(const ds_owner *self, const ds_codec *codec, size_t i)
{
    static const ds_codec plain = {.ops = &ds_codec_plain, .scale = 1};
    return self->spec.sync->spec.plan->slice[i].exact ? &plain : codec;
}

/* Floats [at, at + n), one block; those that come in code are decoded to place 0 or 1. */
static const float *owner_operand(const ds_owner *self, int operand, size_t at, size_t n, int place)
{
    if (operand < 0)
        return self->temp + (size_t)~operand * DS_BLOCK;
    const ds_source *source = &self->source[operand];
    if (source->bytes == NULL)
        return source->x + (at - source->at);
    float *decoded = self->decoded + place * DS_BLOCK;
    const ds_codec *codec = ds_owner_codec(self, &self->forward, self->slice);
    size_t before = ds_codec_bytes(codec, at - source->at);
    ds_codec_decode(codec, n, source->bytes + before, decoded);
    return decoded;
}

/* Floats [at, at + n) of the flat gradient: as they lie in the only partial, or in temp[0]. */
static const float *owner_sum(const ds_owner *self, size_t at, size_t n)
{
    const ds_kernels *k = self->spec.sync->spec.kernels;
    if (self->root == OWNER_NOTHING) /* this rank's shards are all empty */
        return memset(self->temp, 0, n * sizeof(float));
    for (size_t i = 0; i < self->n_adds; i++) {
        const ds_owner_add *add = &self->add[i];
        float *out = self->temp + (size_t)add->out * DS_BLOCK;
        if (add->a == ~add->out)
            k->add(n, out, owner_operand(self, add->b, at, n, 1));
        else
            k->sum(n, out, owner_operand(self, add->a, at, n, 0),
                   owner_operand(self, add->b, at, n, 1));
    }
    return owner_operand(self, self->root, at, n, 0);
}

DS_SIMD static void owner_average(float *restrict mean, size_t n, float keep, float take,
                                  const float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        mean[i] = keep * mean[i] + take * w[i];
}

/* out = g + l1 sign(w) + l2 w; out may be g. */
DS_SIMD static void owner_add_penalty(size_t n, float l1, float l2, const float *w, const float *g,
                                      float *out)
{
    DS_IVDEP
    for (size_t i = 0; i < n; i++) {
        const float up = w[i] > 0 ? l1 : 0.0f, down = w[i] < 0 ? l1 : 0.0f;
        out[i] = g[i] + ((up - down) + l2 * w[i]);
    }
}

/* The gradient of the penalties, as of a sum over samples, joins the sum g in `reduced`. */
static const float *owner_penalise(ds_owner *self, const ds_rule *rule, size_t at, size_t n,
                                   const float *g)
{
    if (rule->l1 <= 0 && rule->l2 <= 0)
        return g;
    double times = self->divisor;
    owner_add_penalty(n, (float)(rule->l1 * times), (float)(rule->l2 * times), self->params + at, g,
                      self->reduced + at);
    return self->reduced + at;
}

size_t ds_owner_at(const ds_owner *self, size_t i)
{
    const ds_sync_spec *spec = &self->spec.sync->spec;
    const ds_slice *slice = &spec->plan->slice[i];
    return spec->layout->param[slice->param].offset + slice->first;
}

/* Parameters p, of a slice from float `from`, follow their master w as far as the codec can say it:
 * the rest is said next time. */
static void owner_follow(ds_owner *self, size_t from, size_t n, const float *w, float *p)
{
    const ds_codec *codec = ds_owner_codec(self, &self->back, self->slice);
    uint8_t *bytes = self->news;
    if (bytes != NULL)
        bytes += ds_codec_bytes(codec, from);
    float peak = ds_codec_follow(codec, n, w, p, bytes);
    if (codec == &self->back)
        self->peak = peak > self->peak ? peak : self->peak;
    self->overflow |= !isfinite(peak);
}

/* Update n floats of the slice from float `from` of it. */
static void owner_update(ds_owner *self, size_t i, size_t from, size_t n, const float *g,
                         const ds_owner_task *task)
{
    const ds_sync_spec *spec = &self->spec.sync->spec;
    const ds_optim_ops *optimizer = self->spec.optimizer;
    const ds_rule *rule = &self->rule[spec->plan->slice[i].param];
    size_t own = self->owned_at[i] + from;
    float *p = self->params + ds_owner_at(self, i) + from;
    ds_update update = {.n = n,
                        .w = self->master != NULL ? self->master + own : p,
                        .g = g,
                        .scale = task->scale,
                        .lr = task->lr * rule->lr_scale,
                        .t = task->t,
                        .matrix = rule->matrix,
                        .factors = ds_inverses_of(self->inverses, i),
                        .kernels = spec->kernels,
                        .scratch = self->scratch};
    for (size_t s = 0; s < optimizer->n_slots; s++)
        update.slot[s] = self->slot[s] != NULL ? self->slot[s] + own : NULL;
    const ds_param *param = &spec->layout->param[spec->plan->slice[i].param];
    bool learns = !ds_owner_statistic(self, param, &update);
    if (learns)
        optimizer->step(rule->options, &update);
    double ema = self->main && learns ? spec->config->ema : 0;
    if (ema > 0)
        owner_average(self->slot[optimizer->n_slots] + own, n, (float)ema, (float)(1 - ema),
                      update.w);
    if (self->master != NULL)
        owner_follow(self, from, n, update.w, p);
}

/* The sum of one block, judged, squared and kept as asked. */
static const float *owner_reduce(ds_owner *self, const ds_rule *rule, size_t at, size_t n,
                                 double *squares, bool keep)
{
    const ds_kernels *k = self->spec.sync->spec.kernels;
    const float *g = owner_sum(self, at, n);
    if (self->penalised && self->spec.only < 0) /* the sum of all */
        g = owner_penalise(self, rule, at, n, g);
    if (squares != NULL) {
        *squares = k->squares(n, g);
        self->overflow |= !isfinite(*squares);
    } else {
        self->overflow |= !k->finite(n, g);
    }
    if (!keep)
        return g;
    float *place = self->reduced + at;
    if (g != place)
        memcpy(place, g, n * sizeof *g);
    return place;
}

void ds_owner_slice(ds_owner *self, size_t i, const ds_owner_task *task)
{
    const ds_sync_spec *spec = &self->spec.sync->spec;
    const ds_slice *slice = &spec->plan->slice[i];
    const ds_rule *rule = &self->rule[slice->param];
    size_t start = ds_owner_at(self, i);
    double *squares = self->block + self->block_begin[slice->param] + slice->first / DS_BLOCK;
    bool whole = self->spec.optimizer->reach != DS_REACH_ELEMENT;
    bool keep = whole || !task->update;
    self->slice = i;
    for (size_t from = 0; from < slice->count; from += DS_BLOCK, squares++) {
        size_t n = slice->count - from < DS_BLOCK ? slice->count - from : DS_BLOCK;
        const float *g = self->reduced + start + from;
        if (task->reduce)
            g = owner_reduce(self, rule, start + from, n, task->squares ? squares : NULL, keep);
        else if (task->penalise)
            g = owner_penalise(self, rule, start + from, n, g);
        else if (task->squares)
            *squares = spec->kernels->squares(n, g);
        else if (task->check)
            self->overflow |= !spec->kernels->finite(n, g);
        if (task->update && !whole)
            owner_update(self, i, from, n, g, task);
    }
    if (task->update && whole)
        owner_update(self, i, 0, slice->count, self->reduced + start, task);
}

void ds_owner_all(ds_owner *self, const ds_owner_task *task)
{
    for (size_t i = 0; i < self->spec.sync->spec.plan->n_slices; i++)
        if (self->owned_at[i] != SIZE_MAX)
            ds_owner_slice(self, i, task);
}

static double owner_tensor_squares(const ds_owner *self, const double *block, size_t p)
{
    size_t n_params = self->spec.sync->spec.layout->n_params;
    size_t end = p + 1 < n_params ? self->block_begin[p + 1] : self->n_blocks;
    double tensor = 0;
    bool counts = ds_param_learns(&self->spec.sync->spec.layout->param[p]);
    for (size_t i = self->block_begin[p]; i < end && counts; i++)
        tensor += block[i];
    return tensor;
}

double ds_owner_norm(const ds_owner *self, const double *block)
{
    double total = 0;
    for (size_t p = 0; p < self->spec.sync->spec.layout->n_params; p++)
        total += owner_tensor_squares(self, block, p);
    return sqrt(total) / self->divisor;
}

void ds_owner_tensor_norms(const ds_owner *self, double *norm)
{
    for (size_t p = 0; p < self->spec.sync->spec.layout->n_params; p++)
        norm[p] = sqrt(owner_tensor_squares(self, self->block, p)) / self->divisor;
}

float ds_owner_scale(const ds_owner *self, double norm)
{
    double clip = self->spec.clip_norm, factor = 1;
    if (clip > 0 && clip / (norm + 1e-6) < 1)
        factor = clip / (norm + 1e-6);
    return (float)(factor / self->divisor);
}

void ds_owner_export(const ds_owner *self, const float *owned, float *flat)
{
    const ds_plan *plan = self->spec.sync->spec.plan;
    for (size_t i = 0; i < plan->n_slices; i++)
        if (owned != NULL && self->owned_at[i] != SIZE_MAX)
            memcpy(flat + ds_owner_at(self, i), owned + self->owned_at[i],
                   plan->slice[i].count * sizeof *flat);
}

void ds_owner_import(const ds_owner *self, const float *flat, float *owned)
{
    const ds_plan *plan = self->spec.sync->spec.plan;
    for (size_t i = 0; i < plan->n_slices; i++)
        if (owned != NULL && self->owned_at[i] != SIZE_MAX)
            memcpy(owned + self->owned_at[i], flat + ds_owner_at(self, i),
                   plan->slice[i].count * sizeof *flat);
}
