/* The exact sum against a serial reference, bit for bit: parameters, optimizer slots, norms; every
 * optimizer, 1..9 shards, small and large buckets, both transports, with and without overlap, short
 * batches with empty shards, clipping. Run it by mpiexec on any number of ranks up to 9. */
#include "rig.h"

static ds_world *world;
static int cases;
static float *scratch;

static const char *describe(const test_case *c, int V, const char *what)
{
    static char text[256];
    snprintf(text, sizeof text,
             "%s: rank %d of %d, V %d, %s, %s, overlap %s, bucket %lld, clip %g, %lld samples",
             what, ds_world_rank(world), ds_world_size(world), V, c->config.optimizer->name,
             c->config.sync.transport, c->config.sync.overlap, (long long)c->config.sync.bucket,
             c->config.clip_norm, (long long)c->samples);
    return text;
}

static void compare(const rig *r, const reference *ref, const test_case *c)
{
    int V = r->plan->shards;
    expect(same_floats(ds_sync_params(r->sync), ref->params), describe(c, V, "parameters"), "");
    for (size_t s = 0; s < c->config.optimizer->n_slots; s++) {
        expect(ds_sync_gather_slot(r->sync, s, scratch) == DS_OK, "gather", "");
        expect(same_floats(scratch, ref->slot[s]), describe(c, V, "slot"), "");
    }
}

static void run_case(const test_case *c, int V)
{
    rig r;
    reference ref;
    rig_open(&r, world, c);
    reference_open(&ref);
    for (int t = 0; t < STEPS; t++) {
        bool want = t % 2 == 1;
        double loss = 0;
        for (int k = 0; k < V; k++)
            loss += 0.1 * (k + 1) + t;
        rig_compute(&r, t, c->samples, 7.0f);
        ds_outcome out = rig_step(&r, c, t, want);
        reference_step(&ref, c, V, t);
        expect(out.finite && out.bad_shard == -1 && out.word == 40 + t, "outcome", "");
        expect(out.loss == loss / (double)c->samples, describe(c, V, "loss"), "");
        if (want || c->config.clip_norm > 0)
            expect(out.grad_norm == ref.norm, describe(c, V, "norm"), "");
    }
    compare(&r, &ref, c);
    reference_close(&ref);
    rig_close(&r);
    cases++;
}

static void every_case(const ds_optim_ops *optimizer, int V)
{
    static const char *const transport[] = {"auto", "direct", "direct"};
    static const char *const overlap[] = {"auto", "false", "true"};
    static const int64_t bucket[] = {16 << 10, 25 << 20};
    for (int i = 0; i < 12; i++) {
        test_case c;
        case_open(&c, optimizer, V, i & 1 ? 0.05 : 0);
        c.config.sync.bucket = bucket[i >> 1 & 1];
        c.config.sync.transport = transport[i >> 2];
        c.config.sync.overlap = overlap[i >> 2];
        c.samples = (V + i) % 3 == 0 ? 5 : (V + i) % 3 == 1 ? 64 : 33; /* 5: empty shards */
        run_case(&c, V);
        ds_arena_destroy(&c.arena);
    }
}

/* An update that must see a whole tensor: a step of fixed length. */
static void whole_step(const void *options, const ds_update *u)
{
    (void)options;
    double squares = 0;
    for (size_t i = 0; i < u->n; i++)
        squares += (double)u->g[i] * (double)u->g[i];
    float rate = (float)(u->lr / sqrt(squares));
    for (size_t i = 0; i < u->n; i++) {
        u->slot[0][i] += u->g[i] * u->scale;
        u->w[i] -= rate * u->g[i];
    }
}

static const ds_option no_options[] = {{0}};
static const ds_optim_ops whole = {.name = "whole tensors",
                                   .options = no_options,
                                   .reach = DS_REACH_TENSOR,
                                   .n_slots = 1,
                                   .slot_name = {"sum"},
                                   .step = whole_step};

/* A bad shard on any rank: all know it, nothing moves, and the next good step is as ever. A sum
 * that overflows likewise, with clipping. */
static void test_bad(const char *transport, const char *overlap)
{
    test_case c;
    case_open(&c, ds_optim_find("sgd"), 9, 1e30);
    c.config.sync.transport = transport;
    c.config.sync.overlap = overlap;
    rig r;
    reference ref;
    rig_open(&r, world, &c);
    float *before = malloc(test_layout.n_floats * sizeof *before);
    memcpy(before, ds_sync_params(r.sync), test_layout.n_floats * sizeof *before);
    int first = ds_plan_shard_begin(r.plan, ds_world_rank(world));
    int end = ds_plan_shard_begin(r.plan, ds_world_rank(world) + 1);
    for (int bad = 0; bad < 9; bad++) {
        rig_compute(&r, bad % STEPS, c.samples, 0);
        r.silent = bad % (ds_world_rank(world) + 2) == 0 ? (size_t)bad % (N_PARAMS + 1) : 0;
        for (int k = bad; k < 9; k += 2)
            if (first <= k && k < end && k % 2 == 0)
                r.bad[k] = true;
            else if (first <= k && k < end)
                r.loss[k] = (double)NAN;
        ds_outcome out = rig_step(&r, &c, bad, false);
        expect(!out.finite && out.bad_shard == bad, "bad shard", transport);
        expect(same_floats(before, ds_sync_params(r.sync)), "nothing moves", transport);
    }
    r.silent = 0;
    reference_open(&ref);
    for (int t = 0; t < 2; t++) {
        rig_compute(&r, t, c.samples, 0);
        expect(rig_step(&r, &c, t, false).finite, "a good step after bad ones", transport);
        reference_step(&ref, &c, 9, t);
    }
    compare(&r, &ref, &c);
    reference_close(&ref);
    memcpy(before, ds_sync_params(r.sync), test_layout.n_floats * sizeof *before);
    rig_compute(&r, 0, c.samples, 0);
    for (size_t j = 0; j < r.plan->node_begin[ds_world_rank(world) + 1] -
                               r.plan->node_begin[ds_world_rank(world)];
         j++)
        ds_sync_partial(r.sync, j)[12000] = ds_world_size(world) > 1 ? 3e38f : INFINITY;
    ds_outcome out = rig_step(&r, &c, 0, false);
    expect(!out.finite && out.bad_shard == -1, "overflowing sum", transport);
    expect(same_floats(before, ds_sync_params(r.sync)), "nothing moves after overflow", transport);
    free(before);
    rig_close(&r);
    ds_arena_destroy(&c.arena);
}

/* Parameters and slots out after 3 steps and into a fresh sync with other buckets. */
static void test_resume(const ds_optim_ops *optimizer, const char *transport)
{
    test_case c;
    rig r;
    reference ref;
    case_open(&c, optimizer, 9, 0);
    c.config.sync.transport = transport;
    rig_open(&r, world, &c);
    reference_open(&ref);
    for (int t = 0; t < STEPS; t++)
        reference_step(&ref, &c, 9, t);
    for (int t = 0; t < 3; t++) {
        rig_compute(&r, t, c.samples, 0);
        rig_step(&r, &c, t, false);
    }
    size_t n = test_layout.n_floats;
    float *saved = malloc(n * (1 + DS_OPTIM_MAX_SLOTS) * sizeof *saved);
    memcpy(saved, ds_sync_params(r.sync), n * sizeof *saved);
    for (size_t s = 0; s < optimizer->n_slots; s++)
        expect(ds_sync_gather_slot(r.sync, s, saved + (s + 1) * n) == DS_OK, "gather", transport);
    rig_close(&r);
    c.config.sync.bucket = 25 << 20;
    rig_open(&r, world, &c);
    expect(ds_sync_load(r.sync, saved) == DS_OK, "load", transport);
    for (size_t s = 0; s < optimizer->n_slots; s++)
        expect(ds_sync_load_slot(r.sync, s, saved + (s + 1) * n) == DS_OK, "load", transport);
    for (int t = 3; t < STEPS; t++) {
        rig_compute(&r, t, c.samples, 0);
        rig_step(&r, &c, t, false);
    }
    compare(&r, &ref, &c);
    free(saved);
    reference_close(&ref);
    rig_close(&r);
    ds_arena_destroy(&c.arena);
}

/* The yardstick is close to the reference, by norm. */
static void test_allreduce(const ds_optim_ops *optimizer)
{
    test_case c;
    rig r;
    reference ref;
    case_open(&c, optimizer, 9, 0.05);
    c.config.sync.strategy = "allreduce";
    rig_open(&r, world, &c);
    reference_open(&ref);
    double error = 0, size = 0;
    for (int t = 0; t < STEPS; t++) {
        rig_compute(&r, t, c.samples, 0);
        rig_step(&r, &c, t, false);
        reference_step(&ref, &c, 9, t);
    }
    for (size_t i = 0; i < test_layout.n_floats; i++) {
        double x = (double)ref.params[i], d = (double)ds_sync_params(r.sync)[i] - x;
        error += d * d;
        size += x * x;
    }
    error = sqrt(error / size);
    if (ds_world_rank(world) == 0)
        printf("allreduce, %s: relative difference %.2g\n", optimizer->name, error);
    expect(error < 1e-6, "allreduce", optimizer->name);
    reference_close(&ref);
    rig_close(&r);
    ds_arena_destroy(&c.arena);
}

int main(int argc, char **argv)
{
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    pool_open();
    scratch = malloc(test_layout.n_floats * sizeof *scratch);
    size_t members = 0;
    for (const ds_optim_ops *o = ds_optim_at(0); o != NULL; o = ds_optim_at(++members)) {
        if (o->reach == DS_REACH_MODEL) /* the engine asks, the optimizer sees no slice */
            continue;
        for (int V = ds_world_size(world); V <= MAX_V; V++)
            every_case(o, V);
        test_resume(o, "auto");
        test_resume(o, "direct");
        test_allreduce(o);
    }
    for (int V = ds_world_size(world); V <= MAX_V; V++)
        every_case(&whole, V);
    test_bad("auto", "auto");
    test_bad("direct", "false");
    test_bad("direct", "true");
    int64_t all = failures;
    if (ds_world_sum_int(world, &all, 1) != DS_OK || members == 0)
        all++;
    if (ds_world_rank(world) == 0)
        printf("%d ranks: %zu optimizers, %d cases, %lld failures\n", ds_world_size(world), members,
               cases, (long long)all);
    free(scratch);
    free(pool);
    ds_world_destroy(&world);
    ds_session_end();
    return all != 0;
}
