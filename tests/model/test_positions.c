/* A model with positions, its output weights tied to the embedding's: its loss is the mean over
 * them, its gradient the differences', and the same shards give the same bits whoever sums them. */
#include <math.h>

#include "model_rig.h"

enum { ROWS = 8, LENGTH = 6, CLASSES = RIG_TOKENS };

static const char *const model =
    "model: {input: [6], layers: [{embedding: {vocab: 5, width: 8, init: xavier_uniform}}, "
    "{positions: {init: xavier_uniform}}, {residual: {layers: [layernorm, {dense: {units: 24, "
    "positionwise: true}}, "
    "{attention: {heads: 2}}, {dense: {units: 8, positionwise: true}}, {dropout: {p: 0.25}}]}}, "
    "{residual: {layers: [layernorm, {dense: {units: 16, positionwise: true, activation: gelu}}, "
    "{dense: {units: 8, positionwise: true}}]}}, {dense: {units: 5, positionwise: true, "
    "tied: embedding1}}]}";

static void make(model_rig *rig, int32_t *label)
{
    rig_make(rig, model, "cross_entropy", ROWS, 4, ds_kernels_find("ref"));
    ck_assert_uint_eq(ds_model_positions(rig->model, DS_TARGET_CLASS), LENGTH);
    ck_assert_uint_eq(ds_model_classes(rig->model, DS_TARGET_CLASS), CLASSES);
    for (int i = 0; i < ROWS * LENGTH; i++)
        label[i] = (i * i + 3 * i) % CLASSES;
}

START_TEST(loss_is_the_mean_over_positions)
{
    model_rig rig;
    int32_t label[ROWS * LENGTH];
    make(&rig, label);
    ds_targets targets = {.label = label};
    double found = 0, expected = 0;
    size_t stride = 0;
    RIG_OK(ds_model_forward(rig.workspace, rig.params, ROWS, &targets, &found));
    const float *z = ds_workspace_output(rig.workspace, &stride);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t t = 0; t < LENGTH; t++) {
            const float *row = z + r * stride + t * CLASSES;
            double total = 0;
            for (size_t c = 0; c < CLASSES; c++)
                total += exp((double)row[c]);
            expected += (log(total) - (double)row[label[r * LENGTH + t]]) / LENGTH;
        }
    printf("# loss %.9g, written out %.9g\n", found, expected);
    ck_assert_double_lt(fabs(found - expected), 1e-6 * expected);
    rig_free(&rig);
}
END_TEST

START_TEST(gradient_is_right)
{
    model_rig rig;
    int32_t label[ROWS * LENGTH];
    double error[32], difference[32], doubt[32], worst = 0;
    make(&rig, label);
    ds_gradcheck out = {ds_model_layout(rig.model)->n_params + 1, error, difference, doubt};
    ds_shard shard = {.rows = ROWS, .targets = {.label = label}};
    RIG_OK(ds_model_gradcheck(rig.workspace, rig.params, &shard, 16, 5, &out));
    for (size_t i = 0; i < out.n; i++) {
        worst = fmax(worst, error[i]);
        ck_assert_int_eq(ds_gradcheck_judge(&out, i, 1e-3), DS_GRADCHECK_AGREES);
    }
    printf("# %zu parameters, worst error %.1e\n", out.n - 1, worst);
    ck_assert_double_lt(worst, 1e-3);
    rig_free(&rig);
}
END_TEST

/* Gradients of shards [lo, hi) of 4 summed into one block by this pass. */
static void pass(const model_rig *rig, const int32_t *label, int lo, int hi, float *grad)
{
    ds_shard shard[4];
    ds_partial partial = {lo, hi, grad};
    for (int k = lo; k < hi; k++)
        shard[k - lo] = (ds_shard){.first_row = (size_t)k * 2,
                                   .rows = 2,
                                   .position = (size_t)k * 2,
                                   .targets = {.label = label + k * 2 * LENGTH}};
    ds_pass all = {
        .step = 3, .lo = lo, .hi = hi, .shard = shard, .n_partials = 1, .partial = &partial};
    RIG_OK(ds_model_gradient(rig->workspace, rig->params, &all));
}

START_TEST(passes_do_not_change_bits)
{
    model_rig rig;
    int32_t label[ROWS * LENGTH];
    make(&rig, label);
    size_t n = ds_model_layout(rig.model)->n_floats, differ = 0;
    float *whole = calloc(n, sizeof *whole), *left = calloc(n, sizeof *left),
          *right = calloc(n, sizeof *right);
    pass(&rig, label, 0, 4, whole);
    pass(&rig, label, 0, 2, left);
    pass(&rig, label, 2, 4, right);
    ds_kernels_find("ref")->add(n, left, right);
    for (size_t i = 0; i < n; i++)
        differ += memcmp(&whole[i], &left[i], sizeof *left) != 0 && whole[i] != left[i];
    printf("# %zu of %zu floats differ\n", differ, n);
    ck_assert_uint_eq(differ, 0);
    free(whole);
    free(left);
    free(right);
    rig_free(&rig);
}
END_TEST

/* Own products take all shards at once and need no turned weights, unless samples lie apart: 3 rows
 * of 257 are no whole sixteens. Then W^T would be packed for each sample. */
START_TEST(weights_are_turned_where_samples_lie_apart)
{
    static const char *const models[] = {
        "model: {input: [3, 257], layers: [{dense: {units: 256, positionwise: true}}]}",
        "model: {input: [3, 256], layers: [{dense: {units: 256, positionwise: true}}]}",
        "model: {input: [257], layers: [{dense: {units: 256}}]}",
    };
    const ds_kernels *k = ds_kernels_find("native");
    for (int i = 0; i < 3; i++) {
        ds_config *config = rig_config(models[i], "mse");
        ds_model *made = NULL;
        RIG_OK(ds_model_create(config->model, 0, &made));
        const ds_layer *layer = ds_model_layer(made, 0);
        ck_assert_int_eq(layer->ops->shares(layer, k, 200), i == 0);
        ds_model_destroy(&made);
        ds_config_destroy(&config);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("positions");
    TCase *t = tcase_create("positions");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, loss_is_the_mean_over_positions);
    tcase_add_test(t, gradient_is_right);
    tcase_add_test(t, passes_do_not_change_bits);
    tcase_add_test(t, weights_are_turned_where_samples_lie_apart);
    suite_add_tcase(s, t);
    return rig_run(s);
}
