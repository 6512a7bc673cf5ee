/* The network of make_golden.py inside one process: model, loss and optimizer, without MPI, data
 * files and checkpoints. 24 rows in 1, 3 or 8 shards: weights as PyTorch's after 20 steps, to 1e-5.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/model.h"
#include "descent/optim.h"

#include "../optim/with_options.h"
#include "golden.h"

enum { ROWS = 24, INPUTS = 5, CLASSES = 3, STEPS = 20, ROOM = 256, MOST_SHARDS = 8 };

static ds_arena *arena;
static ds_model *model;
static ds_workspace *workspace;
static float *params, *grad, *slot[DS_OPTIM_MAX_SLOTS];
static int32_t label[ROWS];
static double room[ROOM], options[16];
static double loss_options[16];

static void need(ds_status status)
{
    ck_assert_msg(status == DS_OK, "%s", ds_last_error());
}

static void add_scalar(ds_value *map, const char *key, const char *text)
{
    ds_value *child = NULL;
    need(ds_value_scalar(arena, key, text, &child));
    need(ds_value_add(arena, map, child));
}

static ds_value *add_group(ds_value *to, ds_value_kind kind, const char *key)
{
    ds_value *child = NULL;
    need(ds_value_group(arena, kind, key, &child));
    if (to)
        need(ds_value_add(arena, to, child));
    return child;
}

static ds_value *config_of_model(void)
{
    static const char *const units[] = {"8", "6", "3"}, *const activation[] = {"relu", "tanh", 0};
    ds_value *config = add_group(NULL, DS_VALUE_MAP, "model");
    add_scalar(add_group(config, DS_VALUE_LIST, "input"), NULL, "5");
    ds_value *layers = add_group(config, DS_VALUE_LIST, "layers");
    for (size_t i = 0; i < 3; i++) {
        ds_value *layer = add_group(layers, DS_VALUE_MAP, NULL);
        ds_value *dense = add_group(layer, DS_VALUE_MAP, "dense");
        add_scalar(dense, "units", units[i]);
        if (activation[i])
            add_scalar(dense, "activation", activation[i]);
    }
    return config;
}

static void create(void)
{
    need(ds_arena_create("test", &arena));
    need(with_options(ds_loss_find("cross_entropy")->options, "", arena, loss_options));
    need(ds_model_create(config_of_model(), CLASSES, &model));
    const ds_workspace_spec spec = {.model = model,
                                    .kernels = ds_kernels_find("auto"),
                                    .loss = ds_loss_find("cross_entropy"),
                                    .loss_options = loss_options,
                                    .rows = ROWS,
                                    .shards = MOST_SHARDS,
                                    .training = true};
    need(ds_workspace_create(&spec, &workspace));
    const size_t n = ds_model_layout(model)->n_floats;
    need(ds_arena_take(arena, n, sizeof *params, "parameters", &params));
    need(ds_arena_take(arena, n, sizeof *grad, "gradient", &grad));
    for (size_t k = 0; k < DS_OPTIM_MAX_SLOTS; k++)
        need(ds_arena_take(arena, n, sizeof *slot[k], "slot", &slot[k]));
}

static void destroy(void)
{
    ds_workspace_destroy(&workspace);
    ds_model_destroy(&model);
    ds_arena_destroy(&arena);
}

static void load_data(void)
{
    size_t stride;
    float *x = ds_workspace_input(workspace, &stride);
    ck_assert_uint_eq(golden_read(GOLDEN "/mlp20.txt", "x", ROOM, room), ROWS * INPUTS);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        x[i / INPUTS * stride + i % INPUTS] = (float)room[i];
    ck_assert_uint_eq(golden_read(GOLDEN "/mlp20.txt", "label", ROOM, room), ROWS);
    for (size_t i = 0; i < ROWS; i++)
        label[i] = (int32_t)room[i];
}

static void load_start(void)
{
    const ds_layout *layout = ds_model_layout(model);
    ck_assert_uint_eq(layout->n_params, 6);
    for (size_t i = 0; i < layout->n_params; i++) {
        float outside[ROOM];
        char key[128];
        snprintf(key, sizeof key, "start/%s", layout->param[i].name);
        const size_t n = golden_read(GOLDEN "/mlp20.txt", key, ROOM, room);
        ck_assert_msg(n == ds_shape_elements(&layout->param[i].shape), "%s: %zu numbers", key, n);
        for (size_t j = 0; j < n; j++)
            outside[j] = (float)room[j];
        ds_param_import(&layout->param[i], outside, params);
    }
}

/* One full-batch gradient into grad; returns the mean loss. */
static double gradient(int64_t step, int n_shards)
{
    ds_shard shard[MOST_SHARDS] = {{0}};
    for (int k = 0; k < n_shards; k++) {
        const long first = ds_shard_begin(k, ROWS, n_shards);
        shard[k].first_row = shard[k].position = (size_t)first;
        shard[k].rows = (size_t)(ds_shard_begin(k + 1, ROWS, n_shards) - first);
        shard[k].targets.label = label + first;
    }
    const ds_partial partial = {.lo = 0, .hi = n_shards, .grad = grad};
    ds_pass pass = {
        .step = step, .hi = n_shards, .shard = shard, .n_partials = 1, .partial = &partial};
    need(ds_model_gradient(workspace, params, &pass));
    ck_assert(pass.finite);
    double loss = 0;
    for (int k = 0; k < n_shards; k++)
        loss += shard[k].loss;
    return loss / ROWS;
}

/* The cases of NETWORKS in make_golden.py. */
static const struct {
    const char *optimizer, *options;
    double lr;
} golden[] = {
    {"sgd", "weight_decay=0.01", 0.2},       {"momentum", "weight_decay=0.01", 0.05},
    {"nesterov", "weight_decay=0.01", 0.05}, {"adam", "weight_decay=0.01", 0.01},
    {"adamw", "weight_decay=0.1", 0.01},
};

static void judge(const char *run, int n_shards)
{
    const ds_layout *layout = ds_model_layout(model);
    double most = 0;
    for (size_t i = 0; i < layout->n_params; i++) {
        float outside[ROOM];
        char key[128];
        snprintf(key, sizeof key, "%s/%s", run, layout->param[i].name);
        const size_t n = golden_read(GOLDEN "/mlp20.txt", key, ROOM, room);
        ck_assert_uint_eq(n, ds_shape_elements(&layout->param[i].shape));
        ds_param_export(&layout->param[i], params, outside);
        const double off = golden_distance(n, outside, room);
        ck_assert_msg(off <= 1e-5, "%s: off by %g", key, off);
        most = off > most ? off : most;
    }
    printf("# %s, %d shards: off by %.2g from PyTorch (at most 1e-5)\n", run, n_shards, most);
}

START_TEST(as_pytorch)
{
    const int n_shards = (const int[]){1, 3, MOST_SHARDS}[_i % 3];
    const size_t c = (size_t)_i / 3;
    const ds_optim_ops *o = ds_optim_find(golden[c].optimizer);
    double losses[ROOM];
    load_data();
    load_start();
    need(with_options(o->options, golden[c].options, arena, options));
    char key[128];
    snprintf(key, sizeof key, "%s/loss", o->name);
    ck_assert_uint_eq(golden_read(GOLDEN "/mlp20.txt", key, ROOM, losses), STEPS);
    ds_update u = {.n = ds_model_layout(model)->n_floats,
                   .w = params,
                   .g = grad,
                   .scale = 1.0f / ROWS,
                   .lr = golden[c].lr};
    memcpy(u.slot, slot, sizeof slot);
    for (u.t = 1; u.t <= STEPS; u.t++) {
        const double loss = gradient(u.t - 1, n_shards), want = losses[u.t - 1];
        ck_assert_msg(fabs(loss - want) <= 1e-5 * want, "%s step %d: loss %.9g, PyTorch %.9g",
                      o->name, (int)u.t, loss, want);
        o->step(options, &u);
    }
    judge(o->name, n_shards);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("network");
    TCase *t = tcase_create("a small network");
    tcase_add_checked_fixture(t, create, destroy);
    tcase_add_loop_test(t, as_pytorch, 0, 3 * (int)(sizeof golden / sizeof *golden));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
