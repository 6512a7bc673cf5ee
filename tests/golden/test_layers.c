/* Layers against PyTorch's outputs and gradients in double (make_layers.py): through the layer's
 * own functions, with ref and with the table that `auto` picks, gradients in panels of several
 * heights. */
#include "../model/model_rig.h"
#include "golden.h"

enum { SAMPLES = 3, ROOM = 4096 };

static const struct {
    const char *name, *input, *layer;
} cases[] = {
    {"conv", "2, 5, 6", "conv: {channels: 3, kernel: 3}"},
    {"conv_stride", "3, 7, 6", "conv: {channels: 4, kernel: [3, 2], stride: 2, padding: 1}"},
    {"conv_uneven", "2, 6, 5",
     "conv: {channels: 2, kernel: [2, 3], stride: [1, 2], padding: [2, 0], bias: false}"},
    {"conv_groups", "4, 5, 5", "conv: {channels: 6, kernel: 3, padding: 1, groups: 2}"},
    {"conv_depthwise", "4, 6, 6", "conv: {channels: 4, kernel: 5, padding: same, groups: 4}"},
    {"conv_point", "5, 3, 4", "conv: {channels: 3, kernel: 1}"},
    {"conv_zeros", "9, 7, 6", "conv: {channels: 5, kernel: 5, padding: 2}"},
    {"conv_zeros_three", "19, 4, 7", "conv: {channels: 18, kernel: 3, padding: [0, 1]}"},
    {"max_pool", "2, 6, 7", "max_pool: {kernel: 2}"},
    {"max_pool_over", "2, 7, 6", "max_pool: {kernel: 3, stride: 2, padding: 1}"},
    {"max_pool_pairs", "3, 7, 6", "max_pool: {kernel: 2}"},
    {"max_pool_pairs_wide", "2, 4, 22", "max_pool: {kernel: 2}"},
    {"avg_pool", "2, 6, 7", "avg_pool: {kernel: 2}"},
    {"avg_pool_over", "3, 5, 6", "avg_pool: {kernel: [3, 2], stride: [2, 1], padding: [1, 0]}"},
    {"global_pool", "4, 3, 5", "global_pool"},
    {"layernorm", "11", "layernorm"},
    {"layernorm_rows", "4, 7", "layernorm: {eps: 1e-3}"},
    {"positionwise", "5, 6", "dense: {units: 4, positionwise: true}"},
    {"positionwise_joined", "4, 8", "dense: {units: 12, positionwise: true, bias: false}"},
    {"attention", "5, 6", "attention"},
    {"attention_heads", "70, 12", "attention: {heads: 2}"},
    {"attention_open", "9, 18", "attention: {heads: 3, causal: false}"},
    {"embedding", "7", "embedding: {vocab: 9, width: 3}"},
    {"lstm", "6, 5", "lstm: {units: 7}"},
    {"lstm_last", "4, 3", "lstm: {units: 17, last: true, bias: false}"},
    {"lstm_once", "1, 4", "lstm: {units: 3}"},
    {"gru", "6, 5", "gru: {units: 7}"},
    {"gru_last", "4, 3", "gru: {units: 17, last: true, bias: false}"},
    {"gru_once", "1, 4", "gru: {units: 3}"},
    {"batchnorm", "6", "batchnorm"},
    {"batchnorm_planes", "3, 5, 4", "batchnorm: {eps: 1e-3}"},
    {"batchnorm_plain", "19", "batchnorm: {affine: false}"},
};
static const char *const tables[] = {"ref", "auto", "openblas"}; /* the last has no product */
enum { N_CASES = sizeof cases / sizeof *cases };

static size_t numbers(const char *name, const char *what, double *out)
{
    char key[96];
    snprintf(key, sizeof key, "%s/%s", name, what);
    size_t n = golden_read(GOLDEN "/layers.txt", key, ROOM, out);
    ck_assert_msg(n > 0 && n < ROOM, "layers.txt has no %s", key);
    return n;
}

static size_t floats(const char *name, const char *what, float *out)
{
    double value[ROOM];
    size_t n = numbers(name, what, value);
    for (size_t i = 0; i < n; i++)
        out[i] = (float)value[i];
    return n;
}

/* The gradient of parameter p in panels of `step` inside rows, in its outside form. */
static void gradient(const ds_layer *layer, const ds_kernels *k, size_t p, size_t step,
                     const ds_rows *rows, float *out)
{
    const ds_param *param = layer->param[p];
    float *flat = calloc(param->offset + ds_param_floats(param), sizeof *flat);
    for (size_t from = 0, to; from < param->rows; from = to) {
        to = from + step < param->rows ? from + step : param->rows;
        RIG_OK(layer->ops->gradient(layer, k, p, from, to, rows,
                                    flat + param->offset + from * param->stride, false));
    }
    ds_param_export(param, flat, out);
    free(flat);
}

static double params_off(const char *name, const ds_layer *layer, const ds_kernels *k,
                         const ds_rows *rows)
{
    double worst = 0, expected[ROOM];
    float found[ROOM];
    for (size_t p = 0; p < layer->n_params; p++)
        for (size_t step = 1; step <= 64; step *= 4) {
            char what[64];
            snprintf(what, sizeof what, "d%s", strchr(layer->param[p]->name, '/') + 1);
            size_t n = numbers(name, what, expected);
            gradient(layer, k, p, step, rows, found);
            worst = fmax(worst, golden_distance(n, found, expected));
        }
    return worst;
}

START_TEST(as_pytorch)
{
    const char *name = cases[_i / 3].name, *table = tables[_i % 3];
    const ds_kernels *k = ds_kernels_find(table);
    char model[256];
    model_rig rig;
    snprintf(model, sizeof model, "model: {input: [%s], layers: [%s%s%s]}", cases[_i / 3].input,
             strchr(cases[_i / 3].layer, ':') != NULL ? "{" : "", cases[_i / 3].layer,
             strchr(cases[_i / 3].layer, ':') != NULL ? "}" : "");
    rig_make(&rig, model, "mse", SAMPLES, 1, k);
    const ds_layer *layer = ds_model_layer(rig.model, 0);
    float x[ROOM], y[ROOM] = {0}, dy[ROOM], dx[ROOM] = {0}, value[ROOM];
    double expected[ROOM];
    float *kept = calloc(SAMPLES * layer->kept + 1, sizeof *kept);
    float *scratch = calloc(layer->scratch + 1, sizeof *scratch);
    float *shared = calloc(layer->shared + 1, sizeof *shared);
    for (size_t p = 0; p < layer->n_params; p++) {
        floats(name, strchr(layer->param[p]->name, '/') + 1, value);
        ds_param_import(layer->param[p], value, rig.params);
    }
    size_t n_x = floats(name, "x", x), n_y = floats(name, "dy", dy);
    ds_rows rows = {.n = SAMPLES,
                    .x = x,
                    .y = y,
                    .dy = dy,
                    .dx = dx,
                    .kept = kept,
                    .shared = shared,
                    .scratch = scratch,
                    .x_stride = n_x / SAMPLES,
                    .y_stride = n_y / SAMPLES,
                    .kept_stride = layer->kept,
                    .training = true};
    ck_assert_uint_eq(ds_shape_elements(&layer->out) * SAMPLES, n_y);
    RIG_OK(layer->ops->forward(layer, k, rig.params, &rows));
    numbers(name, "y", expected);
    double off_y = golden_distance(n_y, y, expected);
    if (layer->ops->shares != NULL && layer->ops->shares(layer, k, SAMPLES))
        layer->ops->share(layer, k, rig.params, shared);
    if (layer->ops->before != NULL)
        RIG_OK(layer->ops->before(layer, k, rig.params, &rows));
    double off_w = params_off(name, layer, k, &rows);
    RIG_OK(layer->ops->backward(layer, k, rig.params, &rows));
    if (!layer->ops->reads_ids)
        numbers(name, "dx", expected);
    double off_dx = layer->ops->reads_ids ? 0 : golden_distance(n_x, dx, expected);
    printf("# %s, %s: y off by %.1e, dx by %.1e, parameters' gradients by %.1e\n", name, table,
           off_y, off_dx, off_w);
    ck_assert_double_lt(off_y, 2e-6);
    ck_assert_double_lt(off_dx, 2e-6);
    ck_assert_double_lt(off_w, 2e-6);
    free(kept);
    free(scratch);
    free(shared);
    rig_free(&rig);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("layers by PyTorch");
    TCase *t = tcase_create("as PyTorch");
    tcase_add_loop_test(t, as_pytorch, 0, 3 * N_CASES);
    suite_add_tcase(s, t);
    return rig_run(s);
}
