/* A made-up model, batch and gradients for the tests of plan and sync, and the serial reference:
 * the sum by the tree's definition, one rank, whole tensors. */
#ifndef DS_TEST_RIG_H
#define DS_TEST_RIG_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/kernels.h"
#include "descent/rng.h"
#include "descent/session.h"
#include "descent/sync.h"
#include "descent/tree.h"

enum { MAX_V = 9, STEPS = 5, N_PARAMS = 7 };

static const ds_param test_param[N_PARAMS] = {
    {"a/weight", {2, {100, 40}}, true, true, 0, 40, 100, 112, DS_PARAM_LEARNED, 0},
    {"a/bias", {1, {10}}, false, true, 4480, 1, 10, 16, DS_PARAM_LEARNED, 0},
    {"f/weight", {2, {20, 10}}, true, false, 4496, 10, 20, 32, DS_PARAM_LEARNED, 0},
    {"b/weight", {2, {64, 90}}, true, true, 4816, 90, 64, 64, DS_PARAM_LEARNED, 0},
    {"b/bias", {1, {64}}, false, true, 10576, 1, 64, 64, DS_PARAM_LEARNED, 0},
    {"c/weight", {1, {8192}}, false, true, 10640, 1, 8192, 8192, DS_PARAM_LEARNED, 0},
    {"d/running_var", {1, {70}}, false, true, 18832, 1, 70, 80, DS_PARAM_STATISTIC, 0.25},
};
static const ds_layout test_layout = {N_PARAMS, test_param, 18912};

static int failures;
static inline void expect(bool good, const char *what, const char *where)
{
    if (!good && failures++ < 10)
        fprintf(stderr, "FAILED: %s (%s); last error: %s\n", what, where, ds_last_error());
}

typedef struct test_case {
    ds_config config;
    int64_t samples; /* of each step's batch */
    ds_arena *arena;
} test_case;

static inline void case_open(test_case *c, const ds_optim_ops *optimizer, int V, double clip)
{
    memset(c, 0, sizeof *c);
    void *options = NULL;
    if (ds_arena_create("test", &c->arena) != DS_OK ||
        ds_arena_take(c->arena, 1, optimizer->options_size + 1, "options", &options) != DS_OK ||
        ds_options_parse(optimizer->options, NULL, "optimizer", c->arena, options) != DS_OK)
        exit(EXIT_FAILURE);
    c->samples = 64;
    c->config.optimizer = optimizer;
    c->config.optimizer_options = options;
    c->config.lr = 0.01;
    c->config.clip_norm = clip;
    c->config.batch = (ds_batch_config){64, V, 1};
    c->config.train.max_steps = STEPS;
    c->config.sync = (ds_sync_config){.strategy = "exact",
                                      .compress = "none",
                                      .transport = "auto",
                                      .overlap = "auto",
                                      .bucket = 16 << 10};
}

/* Gradients of shard k at step t: elements of very different size, so that the order of additions
 * shows; padding and frozen tensors zero. */
static float *pool;
static inline float *shard_gradient(int t, int k)
{
    return pool + ((size_t)t * MAX_V + (size_t)k) * test_layout.n_floats;
}

static inline void fill_tensor(const ds_param *p, int t, int k)
{
    ds_rng rng = ds_rng_for(7, p->name);
    float *g = shard_gradient(t, k) + p->offset;
    for (size_t r = 0; r < p->rows; r++)
        for (size_t c = 0; c < p->cols; c++) {
            uint32_t u[4];
            ds_rng_block(&rng, (uint64_t)(t * MAX_V + k), r * p->cols + c, u);
            float size = ldexpf(1.0f, (int)(u[1] % 12) - 6);
            g[r * p->stride + c] =
                u[2] % 97 == 0 ? -0.0f : size * ((float)(u[0] >> 8) / 8388608.0f - 1.0f);
        }
}

static inline void pool_open(void)
{
    pool = calloc(test_layout.n_floats * MAX_V * STEPS, sizeof(float));
    for (int t = 0; t < STEPS; t++)
        for (int k = 0; k < MAX_V; k++)
            for (size_t p = 0; p < N_PARAMS; p++)
                if (test_param[p].trainable)
                    fill_tensor(&test_param[p], t, k);
}

/* Sum over shards [lo, hi) of a batch of b samples into out; false if all are empty. */
static inline bool tree_sum(int t, int lo, int hi, long b, long V, float *out)
{
    size_t n = test_layout.n_floats;
    if (ds_shard_begin(lo, b, V) == ds_shard_begin(hi, b, V))
        return false;
    if (hi - lo == 1)
        return memcpy(out, shard_gradient(t, lo), n * sizeof *out) != NULL;
    int mid = lo + 1;
    while ((mid - lo) * 2 < hi - lo)
        mid = lo + (mid - lo) * 2;
    float *right = malloc(n * sizeof *right);
    bool has_left = tree_sum(t, lo, mid, b, V, out);
    bool has_right = tree_sum(t, mid, hi, b, V, has_left ? right : out);
    for (size_t i = 0; has_left && has_right && i < n; i++)
        out[i] = out[i] + right[i];
    free(right);
    return true;
}

static inline void start_values(float *flat)
{
    memset(flat, 0, test_layout.n_floats * sizeof *flat);
    for (size_t p = 0; p < N_PARAMS; p++)
        for (size_t r = 0; r < test_param[p].rows; r++)
            for (size_t c = 0; c < test_param[p].cols; c++)
                flat[test_param[p].offset + r * test_param[p].stride + c] =
                    0.1f * (float)((int)((r * 31 + c * 7) % 41) - 20);
}

typedef struct reference {
    float *params, *grad, *slot[DS_OPTIM_MAX_SLOTS];
    double norm;
} reference;

static inline void reference_open(reference *ref)
{
    size_t n = test_layout.n_floats;
    ref->params = malloc(n * sizeof(float));
    ref->grad = malloc(n * sizeof(float));
    for (int s = 0; s < DS_OPTIM_MAX_SLOTS; s++)
        ref->slot[s] = calloc(n, sizeof(float));
    start_values(ref->params);
}

static inline void reference_close(reference *ref)
{
    free(ref->params);
    free(ref->grad);
    for (int s = 0; s < DS_OPTIM_MAX_SLOTS; s++)
        free(ref->slot[s]);
}

/* sqrt of squares in blocks of 4096 from each tensor's start, blocks in order, tensors in order. */
static inline double reference_norm(const float *grad, double samples)
{
    const ds_kernels *k = ds_kernels_find("ref");
    double total = 0;
    for (size_t p = 0; p < N_PARAMS; p++) {
        size_t n = test_param[p].rows * test_param[p].stride;
        double tensor = 0;
        bool counts = test_param[p].trainable && test_param[p].kind == DS_PARAM_LEARNED;
        for (size_t at = 0; counts && at < n; at += 4096)
            tensor += k->squares(n - at < 4096 ? n - at : 4096, grad + test_param[p].offset + at);
        total += tensor;
    }
    return sqrt(total) / samples;
}

/* w moves towards the mean of g; no clipping. */
static inline void reference_statistic(const ds_param *p, double samples, const float *g, float *w)
{
    const float keep = (float)(1 - p->pace), take = (float)(p->pace * (double)(1 / (float)samples));
    for (size_t i = p->offset; i < p->offset + p->rows * p->stride; i++)
        w[i] = keep * w[i] + take * g[i];
}

static float reference_scratch[1 << 16];
static inline void reference_step(reference *ref, const test_case *c, int V, int t)
{
    const ds_config *config = &c->config;
    double samples = (double)c->samples, factor = 1;
    tree_sum(t, 0, V, c->samples, V, ref->grad);
    ref->norm = reference_norm(ref->grad, samples);
    if (config->clip_norm > 0 && config->clip_norm / (ref->norm + 1e-6) < 1)
        factor = config->clip_norm / (ref->norm + 1e-6);
    for (size_t p = 0; p < N_PARAMS; p++) {
        size_t at = test_param[p].offset;
        ds_update u = {.n = test_param[p].rows * test_param[p].stride,
                       .w = ref->params + at,
                       .g = ref->grad + at,
                       .scale = (float)(factor / samples),
                       .lr = config->lr,
                       .t = t + 1};
        for (int s = 0; s < DS_OPTIM_MAX_SLOTS; s++)
            u.slot[s] = ref->slot[s] + at;
        ds_rule rule = ds_plan_rule(config, &test_param[p]);
        u.matrix = rule.matrix;
        u.kernels = ds_kernels_find("auto");
        u.scratch = reference_scratch;
        u.lr *= rule.lr_scale;
        if (test_param[p].kind == DS_PARAM_STATISTIC)
            reference_statistic(&test_param[p], samples, ref->grad, ref->params);
        else if (test_param[p].trainable)
            config->optimizer->step(rule.options, &u);
    }
}

/* A plan and a sync for a case, with the start values loaded. */
typedef struct rig {
    ds_world *world;
    ds_plan *plan;
    ds_sync *sync;
    double *loss;
    bool *bad;
    size_t silent; /* so many tensors are not reported ready: this rank has failed */
} rig;

static inline void rig_open(rig *r, ds_world *world, const test_case *c)
{
    *r = (rig){.world = world};
    if (ds_plan_create(&c->config, &test_layout, 1000, ds_world_size(world), &r->plan) != DS_OK) {
        fprintf(stderr, "plan: %s\n", ds_last_error());
        ds_session_abort(EXIT_FAILURE);
    }
    ds_sync_spec spec = {world, r->plan, &test_layout, &c->config, ds_kernels_find("auto")};
    if (ds_sync_create(&spec, &r->sync) != DS_OK) {
        fprintf(stderr, "sync: %s\n", ds_last_error());
        ds_session_abort(EXIT_FAILURE);
    }
    float *flat = malloc(test_layout.n_floats * sizeof *flat);
    start_values(flat);
    expect(ds_sync_load(r->sync, flat) == DS_OK, "load", "rig");
    free(flat);
    r->loss = calloc((size_t)r->plan->shards, sizeof *r->loss);
    r->bad = calloc((size_t)r->plan->shards, sizeof *r->bad);
}

static inline void rig_close(rig *r)
{
    ds_sync_destroy(&r->sync);
    ds_plan_destroy(&r->plan);
    free(r->loss);
    free(r->bad);
}

/* This rank's part of step t: sums of its nodes, losses of its shards. An empty node holds `junk`
 * that nobody may add. */
static inline void rig_compute(rig *r, int t, int64_t samples, float junk)
{
    const ds_plan *plan = r->plan;
    int rank = ds_world_rank(r->world);
    for (size_t j = plan->node_begin[rank]; j < plan->node_begin[rank + 1]; j++) {
        float *out = ds_sync_partial(r->sync, j - plan->node_begin[rank]);
        if (!tree_sum(t, plan->node[j].lo, plan->node[j].hi, samples, plan->shards, out))
            for (size_t i = 0; i < test_layout.n_floats; i++)
                out[i] = junk;
    }
    memset(r->bad, 0, (size_t)plan->shards * sizeof *r->bad);
    memset(r->loss, 0, (size_t)plan->shards * sizeof *r->loss);
    for (int k = ds_plan_shard_begin(plan, rank); k < ds_plan_shard_begin(plan, rank + 1); k++)
        r->loss[k] = 0.1 * (k + 1) + t;
}

/* What the backward pass reports, the last tensor first; in odd steps in another order. */
static inline void rig_ready(rig *r, const test_case *c, int t)
{
    for (size_t i = 0; i + r->silent < N_PARAMS; i++) {
        size_t p = t % 2 == 0 ? N_PARAMS - 1 - i : (i * 5 + 3) % N_PARAMS; /* 5, 7: coprime */
        if (test_param[p].trainable)
            ds_sync_ready(r->sync, (size_t)c->samples, p);
        ds_sync_poll(r->sync);
    }
}

typedef bool (*rig_veto)(void *context, double loss, double grad_norm);

static inline ds_outcome rig_any_step(rig *r, const test_case *c, int t, bool want_norm,
                                      rig_veto veto)
{
    ds_outcome out = {0};
    ds_step step = {.t = t,
                    .samples = (size_t)c->samples,
                    .lr = c->config.lr,
                    .loss = r->loss,
                    .bad = r->bad,
                    .word = ds_world_rank(r->world) == 0 ? 40 + t : -1,
                    .want_norm = want_norm,
                    .veto = veto};
    rig_ready(r, c, t);
    if (ds_sync_step(r->sync, &step, &out) != DS_OK) {
        fprintf(stderr, "step: %s\n", ds_last_error());
        ds_session_abort(EXIT_FAILURE);
    }
    return out;
}

static inline ds_outcome rig_step(rig *r, const test_case *c, int t, bool want_norm)
{
    return rig_any_step(r, c, t, want_norm, NULL);
}

static inline bool same_floats(const float *a, const float *b)
{
    return memcmp(a, b, test_layout.n_floats * sizeof *a) == 0;
}

#endif
