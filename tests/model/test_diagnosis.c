/* A shard that is not finite: the first place that shows it and the samples that are to blame. */
#include "model_rig.h"

static const char *const NET =
    "model: {input: [19], layers: [{dense: {units: 33, activation: relu}}, {dense: {units: 300, "
    "activation: tanh, bias: false}}, gelu, {dense: {units: 10}}]}";

START_TEST(trouble_is_seen_and_placed)
{
    model_rig rig;
    ds_diagnosis found;
    rig_make(&rig, NET, "cross_entropy", 8, 1, ds_kernels_find("ref"));
    const ds_layout *layout = ds_model_layout(rig.model);
    float *grad = calloc(layout->n_floats, sizeof *grad);
    size_t stride = 0;
    float *x = ds_workspace_input(rig.workspace, &stride);
    ds_shard shard = rig_shard(&rig, 0, 8);
    ds_partial partial = {0, 1, grad};
    ds_pass pass = {.lo = 0, .hi = 1, .shard = &shard, .n_partials = 1, .partial = &partial};
    float keep = x[3 * stride + 2];
    x[3 * stride + 2] = strtof("nan", NULL);
    RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
    ck_assert(!pass.finite);
    RIG_OK(ds_model_diagnose(rig.workspace, rig.params, 0, &shard, &found));
    ck_assert_str_eq(found.text, "input: nan; samples 3 of the shard");
    ck_assert(found.n_samples == 1 && found.sample[0] == 3);
    x[3 * stride + 2] = 3e38f;
    rig.params[layout->param[0].offset + 2 * layout->param[0].stride] = 1e10f;
    RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
    ck_assert(!pass.finite);
    RIG_OK(ds_model_diagnose(rig.workspace, rig.params, 0, &shard, &found));
    ck_assert_str_eq(found.text, "layer dense1 forward: inf; samples 3 of the shard");
    x[3 * stride + 2] = keep;
    rig.params[layout->param[1].offset] = strtof("inf", NULL);
    RIG_OK(ds_model_diagnose(rig.workspace, rig.params, 0, &shard, &found));
    ck_assert_str_eq(found.text, "parameter dense1/bias before the step: inf");
    ck_assert_uint_eq(found.n_samples, 0);
    free(grad);
    rig_free(&rig);
}
END_TEST

/* Layers that end in ten classes, eight samples of six numbers as one shard. */
static void mixed_make(model_rig *rig, const char *layers)
{
    char model[512];
    snprintf(model, sizeof model, "model: {input: [6], layers: [%s, {dense: {units: 10}}]}",
             layers);
    rig_make(rig, model, "cross_entropy", 8, 1, ds_kernels_find("ref"));
}

/* Element (row, column) of a matrix or (row) of a vector, in the outside's shape. */
static float *mixed_param(const model_rig *rig, const char *name, size_t row, size_t column)
{
    const ds_layout *layout = ds_model_layout(rig->model);
    for (size_t i = 0; i < layout->n_params; i++) {
        const ds_param *p = &layout->param[i];
        size_t at = p->transposed ? column * p->stride + row : row * p->stride + column;
        if (strcmp(p->name, name) == 0)
            return rig->params + p->offset + at;
    }
    ck_abort_msg("no parameter %s", name);
}

/* One pass finds a bad value, the replay says where. */
static void mixed_says(model_rig *rig, const char *text, size_t n_samples)
{
    const size_t floats = ds_model_layout(rig->model)->n_floats;
    float *grad = calloc(floats, sizeof *grad);
    ds_shard shard = rig_shard(rig, 0, 8);
    ds_partial partial = {0, 1, grad};
    ds_pass pass = {.lo = 0, .hi = 1, .shard = &shard, .n_partials = 1, .partial = &partial};
    ds_diagnosis found;
    RIG_OK(ds_model_gradient(rig->workspace, rig->params, &pass));
    ck_assert(!pass.finite);
    RIG_OK(ds_model_diagnose(rig->workspace, rig->params, 0, &shard, &found));
    printf("# %s\n", found.text);
    ck_assert_str_eq(found.text, text);
    ck_assert_uint_eq(found.n_samples, n_samples);
    free(grad);
    rig_free(rig);
}

/* One sample of 3e38 makes the shard's variance infinite; it is not the first, whose memory holds
 * the statistics. */
START_TEST(statistics_are_of_the_shard)
{
    model_rig rig;
    size_t stride = 0;
    mixed_make(&rig, "batchnorm");
    ds_workspace_input(rig.workspace, &stride)[3 * stride] = 3e38f;
    mixed_says(&rig,
               "layer batchnorm1 backward, gradient of batchnorm1/running_var: inf; the 8 samples "
               "of the shard together",
               8);
}
END_TEST

/* 3.3e38 - mean overflows, times 1 / inf. */
START_TEST(forward_mixes)
{
    model_rig rig;
    size_t stride = 0;
    mixed_make(&rig, "batchnorm");
    float *x = ds_workspace_input(rig.workspace, &stride);
    x[3 * stride] = 3.3e38f;
    x[5 * stride] = x[6 * stride] = -3.3e38f;
    mixed_says(&rig, "layer batchnorm1 forward: nan; the 8 samples of the shard together", 8);
}
END_TEST

/* A channel that is constant, so that dx is dy less its mean over sqrt(eps): 316 times 1e37. */
START_TEST(backward_mixes)
{
    model_rig rig;
    mixed_make(&rig, "{dense: {units: 4}}, batchnorm");
    for (size_t i = 0; i < 24; i++)
        *mixed_param(&rig, "dense1/weight", i / 6, i % 6) = 0;
    for (size_t k = 0; k < 10; k++)
        *mixed_param(&rig, "dense2/weight", k, 0) = 1e37f * (float)(k % 2);
    mixed_says(&rig, "layer dense1 backward: inf; the 8 samples of the shard together", 8);
}
END_TEST

/* A frozen layer takes its running values: a sample is to blame by itself. */
START_TEST(a_frozen_layer_mixes_nothing)
{
    model_rig rig;
    size_t stride = 0;
    mixed_make(&rig, "{batchnorm: {trainable: false}}");
    ds_workspace_input(rig.workspace, &stride)[3 * stride] = 3e38f;
    *mixed_param(&rig, "batchnorm1/weight", 0, 0) = 100;
    mixed_says(&rig, "layer batchnorm1 forward: inf; samples 3 of the shard", 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("diagnosis");
    TCase *t = tcase_create("diagnosis");
    tcase_add_test(t, trouble_is_seen_and_placed);
    tcase_add_test(t, statistics_are_of_the_shard);
    tcase_add_test(t, forward_mixes);
    tcase_add_test(t, backward_mixes);
    tcase_add_test(t, a_frozen_layer_mixes_nothing);
    suite_add_tcase(s, t);
    return rig_run(s);
}
