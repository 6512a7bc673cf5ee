/* Is exactness free? A step's exchange and update, exact over both transports against the plain
 * allreduce strategy and against a bare MPI_Allreduce of the same size and one whole update;
 * 784-1024-1024-10, momentum, rounds interleaved, ratios of the best rounds (medians swing with the
 * neighbours' load). */
#include "descent/clock.h"
#include "descent/wire.h"

#include "rig.h"

enum { ROUNDS = 9, REPEATS = 12, KINDS = 4 };

static const ds_param mlp_param[] = {
    {"w1", {2, {1024, 784}}, true, true, 0, 784, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"b1", {1, {1024}}, false, true, 815360, 1, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"w2", {2, {1024, 1024}}, true, true, 816400, 1024, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"b2", {1, {1024}}, false, true, 1881360, 1, 1024, 1040, DS_PARAM_LEARNED, 0},
    {"w3", {2, {10, 1024}}, true, true, 1882400, 1024, 10, 16, DS_PARAM_LEARNED, 0},
    {"b3", {1, {10}}, false, true, 1898784, 1, 10, 16, DS_PARAM_LEARNED, 0},
};
static const ds_layout mlp_layout = {6, mlp_param, 1898800};

typedef struct speed_case {
    test_case c;
    rig r;
    double best;
} speed_case;

static void speed_open(speed_case *self, ds_world *world, const char *strategy,
                       const char *transport)
{
    case_open(&self->c, ds_optim_find("momentum"), 8, 0);
    self->c.config.sync = (ds_sync_config){.strategy = strategy,
                                           .compress = "none",
                                           .transport = transport,
                                           .overlap = "auto",
                                           .bucket = 4 << 20};
    self->r.world = world;
    self->best = 1e9;
    ds_sync_spec spec = {world, NULL, &mlp_layout, &self->c.config, ds_kernels_find("auto")};
    if (ds_plan_create(&self->c.config, &mlp_layout, 1000, ds_world_size(world), &self->r.plan) !=
        DS_OK)
        ds_session_abort(EXIT_FAILURE);
    spec.plan = self->r.plan;
    if (ds_sync_create(&spec, &self->r.sync) != DS_OK)
        ds_session_abort(EXIT_FAILURE);
    self->r.loss = calloc(8, sizeof *self->r.loss);
    self->r.bad = calloc(8, sizeof *self->r.bad);
}

static void speed_fill(speed_case *self)
{
    int rank = ds_world_rank(self->r.world);
    size_t n = self->r.plan->node_begin[rank + 1] - self->r.plan->node_begin[rank];
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < mlp_layout.n_floats; i++)
            ds_sync_partial(self->r.sync, j)[i] = 1e-3f * (float)(i % 977);
}

/* The yardstick: what any program would do. */
static void speed_plain(ds_world *world, float *block, const ds_optim_ops *o, const void *options)
{
    size_t n = mlp_layout.n_floats;
    if (ds_world_sum_float(world, block, n) != DS_OK)
        ds_session_abort(EXIT_FAILURE);
    ds_update u = {.n = n, .w = block + n, .g = block, .slot = {block + 2 * n}};
    u.scale = 1.0f / 64;
    u.lr = 0.01;
    u.t = 2;
    o->step(options, &u);
}

int main(int argc, char **argv)
{
    ds_world *world = NULL;
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    static const char *const name[KINDS] = {"bare", "allreduce", "shared", "direct"};
    speed_case kind[KINDS] = {0};
    double bare = 1e9;
    speed_open(&kind[1], world, "allreduce", "auto");
    speed_open(&kind[2], world, "exact", "shared");
    speed_open(&kind[3], world, "exact", "direct");
    float *block = aligned_alloc(1 << 21, ((mlp_layout.n_floats * 12) / (1 << 21) + 1) << 21);
    for (int round = 0; round < ROUNDS; round++)
        for (int k = 0; k < KINDS; k++) {
            if (k > 0)
                speed_fill(&kind[k]);
            for (size_t i = 0; i < 3 * mlp_layout.n_floats && k == 0; i++)
                block[i] = 1e-3f * (float)(i % 977);
            for (int i = 0; i < REPEATS; i++) {
                expect(ds_world_barrier(world) == DS_OK, "barrier", "");
                int64_t start = ds_clock_ns();
                if (k == 0)
                    speed_plain(world, block, kind[1].c.config.optimizer,
                                kind[1].c.config.optimizer_options);
                else
                    expect(rig_step(&kind[k].r, &kind[k].c, i, false).finite, "finite", name[k]);
                expect(ds_world_barrier(world) == DS_OK, "barrier", "");
                double ms = (double)(ds_clock_ns() - start) * 1e-6;
                double *best = k == 0 ? &bare : &kind[k].best;
                *best = ms < *best ? ms : *best;
            }
        }
    double shared = kind[2].best / kind[1].best, direct = kind[3].best / kind[1].best;
    double plain = kind[1].best / bare;
    if (ds_world_rank(world) == 0)
        printf("%d ranks: bare %.2f ms, allreduce %.2f (%.2f x bare), exact shared %.2f (%.2f x "
               "allreduce), direct %.2f (%.2f x)\n",
               ds_world_size(world), bare, kind[1].best, plain, kind[2].best, shared, kind[3].best,
               direct);
    for (int k = 1; k < KINDS; k++) {
        rig_close(&kind[k].r);
        ds_arena_destroy(&kind[k].c.arena);
    }
    free(block);
    ds_world_destroy(&world);
    ds_session_end();
    return failures != 0 || shared > 1.1 || plain > 2;
}
