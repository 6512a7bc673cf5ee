/* Every layer in the table: values and backward against closed forms in double where the test knows
 * one, and for all, present and future, the gradient check of a model that holds the layer between
 * two dense ones (so its parameters and its dx are both checked). */
#include <math.h>

#include "../model/layer_entry.h"
#include "../model/model_rig.h"

enum { WIDTH = 24, ROWS = 12 };

static int n_layers(void)
{
    int n = 0;
    while (ds_layer_at((size_t)n) != NULL)
        n++;
    return n;
}

/* ---- every layer ---------------------------------------------------------------------------- */

START_TEST(gradients_are_right)
{
    const ds_layer_ops *ops = ds_layer_at((size_t)_i);
    char entry[256], model[512];
    model_rig rig;
    double error[16], difference[16], doubt[16];
    layer_entry(ops, sizeof entry, entry);
    const char *shape = layer_input(ops);
    if (ops->reads_ids)
        snprintf(model, sizeof model, "model: {input: [6], layers: [%s, {dense: {units: 3}}]}",
                 entry);
    else
        snprintf(model, sizeof model,
                 "model: {input: [10], layers: [{dense: {units: 24}}, {reshape: {shape: [%s]}}, "
                 "%s, {dense: {units: 3}}]}",
                 shape, entry);
    rig_make(&rig, model, "mse", 16, 1, ds_kernels_find("ref"));
    ds_gradcheck out = {ds_model_layout(rig.model)->n_params + 1, error, difference, doubt};
    ds_shard shard = rig_shard(&rig, 0, 16);
    RIG_OK(ds_model_gradcheck(rig.workspace, rig.params, &shard, 16, 5, &out));
    printf("# %s:", ops->name);
    for (size_t i = 0; i < out.n; i++)
        printf(" %.1e+-%.0e", difference[i], doubt[i]);
    printf("\n");
    for (size_t i = 0; i < out.n; i++)
        ck_assert_int_ne(ds_gradcheck_judge(&out, i, 1e-3), DS_GRADCHECK_DIFFERS);
    ck_assert_int_eq(ds_gradcheck_judge(&out, out.n - 1, 1e-3), DS_GRADCHECK_AGREES);
    rig_free(&rig);
}
END_TEST

START_TEST(declares_itself)
{
    const ds_layer_ops *ops = ds_layer_at((size_t)_i);
    ck_assert_ptr_eq(ds_layer_find(ops->name), ops);
    ck_assert(ops->help != NULL && ops->help[0] != '\0');
    ck_assert(ops->prepare != NULL);
    if (!ops->view) {
        ck_assert(ops->forward != NULL);
        ck_assert(ops->backward != NULL || ops->in_place);
    }
    for (const ds_option *o = ops->options; o != NULL && o->name != NULL; o++)
        ck_assert(o->help != NULL && o->help[0] != '\0');
}
END_TEST

/* ---- closed forms --------------------------------------------------------------------------- */

static double form_relu(double x)
{
    return x > 0 ? x : 0;
}
static double slope_relu(double x)
{
    return x > 0;
}
static double form_leaky(double x)
{
    return x > 0 ? x : 0.01 * x;
}
static double slope_leaky(double x)
{
    return x > 0 ? 1 : 0.01;
}
static double form_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double slope_sigmoid(double x)
{
    return form_sigmoid(x) * form_sigmoid(-x);
}
static double form_tanh(double x)
{
    return tanh(x);
}
static double slope_tanh(double x)
{
    return 1 - tanh(x) * tanh(x);
}
static double form_gelu(double x)
{
    return x * 0.5 * erfc(-x / sqrt(2));
}
static double slope_gelu(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * 3.14159265358979323846);
}
static double form_same(double x)
{
    return x;
}
static double slope_same(double x)
{
    (void)x;
    return 1;
}

static const struct {
    const char *name;
    double (*form)(double), (*slope)(double);
} closed[] = {{"relu", form_relu, slope_relu},          {"leaky_relu", form_leaky, slope_leaky},
              {"sigmoid", form_sigmoid, slope_sigmoid}, {"tanh", form_tanh, slope_tanh},
              {"gelu", form_gelu, slope_gelu},          {"flatten", form_same, slope_same}};

/* dense1 is the identity plus a bias of zero, so that the layer's dx shows as dense1's bias
 * gradient of a single row. mse: dy = 2 (y - t) / width. */
START_TEST(element_wise_closed_forms)
{
    char model[256];
    model_rig rig;
    snprintf(model, sizeof model, "model: {input: [%d], layers: [{dense: {units: %d}}, %s]}", WIDTH,
             WIDTH, closed[_i].name);
    rig_make(&rig, model, "mse", ROWS, 1, ds_kernels_find("ref"));
    const ds_layout *layout = ds_model_layout(rig.model);
    float eye[WIDTH * WIDTH] = {0}, *grad = calloc(layout->n_floats, sizeof *grad);
    for (int i = 0; i < WIDTH; i++)
        eye[i * WIDTH + i] = 1;
    ds_param_import(&layout->param[0], eye, rig.params);
    size_t sx = 0, sy = 0;
    double worst_y = 0, worst_dx = 0;
    const float *x = ds_workspace_input(rig.workspace, &sx),
                *y = ds_workspace_output(rig.workspace, &sy);
    for (size_t r = 0; r < ROWS; r++) {
        ds_shard shard = rig_shard(&rig, r, 1);
        ds_partial partial = {0, 1, grad};
        ds_pass pass = {.lo = 0, .hi = 1, .shard = &shard, .n_partials = 1, .partial = &partial};
        RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
        for (size_t j = 0; j < WIDTH; j++) {
            double in = (double)x[r * sx + j], out = closed[_i].form(in);
            double dy = 2 * (out - (double)rig.value[r * WIDTH + j]) / WIDTH;
            worst_y = fmax(worst_y, fabs((double)y[r * sy + j] - out));
            worst_dx = fmax(worst_dx, fabs((double)grad[layout->param[1].offset + j] -
                                           dy * closed[_i].slope(in)));
        }
    }
    printf("# %s: y off by %.1e, dx by %.1e\n", closed[_i].name, worst_y, worst_dx);
    ck_assert_double_lt(worst_y, 1e-6);
    ck_assert_double_lt(worst_dx, 1e-6);
    free(grad);
    rig_free(&rig);
}
END_TEST

/* softmax over the last dimension of [2, 4], with its Jacobian written out. */
START_TEST(softmax_closed_form)
{
    enum { G = 2, W = 4, E = G * W };
    model_rig rig;
    rig_make(&rig, "model: {input: [2, 4], layers: [softmax]}", "mse", ROWS, 1,
             ds_kernels_find("ref"));
    size_t sx = 0, sy = 0;
    const float *x = ds_workspace_input(rig.workspace, &sx);
    RIG_OK(ds_model_forward(rig.workspace, rig.params, ROWS, NULL, NULL));
    const float *y = ds_workspace_output(rig.workspace, &sy);
    double worst = 0, worst_dx = 0;
    float dy[E], dx[16] = {0};
    for (size_t r = 0; r < ROWS; r++) {
        for (int j = 0; j < E; j++)
            dy[j] = sinf((float)j + (float)r);
        ds_rows rows = {.n = 1,
                        .x = x + r * sx,
                        .y = rig.params,
                        .dy = dy,
                        .dx = dx,
                        .x_stride = 16,
                        .y_stride = 16};
        float kept[16];
        memcpy(kept, y + r * sy, E * sizeof *kept);
        rows.y = kept;
        const ds_layer *layer = ds_model_layer(rig.model, 0);
        RIG_OK(layer->ops->backward(layer, ds_kernels_find("ref"), rig.params, &rows));
        for (int i = 0; i < E; i++) {
            int g = i / W * W;
            double total = 0, expected = 0, s[E];
            for (int j = g; j < g + W; j++)
                total += exp((double)x[r * sx + (size_t)j]);
            for (int j = g; j < g + W; j++)
                s[j] = exp((double)x[r * sx + (size_t)j]) / total;
            for (int j = g; j < g + W; j++)
                expected += s[i] * ((i == j) - s[j]) * (double)dy[j];
            worst = fmax(worst, fabs((double)y[r * sy + (size_t)i] - s[i]));
            worst_dx = fmax(worst_dx, fabs((double)dx[i] - expected));
        }
    }
    printf("# softmax: y off by %.1e, dx by %.1e\n", worst, worst_dx);
    ck_assert_double_lt(worst, 1e-6);
    ck_assert_double_lt(worst_dx, 1e-6);
    rig_free(&rig);
}
END_TEST

/* y = x W^T + b with W (out, in) as PyTorch keeps it; dW = dy^T x, db = sum of dy. */
START_TEST(dense_closed_form)
{
    enum { IN = 12, OUT = 7 };
    model_rig rig;
    rig_make(&rig, "model: {input: [3, 4], layers: [{dense: {units: 7, init: he_uniform}}]}", "mse",
             ROWS, 1, ds_kernels_find("ref"));
    const ds_layout *layout = ds_model_layout(rig.model);
    float w[OUT * IN], g[OUT * IN], b[OUT], *grad = calloc(layout->n_floats, sizeof *grad);
    for (int o = 0; o < OUT; o++)
        b[o] = (float)o / 8;
    ds_param_import(&layout->param[1], b, rig.params);
    ds_param_export(&layout->param[0], rig.params, w);
    ds_shard shard = rig_shard(&rig, 0, ROWS);
    ds_partial partial = {0, 1, grad};
    ds_pass pass = {.lo = 0, .hi = 1, .shard = &shard, .n_partials = 1, .partial = &partial};
    RIG_OK(ds_model_gradient(rig.workspace, rig.params, &pass));
    ds_param_export(&layout->param[0], grad, g);
    size_t sx = 0, sy = 0;
    const float *x = ds_workspace_input(rig.workspace, &sx),
                *y = ds_workspace_output(rig.workspace, &sy);
    double dw[OUT * IN] = {0}, db[OUT] = {0}, worst = 0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t o = 0; o < OUT; o++) {
            double out = (double)b[o];
            for (size_t i = 0; i < IN; i++)
                out += (double)w[o * IN + i] * (double)x[r * sx + i];
            double dy = 2 * (out - (double)rig.value[r * OUT + o]) / OUT;
            worst = fmax(worst, fabs(out - (double)y[r * sy + o]));
            for (size_t i = 0; i < IN; i++)
                dw[o * IN + i] += dy * (double)x[r * sx + i];
            db[o] += dy;
        }
    for (int i = 0; i < OUT * IN; i++)
        worst = fmax(worst, fabs(dw[i] - (double)g[i]));
    for (int o = 0; o < OUT; o++)
        worst = fmax(worst, fabs(db[o] - (double)grad[layout->param[1].offset + (size_t)o]));
    printf("# dense: off by %.1e\n", worst);
    ck_assert_double_lt(worst, 1e-5);
    free(grad);
    rig_free(&rig);
}
END_TEST

int main(void)
{
    int n = n_layers(), m = sizeof closed / sizeof *closed;
    printf("# %d layers, %d element-wise closed forms\n", n, m);
    Suite *s = suite_create("layers");
    TCase *t = tcase_create("every layer");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, gradients_are_right, 0, n);
    tcase_add_loop_test(t, declares_itself, 0, n);
    tcase_add_loop_test(t, element_wise_closed_forms, 0, m);
    tcase_add_test(t, softmax_closed_form);
    tcase_add_test(t, dense_closed_form);
    suite_add_tcase(s, t);
    int bad = rig_run(s);
    return n > 0 ? bad : EXIT_FAILURE;
}
