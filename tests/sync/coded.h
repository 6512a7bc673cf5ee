/* The serial reference of the exchange in few bits: nodes, their residuals, masters, scales, whole
 * tensors coded at once; and a sync's state out and in. */
#ifndef DS_TEST_CODED_H
#define DS_TEST_CODED_H

#include "rig.h"

enum { MAX_NODES = 16 };

static bool falling; /* gradients that get smaller, for the scale to rise */
static float coded_scratch[18912];

/* The rule of the scale, as exchange.h's users see it: a power of two; 1 at first, after the first
 * peak the largest that keeps it within 2^13; the same at once when it leaves 2^15; doubled after
 * 100 steps in a row below 2^12. */
typedef struct scale_rule {
    double scale;
    int clean;
} scale_rule;

static inline void scale_learn(scale_rule *self, double peak)
{
    if (peak == 0)
        return;
    if (self->clean < 0 || peak * self->scale > 32768) {
        self->scale = exp2(floor(log2(8192 / peak)));
        self->clean = 0;
    } else if (peak * self->scale >= 4096) {
        self->clean = 0;
    } else if (++self->clean == 100) {
        self->scale *= 2;
        self->clean = 0;
    }
}

typedef struct coded {
    reference ref; /* params: the public copy */
    float *master, *residual[MAX_NODES], *node[MAX_NODES];
    scale_rule forward, back;
    const ds_plan *plan; /* for the nodes: they are the plan's own test's matter */
} coded;

static inline void coded_open(coded *self, const ds_plan *plan)
{
    size_t n = test_layout.n_floats;
    memset(self, 0, sizeof *self);
    reference_open(&self->ref);
    self->plan = plan;
    self->forward = self->back = (scale_rule){1, -1};
    self->master = malloc(n * sizeof(float));
    start_values(self->master);
    for (size_t j = 0; j < plan->n_nodes; j++) {
        self->residual[j] = calloc(n, sizeof(float));
        self->node[j] = calloc(n, sizeof(float));
    }
}

static inline void coded_close(coded *self)
{
    reference_close(&self->ref);
    free(self->master);
    for (size_t j = 0; j < MAX_NODES; j++) {
        free(self->residual[j]);
        free(self->node[j]);
    }
}

/* out = D(C(a + sign b)) of tensor p; rest = what that does not say, where not NULL. */
static inline double code_tensor(const ds_codec *codec, const ds_param *p, const float *a,
                                 const float *b, float sign, float *out, float *rest)
{
    const ds_codec plain = {.ops = &ds_codec_plain, .scale = 1};
    bool exact = p->kind == DS_PARAM_STATISTIC; /* travels as it is, and teaches no scale */
    size_t n = p->rows * p->stride;
    codec = exact ? &plain : codec;
    float *v = malloc(n * sizeof *v);
    uint8_t *bytes = malloc(ds_codec_bytes(codec, n));
    double peak = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = a[p->offset + i] + sign * b[p->offset + i];
        peak = fabs((double)v[i]) > peak ? fabs((double)v[i]) : peak;
    }
    ds_codec_encode(codec, n, v, bytes);
    ds_codec_decode(codec, n, bytes, out + p->offset);
    for (size_t i = 0; rest != NULL && i < n; i++)
        rest[p->offset + i] = v[i] - out[p->offset + i];
    free(bytes);
    free(v);
    return exact ? 0 : peak;
}

static inline double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Gradients of step t, times a power of two: one step is far larger than the others. */
static inline float gain(int t)
{
    if (falling)
        return t < 5 ? 1.0f : 0x1p-8f;
    return t == 5 ? 0x1p12f : 1.0f;
}

static inline void amplify(float *x, float by)
{
    for (size_t i = 0; i < test_layout.n_floats; i++)
        x[i] *= by;
}

/* All nodes of step t become what their codes say; empty ones NULL in `full`. */
static inline double coded_forward(coded *self, const test_case *c, int t, bool *full)
{
    ds_codec codec = c->config.sync.codec;
    double peak = 0;
    codec.scale = (float)self->forward.scale;
    for (size_t j = 0; j < self->plan->n_nodes; j++) {
        const ds_node *node = &self->plan->node[j];
        full[j] =
            tree_sum(t % STEPS, node->lo, node->hi, c->samples, self->plan->shards, self->node[j]);
        amplify(self->node[j], gain(t));
        for (size_t p = 0; p < N_PARAMS && full[j]; p++)
            if (test_param[p].trainable)
                peak = larger(peak,
                              code_tensor(&codec, &test_param[p], self->node[j], self->residual[j],
                                          1, self->node[j], self->residual[j]));
    }
    return peak;
}

/* The tree over nodes: node sums where a subtree is one, else the sum of its halves. */
static inline bool coded_sum(const coded *self, const bool *full, int lo, int hi, float *out)
{
    size_t n = test_layout.n_floats;
    for (size_t j = 0; j < self->plan->n_nodes; j++)
        if (self->plan->node[j].lo == lo && self->plan->node[j].hi == hi)
            return full[j] && memcpy(out, self->node[j], n * sizeof *out) != NULL;
    int mid = ds_tree_split(lo, hi);
    float *right = malloc(n * sizeof *right);
    bool has_left = coded_sum(self, full, lo, mid, out);
    bool has_right = coded_sum(self, full, mid, hi, has_left ? right : out);
    for (size_t i = 0; has_left && has_right && i < n; i++)
        out[i] = out[i] + right[i];
    free(right);
    return has_left || has_right;
}

static inline void coded_step(coded *self, const test_case *c, int t)
{
    const ds_config *config = &c->config;
    bool full[MAX_NODES];
    double samples = (double)c->samples, factor = 1, back = 0;
    double peak = coded_forward(self, c, t, full);
    coded_sum(self, full, 0, self->plan->shards, self->ref.grad);
    self->ref.norm = reference_norm(self->ref.grad, samples);
    if (config->clip_norm > 0 && config->clip_norm / (self->ref.norm + 1e-6) < 1)
        factor = config->clip_norm / (self->ref.norm + 1e-6);
    ds_codec codec = config->sync.codec;
    codec.scale = (float)self->back.scale;
    for (size_t p = 0; p < N_PARAMS; p++) {
        size_t at = test_param[p].offset, n = test_param[p].rows * test_param[p].stride;
        ds_update u = {.n = n, .w = self->master + at, .g = self->ref.grad + at};
        u.scale = (float)(factor / samples);
        u.lr = config->lr;
        u.t = t + 1;
        for (int s = 0; s < DS_OPTIM_MAX_SLOTS; s++)
            u.slot[s] = self->ref.slot[s] + at;
        if (!test_param[p].trainable)
            continue;
        if (test_param[p].kind == DS_PARAM_STATISTIC)
            reference_statistic(&test_param[p], samples, self->ref.grad, self->master);
        else
            config->optimizer->step(config->optimizer_options, &u);
        if (test_param[p].kind == DS_PARAM_STATISTIC) { /* the same on both sides, to the bit */
            memcpy(self->ref.params + at, self->master + at, n * sizeof(float));
            continue;
        }
        back = larger(back, code_tensor(&codec, &test_param[p], self->master, self->ref.params, -1,
                                        self->node[0], NULL));
        for (size_t i = at; i < at + n; i++)
            self->ref.params[i] += self->node[0][i];
    }
    scale_learn(&self->forward, peak);
    scale_learn(&self->back, back);
}

typedef struct saved_run {
    float *params, *slot[DS_OPTIM_MAX_SLOTS], *state[MAX_NODES + 1];
    char name[MAX_NODES + 1][64];
    ds_sync_number number[8];
    size_t n_slots, n_states, n_numbers;
    int replicas;
} saved_run;

static inline float *take_flat(const float *from)
{
    float *flat = malloc(test_layout.n_floats * sizeof *flat);
    return memcpy(flat, from, test_layout.n_floats * sizeof *flat);
}

static inline void save(saved_run *self, rig *r, const test_case *c)
{
    *self = (saved_run){.params = take_flat(ds_sync_params(r->sync)),
                        .replicas = r->plan->replicas,
                        .n_slots = c->config.optimizer->n_slots};
    for (size_t s = 0; s < self->n_slots; s++) {
        expect(ds_sync_gather_slot(r->sync, s, coded_scratch) == DS_OK, "gather", "slot");
        self->slot[s] = take_flat(coded_scratch);
    }
    for (size_t i = 0; ds_sync_state_at(r->sync, i) != NULL; i++, self->n_states++) {
        snprintf(self->name[i], sizeof self->name[i], "%s", ds_sync_state_at(r->sync, i));
        expect(ds_sync_gather_state(r->sync, i, coded_scratch) == DS_OK, "gather", self->name[i]);
        self->state[i] = take_flat(coded_scratch);
    }
    while (ds_sync_number_at(r->sync, self->n_numbers, &self->number[self->n_numbers]))
        self->n_numbers++;
}

static inline void load(const saved_run *self, rig *r)
{
    expect(ds_sync_load(r->sync, self->params) == DS_OK, "load", "parameters");
    for (size_t s = 0; s < self->n_slots; s++)
        expect(ds_sync_load_slot(r->sync, s, self->slot[s]) == DS_OK, "load", "slot");
    for (size_t i = 0; i < self->n_numbers; i++)
        ds_sync_load_number(r->sync, &self->number[i]);
    for (size_t i = 0; i < self->n_states; i++) {
        bool used = false;
        ds_sync_saved saved = {self->name[i], self->replicas};
        expect(ds_sync_load_state(r->sync, &saved, self->state[i], &used) == DS_OK && used, "load",
               self->name[i]);
    }
}

static inline void drop(saved_run *self)
{
    free(self->params);
    for (size_t s = 0; s < self->n_slots; s++)
        free(self->slot[s]);
    for (size_t i = 0; i < self->n_states; i++)
        free(self->state[i]);
}

#endif
