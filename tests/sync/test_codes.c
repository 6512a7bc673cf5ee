/* The exchange in few bits against a serial reference, bit for bit: parameters, masters, residuals,
 * slots, norms, scales; every codec, optimizers by element and by whole tensors, R replicas on any
 * number of ranks up to R, both transports, with and without overlap, small and large buckets,
 * short batches with empty shards, clipping. The reference codes whole tensors and knows no ranks,
 * buckets or slices. Run it by mpiexec. */
#include "coded.h"

enum { MANY = 8, LONG = 120 };

static ds_world *world;
static int cases;
static size_t checked;

static const char *describe(const rig *r, const test_case *c, const char *what)
{
    static char text[256];
    snprintf(
        text, sizeof text,
        "%s: rank %d of %d, %s, V %d, R %d, %s, %s, overlap %s, bucket %lld, clip %g, %lld samples",
        what, ds_world_rank(world), ds_world_size(world), c->config.sync.compress, r->plan->shards,
        r->plan->replicas, c->config.optimizer->name, c->config.sync.transport,
        c->config.sync.overlap, (long long)c->config.sync.bucket, c->config.clip_norm,
        (long long)c->samples);
    return text;
}

/* Equal in trainable tensors. */
static bool same_trained(const float *a, const float *b)
{
    bool same = true;
    for (size_t p = 0; p < N_PARAMS; p++)
        same &= !test_param[p].trainable ||
                memcmp(a + test_param[p].offset, b + test_param[p].offset,
                       test_param[p].rows * test_param[p].stride * sizeof *a) == 0;
    return same;
}

static void compare_numbers(const rig *r, const coded *ref, const test_case *c)
{
    ds_sync_number number;
    size_t n = 0;
    for (; ds_sync_number_at(r->sync, n, &number); n++) {
        if (strcmp(number.name, "forward_scale") == 0)
            expect(number.value == ref->forward.scale, describe(r, c, "forward scale"), "");
        if (strcmp(number.name, "forward_cuts") == 0 && falling)
            expect(number.value == 0, describe(r, c, "cuts"), "");
        else if (strcmp(number.name, "forward_cuts") == 0)
            expect(number.value >= 1, describe(r, c, "cuts"), "");
        if (strcmp(number.name, "back_scale") == 0)
            expect(number.value == ref->back.scale, describe(r, c, "back scale"), "");
    }
    expect(n == (c->config.sync.codec.ops->limit > 0 ? 6 : 0), describe(r, c, "numbers"), "");
}

static void compare(const rig *r, const coded *ref, const test_case *c)
{
    expect(same_floats(ds_sync_params(r->sync), ref->ref.params), describe(r, c, "parameters"), "");
    for (size_t s = 0; s < c->config.optimizer->n_slots; s++) {
        expect(ds_sync_gather_slot(r->sync, s, coded_scratch) == DS_OK, "gather", "");
        expect(same_trained(coded_scratch, ref->ref.slot[s]), describe(r, c, "slot"), "");
    }
    size_t i = 0;
    for (; ds_sync_state_at(r->sync, i) != NULL; i++, checked++) {
        const char *name = ds_sync_state_at(r->sync, i);
        expect(ds_sync_gather_state(r->sync, i, coded_scratch) == DS_OK, "gather", name);
        expect(same_trained(coded_scratch, i == 0 ? ref->master : ref->residual[i - 1]),
               describe(r, c, name), "");
    }
    expect(i == r->plan->n_nodes + 1, describe(r, c, "blocks of state"), "");
    compare_numbers(r, ref, c);
}

static void case_code(test_case *c, const ds_codec_ops *codec, int R)
{
    void *options = NULL;
    c->config.sync.compress = codec->name;
    c->config.sync.replicas = R;
    if (ds_arena_take(c->arena, 1, codec->options_size + 1, "options", &options) != DS_OK ||
        (codec->options != NULL &&
         ds_options_parse(codec->options, NULL, "sync", c->arena, options) != DS_OK))
        exit(EXIT_FAILURE);
    c->config.sync.codec = (ds_codec){codec, options, 1};
}

static ds_outcome one_step(rig *r, const test_case *c, int t, bool want)
{
    rig_compute(r, t % STEPS, c->samples, 7.0f);
    for (size_t j = r->plan->node_begin[ds_world_rank(world)], i = 0;
         j < r->plan->node_begin[ds_world_rank(world) + 1]; j++, i++)
        amplify(ds_sync_partial(r->sync, i), gain(t));
    return rig_step(r, c, t, want);
}

static void run_case(const test_case *c, int steps)
{
    rig r;
    coded ref;
    rig_open(&r, world, c);
    coded_open(&ref, r.plan);
    for (int t = 0; t < steps; t++) {
        bool want = t % 2 == 1;
        ds_outcome out = one_step(&r, c, t, want);
        coded_step(&ref, c, t);
        expect(out.finite && out.bad_shard == -1 && out.word == 40 + t, "outcome", "");
        if (want || c->config.clip_norm > 0)
            expect(out.grad_norm == ref.ref.norm, describe(&r, c, "norm"), "");
    }
    compare(&r, &ref, c);
    coded_close(&ref);
    rig_close(&r);
    cases++;
}

static void every_case(const ds_codec_ops *codec, const ds_optim_ops *optimizer, int V, int R)
{
    static const char *const transport[] = {"auto", "direct", "direct"};
    static const char *const overlap[] = {"auto", "false", "true"};
    static const int64_t bucket[] = {16 << 10, 25 << 20};
    for (int i = 0; i < 12; i++) {
        test_case c;
        case_open(&c, optimizer, V, i & 1 ? 0.05 : 0);
        case_code(&c, codec, R);
        c.config.sync.bucket = bucket[i >> 1 & 1];
        c.config.sync.transport = transport[i >> 2];
        c.config.sync.overlap = overlap[i >> 2];
        c.samples = (V + i) % 3 == 0 ? 5 : (V + i) % 3 == 1 ? 64 : 33; /* 5: empty shards */
        run_case(&c, MANY);
        ds_arena_destroy(&c.arena);
    }
}

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

/* Out after 6 steps, the large one among them, into a fresh sync with other buckets and transport:
 * the reference's bits. */
static void test_resume(const ds_codec_ops *codec, int R)
{
    test_case c;
    rig r;
    coded ref;
    saved_run saved;
    case_open(&c, ds_optim_find("adamw"), 9, 0);
    case_code(&c, codec, R);
    rig_open(&r, world, &c);
    for (int t = 0; t < 6; t++)
        one_step(&r, &c, t, false);
    save(&saved, &r, &c);
    rig_close(&r);
    c.config.sync.bucket = 25 << 20;
    c.config.sync.transport = "direct";
    rig_open(&r, world, &c);
    coded_open(&ref, r.plan);
    load(&saved, &r);
    for (int t = 0; t < MANY; t++) {
        if (t >= 6)
            one_step(&r, &c, t, false);
        coded_step(&ref, &c, t);
    }
    compare(&r, &ref, &c);
    coded_close(&ref);
    rig_close(&r);
    drop(&saved);
    ds_arena_destroy(&c.arena);
}

/* Sum over residuals of float i. */
static double residual_sum(rig *r, size_t i, float **state)
{
    double sum = 0;
    for (size_t k = 1; ds_sync_state_at(r->sync, k) != NULL; k++)
        sum += (double)state[k][i];
    return sum;
}

/* Other replicas: the sum of all residuals stays, to float32's rounding. */
static void test_other_replicas(const ds_codec_ops *codec, int R, int other)
{
    test_case c;
    rig a, b;
    saved_run before, after;
    case_open(&c, ds_optim_find("adam"), 9, 0);
    case_code(&c, codec, R);
    rig_open(&a, world, &c);
    for (int t = 0; t < 3; t++)
        one_step(&a, &c, t, false);
    save(&before, &a, &c);
    c.config.sync.replicas = other;
    rig_open(&b, world, &c);
    load(&before, &b);
    save(&after, &b, &c);
    double worst = 0, size = 0;
    for (size_t i = 0; i < test_layout.n_floats; i++) {
        double x = residual_sum(&a, i, before.state), y = residual_sum(&b, i, after.state);
        worst = larger(worst, fabs(x - y));
        size = larger(size, fabs(x));
    }
    if (ds_world_rank(world) == 0)
        printf("%s, %d to %d replicas: sum of residuals up to %.3g, moved by %.3g\n", codec->name,
               R, other, size, worst);
    expect(size > 0 && worst <= 1e-6 * size, "sum of residuals", codec->name);
    expect(same_floats(before.params, after.params), "parameters", codec->name);
    expect(same_trained(before.state[0], after.state[0]), "master", codec->name);
    drop(&before);
    drop(&after);
    rig_close(&a);
    rig_close(&b);
    ds_arena_destroy(&c.arena);
}

/* A step that was not taken, the end of its case: all is as `before`. */
static void expect_untouched(saved_run *before, rig *r, test_case *c, const char *transport)
{
    saved_run after;
    save(&after, r, c);
    expect(same_floats(before->params, after.params), "nothing moves", transport);
    for (size_t i = 0; i < before->n_states; i++)
        expect(same_trained(before->state[i], after.state[i]), "nothing is remembered", transport);
    drop(before);
    drop(&after);
    rig_close(r);
    ds_arena_destroy(&c->arena);
}

/* A bad shard: all know it, nothing moves, nothing is remembered. */
static void test_bad(const ds_codec_ops *codec, const char *transport)
{
    test_case c;
    rig r;
    saved_run before;
    case_open(&c, ds_optim_find("sgd"), 9, 0);
    case_code(&c, codec, 9);
    c.config.sync.transport = transport;
    c.config.train.skip_nan = true;
    rig_open(&r, world, &c);
    one_step(&r, &c, 0, false);
    save(&before, &r, &c);
    rig_compute(&r, 1, c.samples, 0);
    if (ds_plan_shard_begin(r.plan, ds_world_rank(world)) <= 4 &&
        4 < ds_plan_shard_begin(r.plan, ds_world_rank(world) + 1)) {
        r.bad[4] = true;
        for (size_t j = 0; j < r.plan->n_nodes; j++)
            if (r.plan->node[j].rank == ds_world_rank(world) && r.plan->node[j].lo == 4)
                ds_sync_partial(r.sync, j - r.plan->node_begin[ds_world_rank(world)])[3] = NAN;
    }
    ds_outcome out = rig_step(&r, &c, 1, false);
    expect(!out.finite && out.bad_shard == 4, "bad shard", transport);
    expect_untouched(&before, &r, &c, transport);
}

static bool forbid(void *context, double loss, double grad_norm)
{
    (void)context, (void)loss;
    return isfinite(grad_norm);
}

/* Coded, summed, and then not taken: forbidden, or infinite where nodes meet (3e38 twice; fp16 cuts
 * that off). Nothing moves, nothing is remembered. */
static void test_taken_back(const ds_codec_ops *codec, const char *transport, bool infinite)
{
    test_case c;
    rig r;
    saved_run before;
    case_open(&c, ds_optim_find("adam"), 9, 0);
    case_code(&c, codec, 9);
    c.config.sync.transport = transport;
    c.config.train.skip_nan = infinite;
    c.config.train.spike_z = infinite ? 0 : 1;
    rig_open(&r, world, &c);
    one_step(&r, &c, 0, false);
    save(&before, &r, &c);
    rig_compute(&r, 1, c.samples, 0);
    const size_t *nodes = r.plan->node_begin + ds_world_rank(world);
    for (size_t i = 0; i < nodes[1] - nodes[0]; i++)
        ds_sync_partial(r.sync, i)[3] = infinite ? 3e38f : 1000.0f;
    ds_outcome out = rig_any_step(&r, &c, 1, false, infinite ? NULL : forbid);
    expect(infinite ? !out.finite : out.finite && out.vetoed, "not taken", transport);
    expect_untouched(&before, &r, &c, transport);
}

/* After a hundred steps with room to spare the scale doubles. */
static void test_scale(const ds_codec_ops *codec)
{
    test_case c;
    falling = true;
    case_open(&c, ds_optim_find("sgd"), 4, 0);
    case_code(&c, codec, 4);
    run_case(&c, LONG);
    falling = false;
    ds_arena_destroy(&c.arena);
}

static void test_codec(const ds_codec_ops *codec)
{
    static const int shards[] = {4, 9};
    int ranks = ds_world_size(world);
    for (size_t v = 0; v < sizeof shards / sizeof *shards; v++)
        for (int R = ranks; R <= shards[v]; R += R < 4 ? 4 - R : shards[v]) {
            every_case(codec, ds_optim_find(R % 2 == 0 ? "adam" : "momentum"), shards[v], R);
            every_case(codec, &whole, shards[v], R);
        }
    if (ranks <= 4) {
        test_scale(codec);
        test_resume(codec, 4);
        test_other_replicas(codec, 4, 9);
        test_other_replicas(codec, 9, 4);
    }
    test_bad(codec, "auto");
    test_bad(codec, "direct");
    for (int i = 0; i < (codec->limit > 0 ? 2 : 4); i++)
        test_taken_back(codec, i % 2 == 0 ? "auto" : "direct", i >= 2);
}

int main(int argc, char **argv)
{
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    pool_open();
    size_t members = 0;
    for (const ds_codec_ops *codec = ds_codec_at(0); codec != NULL; codec = ds_codec_at(++members))
        test_codec(codec);
    int64_t all = failures;
    if (ds_world_sum_int(world, &all, 1) != DS_OK || members == 0)
        all++;
    if (ds_world_rank(world) == 0)
        printf("%d ranks: %zu codecs, %d cases, %zu blocks of state, %lld failures\n",
               ds_world_size(world), members, cases, checked, (long long)all);
    free(pool);
    ds_world_destroy(&world);
    ds_session_end();
    return all != 0;
}
