/* Residual blocks: outputs against the sum written out in double, in a training and in an inference
 * workspace (which keeps few blocks), gradients against differences, inside each other, with and
 * without shortcuts, behind layers that work in place. */
#include <math.h>

#include "model_rig.h"

enum { ROWS = 9, WIDTH = 6, OUT = 4 };

static const char *const models[] = {
    /* relu(x + f(x)) around a block with a shortcut of its own */
    "model: {input: [6], layers: [relu, {residual: {layers: [{dense: {units: 6, activation: "
    "tanh}}, "
    "{residual: {layers: [{dense: {units: 6}}], shortcut: [{dense: {units: 6}}], activation: "
    "sigmoid}}], activation: relu}}, {dense: {units: 4}}]}",
    /* blocks that start and end with layers in place, one right behind another */
    "model: {input: [6], layers: [{dense: {units: 6}}, {residual: {layers: [relu, {dense: {units: "
    "6, activation: relu}}]}}, {residual: {layers: [tanh], shortcut: [sigmoid]}}, {dense: {units: "
    "4}}]}",
};

static void dense(const model_rig *rig, size_t p, size_t in, size_t out, const double *x, double *y)
{
    const ds_layout *layout = ds_model_layout(rig->model);
    float w[WIDTH * WIDTH], b[WIDTH];
    ds_param_export(&layout->param[p], rig->params, w);
    ds_param_export(&layout->param[p + 1], rig->params, b);
    for (size_t o = 0; o < out; o++) {
        y[o] = (double)b[o];
        for (size_t i = 0; i < in; i++)
            y[o] += (double)w[o * in + i] * x[i];
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static void first(const model_rig *rig, const float *x, double *y)
{
    double a[WIDTH], b[WIDTH], c[WIDTH], d[WIDTH];
    for (int i = 0; i < WIDTH; i++)
        a[i] = relu((double)x[i]);
    dense(rig, 0, WIDTH, WIDTH, a, b);
    for (int i = 0; i < WIDTH; i++)
        b[i] = tanh(b[i]);
    dense(rig, 2, WIDTH, WIDTH, b, c);
    dense(rig, 4, WIDTH, WIDTH, b, d);
    for (int i = 0; i < WIDTH; i++)
        a[i] = relu(a[i] + sigmoid(c[i] + d[i]));
    dense(rig, 6, WIDTH, OUT, a, y);
}

static void second(const model_rig *rig, const float *x, double *y)
{
    double in[WIDTH], a[WIDTH], b[WIDTH], c[WIDTH];
    for (int i = 0; i < WIDTH; i++)
        in[i] = (double)x[i];
    dense(rig, 0, WIDTH, WIDTH, in, a);
    for (int i = 0; i < WIDTH; i++)
        b[i] = relu(a[i]);
    dense(rig, 2, WIDTH, WIDTH, b, c);
    for (int i = 0; i < WIDTH; i++)
        a[i] += relu(c[i]);
    for (int i = 0; i < WIDTH; i++)
        a[i] = tanh(a[i]) + sigmoid(a[i]);
    dense(rig, 4, WIDTH, OUT, a, y);
}

static void (*const written_out[])(const model_rig *, const float *, double *) = {first, second};
enum { N_MODELS = sizeof models / sizeof *models };

static double outputs_off(const model_rig *rig, ds_workspace *workspace,
                          void (*form)(const model_rig *, const float *, double *))
{
    size_t from = 0, sx = 0, sy = 0;
    const float *source = ds_workspace_input(rig->workspace, &from);
    float *x = ds_workspace_input(workspace, &sx);
    for (size_t r = 0; r < ROWS; r++)
        memmove(x + r * sx, source + r * from, WIDTH * sizeof *x);
    RIG_OK(ds_model_forward(workspace, rig->params, ROWS, NULL, NULL));
    const float *y = ds_workspace_output(workspace, &sy);
    double worst = 0, expected[OUT];
    for (size_t r = 0; r < ROWS; r++) {
        form(rig, x + r * sx, expected);
        for (size_t j = 0; j < OUT; j++)
            worst = fmax(worst, fabs(expected[j] - (double)y[r * sy + j]));
    }
    return worst;
}

START_TEST(sums_are_right)
{
    model_rig rig;
    rig_make(&rig, models[_i], "mse", ROWS, 1, ds_kernels_find("ref"));
    ds_workspace *inference = NULL;
    ds_workspace_spec spec = {
        .model = rig.model, .kernels = ds_kernels_find("ref"), .rows = ROWS, .shards = 1};
    RIG_OK(ds_workspace_create(&spec, &inference));
    double infer = outputs_off(&rig, inference, written_out[_i]);
    double train = outputs_off(&rig, rig.workspace, written_out[_i]);
    printf("# model %d: outputs off by %.1e training, %.1e inferring\n", _i, train, infer);
    ck_assert_double_lt(train, 1e-6);
    ck_assert_double_lt(infer, 1e-6);
    ds_workspace_destroy(&inference);
    rig_free(&rig);
}
END_TEST

START_TEST(gradients_are_right)
{
    model_rig rig;
    double error[16], difference[16], doubt[16], worst = 0;
    rig_make(&rig, models[_i], "mse", ROWS, 1, ds_kernels_find("ref"));
    ds_gradcheck out = {ds_model_layout(rig.model)->n_params + 1, error, difference, doubt};
    ds_shard shard = rig_shard(&rig, 0, ROWS);
    RIG_OK(ds_model_gradcheck(rig.workspace, rig.params, &shard, 16, 5, &out));
    for (size_t i = 0; i < out.n; i++) {
        worst = fmax(worst, error[i]);
        ck_assert_int_eq(ds_gradcheck_judge(&out, i, 1e-3), DS_GRADCHECK_AGREES);
    }
    printf("# model %d: %zu parameters, worst error %.1e\n", _i, out.n - 1, worst);
    ck_assert_double_lt(worst, 1e-4);
    rig_free(&rig);
}
END_TEST

START_TEST(unequal_ways_are_told)
{
    ds_config *config = rig_config(
        "model: {input: [6], layers: [{residual: {layers: [{dense: {units: 5}}]}}]}", "mse");
    ds_model *model = NULL;
    ck_assert_int_eq(ds_model_create(config->model, 0, &model), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "[5]"));
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "shortcut"));
    ds_config_destroy(&config);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("residual");
    TCase *t = tcase_create("residual");
    tcase_add_loop_test(t, sums_are_right, 0, N_MODELS);
    tcase_add_loop_test(t, gradients_are_right, 0, N_MODELS);
    tcase_add_test(t, unequal_ways_are_told);
    suite_add_tcase(s, t);
    return rig_run(s);
}
