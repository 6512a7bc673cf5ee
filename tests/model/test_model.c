/* From config to model: names, layout, initial values against their formulas (Glorot and Bengio
 * 2010, He et al. 2015), and what is said about wrong configs, to the column. */
#include <math.h>

#include "model_rig.h"

/* ---- wrong configs -------------------------------------------------------------------------- */

static const struct {
    const char *model, *says; /* `model` starts in line 4, column 1 */
} wrong[] = {
    {"model: {input: [4], layers: [{dense: {units: 3}}, {densse: {units: 2}}]}",
     "test.yaml:4:52: unknown layer 'densse' (closest: 'dense')"},
    {"model: {input: [4], layers: [flaten]}",
     "test.yaml:4:30: unknown layer 'flaten' (closest: 'flatten')"},
    {"model: {input: [4], layers: [{dense: {unts: 3}}]}", "test.yaml:4:39: "},
    {"model: {input: [4], layers: [{dense: {units: 0}}]}", "test.yaml:4:46: "},
    {"model: {input: [4], layers: [{dense: {units: -3}}]}", "test.yaml:4:46: "},
    {"model: {input: [4], layers: [{dense: {units: 2.5}}]}", "test.yaml:4:46: "},
    {"model: {input: [4], layers: [{dense: {units: 3, activation: rellu}}]}", "test.yaml:4:61: "},
    {"model: {input: [4], layers: [{dense: {units: 3, init: hee_normal}}]}", "test.yaml:4:55: "},
    {"model: {input: [4], layers: [{dense: {}}]}", "test.yaml:4:31: "},
    {"model: {input: [4], layers: [dense]}", "test.yaml:4:30: "},
    {"model: {input: [4], layers: [{dense: 10}]}",
     "test.yaml:4:38: options of layer dense must be a map: `dense: {option: value}`"},
    {"model: {input: [4], layers: [{dense: {units: 3}, relu: {}}]}",
     "test.yaml:4:30: a layer must be one entry `- kind: {options}`, found a map of 2"},
    {"model: {input: [4], layers: [{dense: {units: 3, name: a/b}}]}",
     "test.yaml:4:55: layer name 'a/b' must be"},
    {"model: {input: [4], layers: [{dense: {units: 3, name: a}}, {dense: {units: 3, name: a}}]}",
     "test.yaml:4:85: layer name 'a' is taken by an earlier layer"},
    {"model: {input: [4], layers: [{dense: {units: 3, name: dense2}}, {dense: {units: 3}}]}",
     "test.yaml:4:65: layer name 'dense2' is taken by an earlier layer"},
    {"model: {input: [4], layers: [{dense: {units: 3}}, {embedding: {vocab: 9, width: 2}}]}",
     "test.yaml:4:51: layer 'embedding1' reads token ids, layer 'dense1' before it gives none"},
    {"model: {input: [4], layers: [{dense: {units: 3}}, {dense: {units: 3, tied: dens1}}]}",
     "test.yaml:4:51: layer 'dense2': tied to 'dens1', but no layer before it has that name"},
    {"model: {input: [4], layers: [{dense: {units: 3}}, relu, {dense: {units: 3, tied: relu1}}]}",
     "test.yaml:4:57: layer 'dense2': tied to 'relu1', which has no weights"},
    {"model: {input: [4], layers: [{dense: {units: 3}}, {dense: {units: 3, tied: dense1}}]}",
     "test.yaml:4:51: layer 'dense2': tied to 'dense1', whose weights have shape [3, 4], expected "
     "[3, 3] or [3, 3]: 3 units of 3 inputs"},
    {"model: {input: [1, 4, 4], layers: [{conv: {channels: 2, kernel: 3, padding: sam}}]}",
     "test.yaml:4:77: layer 'conv1': padding is 'sam', expected a number or same"},
    {"model: {input: [4], layers: []}", "test.yaml:4:21: model.layers must be a list"},
    {"model: {input: [4], layers: 3}", "test.yaml:4:29: model.layers must be a list"},
    {"model: {input: [0], layers: [relu]}", "test.yaml:4:17: model.input: found '0'"},
    {"model: {input: [2, x], layers: [relu]}", "test.yaml:4:20: model.input: found 'x'"},
    {"model: {input: [], layers: [relu]}", "test.yaml:4:9: model.input must be a list"},
    {"model: {input: [2000000000, 2], layers: [relu]}", "test.yaml:4:9: model.input has more"},
    {"model: {input: [2000000000], layers: [{dense: {units: 2147483647}}]}", "test.yaml:4:"},
    {"model: {layers: [relu]}", "test.yaml:4:"},
    {"model: {input: [4], layers: [{relu: {slope: 3}}]}", "test.yaml:4:38: "},
    {"model: {input: [4], layers: [{dense: {units: 3}}], lairs: 2}", "test.yaml:4:52: "},
    {"model: {input: [4], layers: [{dense: {units: 5}}]}",
     "test.yaml:4:30: the last layer 'dense1' gives 5 outputs, the data have 3 classes"},
};

/* A text from outside may fail in the config already: both are the user's error. */
START_TEST(wrong_config_is_placed)
{
    char text[1024];
    snprintf(text, sizeof text,
             "name: test\ndata:\n  train: {format: synthetic, kind: blobs, samples: 100}\n%s\n"
             "loss: cross_entropy\noptimizer: {name: sgd, lr: 0.1}\ntrain: {epochs: 1}\n",
             wrong[_i].model);
    ds_config *config = NULL;
    ds_model *model = NULL;
    ds_status status = ds_config_create(text, "test.yaml", 0, NULL, &config);
    if (status == DS_OK)
        status = ds_model_create(config->model, 3, &model);
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(status, DS_ERR_USAGE);
    ck_assert_ptr_null(model);
    ck_assert_msg(strstr(ds_last_error(), wrong[_i].says) == ds_last_error(),
                  "'%s' does not start '%s'", ds_last_error(), wrong[_i].says);
    ds_config_destroy(&config);
}
END_TEST

/* ---- names and layout ----------------------------------------------------------------------- */

START_TEST(names_shapes_offsets)
{
    static const struct {
        const char *name;
        size_t rows, cols;
        bool trainable;
    } expected[] = {{"dense1/weight", 784, 300, true},
                    {"dense1/bias", 1, 300, true},
                    {"body/weight", 300, 256, true},
                    {"dense3/weight", 256, 10, false},
                    {"dense3/bias", 1, 10, false}};
    model_rig rig;
    rig_make(&rig,
             "model: {input: [1, 28, 28], layers: [{dense: {units: 300, activation: relu}}, "
             "{dense: {units: 256, name: body, bias: false}}, {relu: {}}, "
             "{dense: {units: 10, trainable: false}}]}",
             "cross_entropy", 4, 1, ds_kernels_find("ref"));
    const ds_layout *layout = ds_model_layout(rig.model);
    ck_assert_uint_eq(layout->n_params, 5);
    size_t next = 0;
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        ck_assert_str_eq(param->name, expected[p].name);
        ck_assert_uint_eq(param->rows, expected[p].rows);
        ck_assert_uint_eq(param->cols, expected[p].cols);
        ck_assert_uint_eq(param->stride, ds_stride_for(param->cols));
        ck_assert_uint_eq(param->trainable, expected[p].trainable);
        ck_assert_uint_eq(param->offset, next);
        ck_assert_uint_eq(param->offset % 16, 0);
        ck_assert_uint_eq(param->shape.dim[0], param->cols); /* outside: (out, in) or (out) */
        next += ds_param_floats(param);
    }
    ck_assert_uint_eq(layout->n_floats, next);
    ck_assert_uint_eq(ds_model_n_layers(rig.model), 5);
    ck_assert_str_eq(ds_model_layer(rig.model, 1)->name, "dense1+relu");
    ck_assert_str_eq(ds_model_layer(rig.model, 3)->name, "relu1");
    rig_free(&rig);
}
END_TEST

/* ---- initial values ------------------------------------------------------------------------- */

static const struct {
    const char *init;
    double deviation, most; /* by formula for 300 -> 200; most: bound of a uniform, 0: none */
} initial[] = {
    {"init: zeros", 0, 0},
    {"init: ones", 0, 0},
    {"init: normal", 0.01, 0},
    {"init: xavier_normal", 0.06324555320336759, 0},                    /* sqrt(2/500) */
    {"init: xavier_uniform", 0.06324555320336759, 0.10954451150103323}, /* sqrt(6/500) */
    {"init: he_normal", 0.08164965809277260, 0},                        /* sqrt(2/300) */
    {"init: he_uniform", 0.08164965809277260, 0.14142135623730950},     /* sqrt(6/300) */
    {"activation: relu", 0.08164965809277260, 0},                       /* he_normal */
    {"activation: gelu", 0.08164965809277260, 0},
    {"activation: tanh", 0.06324555320336759, 0.10954451150103323}, /* xavier_uniform */
    {"activation: none", 0.06324555320336759, 0.10954451150103323},
};

START_TEST(initial_values_follow_their_law)
{
    enum { N = 300 * 200 };
    char model[256];
    model_rig rig;
    snprintf(model, sizeof model, "model: {input: [300], layers: [{dense: {units: 200, %s}}]}",
             initial[_i].init);
    rig_make(&rig, model, "mse", 2, 1, ds_kernels_find("ref"));
    const ds_layout *layout = ds_model_layout(rig.model);
    float *w = malloc(N * sizeof *w);
    ds_param_export(&layout->param[0], rig.params, w);
    double sum = 0, squares = 0, most = 0, constant = _i == 1 ? 1 : 0, s = initial[_i].deviation;
    for (int i = 0; i < N; i++) {
        sum += (double)w[i] - constant;
        squares += ((double)w[i] - constant) * ((double)w[i] - constant);
        most = fmax(most, fabs((double)w[i]));
    }
    double mean = sum / N, deviation = sqrt(squares / N);
    printf("# %s: mean %.2e, deviation %.6f of %.6f, most %.6f\n", initial[_i].init, mean,
           deviation, s, most);
    ck_assert_double_le(fabs(mean), 5 * s / sqrt(N));
    ck_assert_double_le(fabs(deviation - s), 5 * s / sqrt(2 * N));
    if (initial[_i].most > 0) {
        ck_assert_double_le(most, initial[_i].most);
        ck_assert_double_gt(most, 0.999 * initial[_i].most);
    } else if (s > 0) {
        ck_assert_double_gt(most, 3.5 * s); /* P(none of 60000 beyond) < 1e-12 */
    }
    for (size_t j = 0; j < 200; j++)
        ck_assert(rig.params[layout->param[1].offset + j] == 0.0f);
    free(w);
    rig_free(&rig);
}
END_TEST

/* Values depend on seed, name and shape: not on where the tensor lies or what else there is. */
START_TEST(initial_values_know_only_their_name)
{
    model_rig a, b;
    rig_make(&a, "model: {input: [6], layers: [{dense: {units: 6, name: x}}]}", "mse", 2, 1,
             ds_kernels_find("ref"));
    rig_make(&b,
             "model: {input: [40], layers: [{dense: {units: 6, name: y}}, {dense: {units: 6, name: "
             "x}}, {dense: {units: 6, name: z}}]}",
             "mse", 2, 1, ds_kernels_find("ref"));
    float p[36], q[36], r[36];
    ds_param_export(&ds_model_layout(a.model)->param[0], a.params, p);
    ds_param_export(&ds_model_layout(b.model)->param[2], b.params, q);
    ds_param_export(&ds_model_layout(b.model)->param[4], b.params, r);
    ck_assert_mem_eq(p, q, sizeof p);
    ck_assert_mem_ne(p, r, sizeof p);
    ds_model_init(a.model, 2, a.params);
    ds_param_export(&ds_model_layout(a.model)->param[0], a.params, q);
    ck_assert_mem_ne(p, q, sizeof p);
    rig_free(&a);
    rig_free(&b);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------- */

START_TEST(workspace_bytes_tell_the_truth)
{
    model_rig rig;
    rig_make(&rig,
             "model: {input: [784], layers: [{dense: {units: 1024, activation: relu}}, {dense: "
             "{units: 1024, activation: relu}}, {dense: {units: 10}}]}",
             "cross_entropy", 128, 4, ds_kernels_find("ref"));
    size_t training = ds_workspace_bytes(rig.model, 128, 4, true);
    size_t forward = ds_workspace_bytes(rig.model, 128, 4, false);
    /* input 784, relu in place 1040 twice, output 16; gradients 2 x 1040; 3 panels of 128 x 1040 */
    size_t expected = 4 * (128 * (784 + 2 * 1040 + 16 + 2 * 1040) + 3 * 128 * 1040 +
                           1024 * 1040 /* the second layer's weights, turned */);
    printf("# training %zu, expected %zu; forward only %zu\n", training, expected, forward);
    ck_assert_uint_eq(training, expected);
    ck_assert_uint_eq(forward, 4 * 128 * (784 + 2 * 1040));
    ck_assert_uint_eq(ds_workspace_bytes(rig.model, SIZE_MAX / 64, 4, true), SIZE_MAX);
    rig_free(&rig);
}
END_TEST

/* A forward without training gives the bits of one with. */
START_TEST(forward_only_agrees)
{
    model_rig rig;
    rig_make(&rig,
             "model: {input: [20], layers: [sigmoid, {dense: {units: 30, activation: gelu}}, tanh, "
             "flatten, relu, softmax, {dense: {units: 5}}, leaky_relu]}",
             "mse", 8, 2, ds_kernels_find("ref"));
    ds_workspace *other = NULL;
    ds_workspace_spec spec = {.model = rig.model,
                              .kernels = ds_kernels_find("ref"),
                              .loss = rig.config->loss,
                              .loss_options = rig.config->loss_options,
                              .rows = 8,
                              .shards = 1};
    RIG_OK(ds_workspace_create(&spec, &other));
    size_t sx = 0, sy = 0;
    float *x = ds_workspace_input(rig.workspace, &sx), *copy = ds_workspace_input(other, &sx);
    memcpy(copy, x, 8 * sx * sizeof *x);
    double a = 0, b = 0, c = 0;
    ds_targets targets = rig_targets(&rig, 0);
    RIG_OK(ds_model_forward(rig.workspace, rig.params, 8, &targets, &a));
    RIG_OK(ds_model_forward(other, rig.params, 8, &targets, &b));
    RIG_OK(ds_model_forward(other, rig.params, 8, &targets, &c)); /* the input is as it was */
    const float *y = ds_workspace_output(rig.workspace, &sy), *z = ds_workspace_output(other, &sy);
    printf("# loss %.17g and %.17g\n", a, b);
    ck_assert(a == b && b == c && a > 0);
    for (size_t r = 0; r < 8; r++)
        ck_assert_mem_eq(y + r * sy, z + r * sy, 5 * sizeof *y);
    ds_workspace_destroy(&other);
    rig_free(&rig);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("model");
    TCase *t = tcase_create("model");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, wrong_config_is_placed, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(t, names_shapes_offsets);
    tcase_add_loop_test(t, initial_values_follow_their_law, 0, sizeof initial / sizeof *initial);
    tcase_add_test(t, initial_values_know_only_their_name);
    tcase_add_test(t, workspace_bytes_tell_the_truth);
    tcase_add_test(t, forward_only_agrees);
    suite_add_tcase(s, t);
    return rig_run(s);
}
