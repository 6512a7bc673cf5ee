/* Every preset: what it writes is a model, stands in the resolved config as layers, takes the
 * data's number of classes, and has the gradient of its loss. */
#include <math.h>

#include "descent/preset.h"

#include "model_rig.h"

enum { CLASSES = 5, DIRECTIONS = 8 };

/* Small sizes of those whose defaults are large; others run as they are. */
static const struct {
    const char *name, *options;
} small[] = {
    {"mlp", "input: [6], hidden: [12, 9], activation: tanh, dropout: 0.25"},
    {"lenet", "input: [1, 12, 12], activation: tanh, pool: avg"},
    {"resnet", "input: [2, 8, 8], depth: 8, width: 3, shortcut: B"},
    {"gpt", "layers: 1, width: 16, heads: 2, context: 5, tied: false"},
};

static const char *small_options(const char *name)
{
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        if (strcmp(small[i].name, name) == 0)
            return small[i].options;
    return "";
}

static void preset_line(size_t i, size_t room, char *text)
{
    const char *name = ds_preset_at(i)->name, *options = small_options(name);
    snprintf(text, room, "model: {preset: %s%s%s}", name, options[0] != '\0' ? ", " : "", options);
}

START_TEST(expands_to_layers)
{
    char line[256], *first = NULL, *second = NULL;
    ds_model *model = NULL;
    preset_line((size_t)_i, sizeof line, line);
    ds_config *config = rig_config(line, "cross_entropy"), *again = NULL;
    RIG_OK(ds_config_fit(config, CLASSES));
    RIG_OK(ds_config_text(config, &first));
    ck_assert_ptr_null(strstr(first, "preset"));
    ck_assert_ptr_nonnull(strstr(first, "layers:"));
    RIG_OK(ds_config_create(first, "", 0, NULL, &again));
    RIG_OK(ds_config_text(again, &second));
    ck_assert_str_eq(first, second);
    RIG_OK(ds_model_create(again->model, 0, &model));
    size_t outputs = ds_model_classes(model, DS_TARGET_CLASS);
    printf("# %s: %zu layers, %zu parameters, %zu outputs\n", ds_preset_at((size_t)_i)->name,
           ds_model_n_layers(model), ds_layout_elements(ds_model_layout(model)), outputs);
    ck_assert_uint_eq(outputs, CLASSES);
    ds_model_destroy(&model);
    ds_config_destroy(&config);
    ds_config_destroy(&again);
    free(first);
    free(second);
}
END_TEST

START_TEST(gradient_is_right)
{
    char line[256];
    double error[128], difference[128], doubt[128], most = 0, unsure = 0;
    model_rig rig;
    preset_line((size_t)_i, sizeof line, line);
    /* mse of a few classes: the config of the rig knows no data */
    rig_make(&rig, line, "mse", 8, 1, ds_kernels_find("auto"));
    size_t n = ds_model_layout(rig.model)->n_params + 1;
    ck_assert_uint_le(n, 128);
    ds_gradcheck out = {n, error, difference, doubt};
    ds_shard shard = rig_shard(&rig, 0, rig.rows);
    RIG_OK(ds_model_gradcheck(rig.workspace, rig.params, &shard, DIRECTIONS, 3, &out));
    for (size_t i = 0; i < n; i++)
        most = fmax(most, difference[i]), unsure = fmax(unsure, doubt[i]);
    printf("# %s: gradient off by at most %.1e, doubt %.1e\n", ds_preset_at((size_t)_i)->name, most,
           unsure);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(ds_gradcheck_judge(&out, i, 1e-3), DS_GRADCHECK_AGREES);
    rig_free(&rig);
}
END_TEST

START_TEST(declares_itself)
{
    const ds_preset_ops *ops = ds_preset_at((size_t)_i);
    ck_assert_ptr_eq(ds_preset_find(ops->name), ops);
    ck_assert(ops->help != NULL && ops->help[0] != '\0');
    for (const ds_option *o = ops->options; o->name != NULL; o++)
        ck_assert(o->help != NULL && o->help[0] != '\0');
}
END_TEST

static const struct {
    const char *model, *message;
} wrong[] = {
    {"model: {preset: gtp}", "test.yaml:4:17: model: unknown preset 'gtp' (closest: 'gpt')"},
    {"model: {preset: gpt, widht: 8}",
     "test.yaml:4:22: model, preset gpt: unknown option 'widht' (closest: 'width')"},
    {"model: {preset: gpt, width: 9, heads: 2}",
     "test.yaml:4:39: model, preset gpt: 2 heads, width 9: expected a width that is a multiple of "
     "heads"},
    {"model: {preset: gpt, layers: [dense]}",
     "test.yaml:4:22: model, preset gpt: layers is a list, expected int in [1, 1024]"},
    {"model: {preset: mlp}",
     "test.yaml:4:1: model, preset mlp: 'input' is missing, expected list of int (shape of a "
     "sample: [784])"},
    {"model: {preset: mlp, input: [4], hidden: [3, 0]}",
     "test.yaml:4:46: model, preset mlp: hidden is '0', expected int >= 1 or a list of them, as "
     "[128, 64]"},
    {"model: {preset: [mlp]}",
     "test.yaml:4:9: model: preset is a list, expected a name (descent list presets)"},
};

START_TEST(mistakes_have_a_place)
{
    char text[512];
    ds_config *config = NULL;
    snprintf(text, sizeof text,
             "name: test\ndata:\n  train: {format: synthetic, kind: blobs, samples: 100}\n%s\n"
             "loss: cross_entropy\ntrain: {epochs: 1}\n",
             wrong[_i].model);
    ck_assert_int_eq(ds_config_create(text, "test.yaml", 0, NULL, &config), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), wrong[_i].message);
}
END_TEST

/* What a layer of the preset refuses is said where the preset stands. */
START_TEST(layers_stand_at_the_preset)
{
    ds_model *model = NULL;
    ds_config *config = rig_config("model: {preset: lenet, input: [1, 3, 3]}", "cross_entropy");
    ck_assert_int_eq(ds_model_create(config->model, 0, &model), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(strncmp(ds_last_error(), "test.yaml:4:17: layer 'conv2'", 28), 0);
    ds_config_destroy(&config);
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_preset_at((size_t)n) != NULL)
        n++;
    printf("# %d presets\n", n);
    Suite *s = suite_create("presets");
    TCase *t = tcase_create("presets");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, expands_to_layers, 0, n);
    tcase_add_loop_test(t, gradient_is_right, 0, n);
    tcase_add_loop_test(t, declares_itself, 0, n);
    tcase_add_loop_test(t, mistakes_have_a_place, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(t, layers_stand_at_the_preset);
    suite_add_tcase(s, t);
    int bad = rig_run(s);
    return n > 0 ? bad : EXIT_FAILURE;
}
