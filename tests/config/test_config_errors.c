/* What a config may not say, with the whole line that tells: place, what was found, what helps. */
#include "fixture.h"

static const struct {
    const char *text, *message;
} syntax[] = {
    {"", "spiral.yaml: the config is empty, expected keys such as data, model, loss, train"},
    {"# only words\n\n",
     "spiral.yaml: the config is empty, expected keys such as data, model, loss, train"},
    {"~\n", "spiral.yaml: the config is empty, expected keys such as data, model, loss, train"},
    {"- 1\n- 2\n",
     "spiral.yaml:1:1: the config is a list, expected a map of keys such as data, model, "
     "loss, train"},
    {"hello\n",
     "spiral.yaml:1:1: the config is 'hello', expected a map of keys such as data, model, "
     "loss, train"},
    {"name: x\ntrain:\n\tepochs: 1\n",
     "spiral.yaml:3:1: not valid YAML: tab character may not be used as indentation"},
    {"name: a: b\n",
     "spiral.yaml:1:8: not valid YAML: invalid nested block mapping on the same line"},
    {"model: [1, 2\n", "spiral.yaml:2:1: not valid YAML: flow sequence without a closing bracket"},
    {"name: \"x\nseed: 1\n",
     "spiral.yaml:1:7: not valid YAML: wrongly indented double-quoted scalar"},
    {"a:\n  b: 1\n c: 2\n", "spiral.yaml:3:2: not valid YAML: invalid indentation in mapping"},
    {"seed: 1\nname: x\nseed: 2\n", "spiral.yaml:3:1: key 'seed' is given twice, first in line 1"},
    {"model:\n  input: 1\n  input: 2\n",
     "spiral.yaml:3:3: key 'input' is given twice, first in line 2"},
    {"name: caf\xe9\n", "spiral.yaml:1:10: byte 0xe9 is not UTF-8"},
    {"seed: 1\nname: \xc0\xaf\n", "spiral.yaml:2:7: byte 0xc0 is not UTF-8"},
    {"name: \xed\xa0\x80\n", "spiral.yaml:1:7: byte 0xed is not UTF-8"},
    {"name: \xe2\x82", "spiral.yaml:1:7: byte 0xe2 is not UTF-8"},
    {"name: a\x01\n", "spiral.yaml:1:8: control character 0x01"},
    {"name: x\n---\nname: y\n",
     "spiral.yaml:1:1: more than one YAML document (cut by ---), expected one"},
    {"seed: !!int 5\n", "spiral.yaml:1:13: tags (!...) have no meaning here"},
    {"seed: *missing\n", "spiral.yaml:1:7: alias '*missing': no anchor '&missing' above it"},
    {"? [a, b]\n: 1\n", "spiral.yaml:1:3: a key must be a word"},
    {"name: \"a\\0b\"\n", "spiral.yaml:1:7: a text holds a byte that is no character"},
};

START_TEST(syntax_is_named)
{
    refused(syntax[_i].text, NULL, syntax[_i].message);
}
END_TEST

static const struct {
    const char *text, *message;
} keys[] = {
    {BASE "modle: 1\n", "spiral.yaml:5:1: config: unknown option 'modle' (closest: 'model')"},
    {BASE "optimizer: {name: adamw, weightdecay: 1}\n",
     "spiral.yaml:5:26: optimizer adamw: unknown option 'weightdecay' (closest: 'weight_decay')"},
    {BASE "optimizer:\n  name: adamw\n  lr: fast\n",
     "spiral.yaml:7:7: optimizer adamw: lr is 'fast', expected real > 0"},
    {BASE "optimizer: {name: adamw, lr: 0}\n",
     "spiral.yaml:5:30: optimizer adamw: lr is '0', expected real > 0"},
    {BASE "optimizer: {name: adamw, lr: .inf}\n",
     "spiral.yaml:5:30: optimizer adamw: lr is '.inf', expected real > 0"},
    {BASE "optimizer: {name: adamw, clip_norm: -1}\n",
     "spiral.yaml:5:37: optimizer adamw: clip_norm is '-1', expected real >= 0"},
    {BASE "optimizer: [adamw]\n",
     "spiral.yaml:5:1: optimizer is a list, expected a name or a map with 'name'"},
    {BASE "optimizer: {name: {a: 1}}\n",
     "spiral.yaml:5:13: optimizer: name is a map, expected the name of one"},
    {BASE "lr: 0.01\n", "spiral.yaml:5:5: lr is '0.01', expected a schedule such as constant or "
                        "cosine; the rate itself is optimizer.lr"},
    {BASE "lr: {schedule: cosine, warmup: 3}\n",
     "spiral.yaml:5:24: schedule cosine: unknown option 'warmup' (closest: 'warmup_steps')"},
    {BASE "batch: {size: 0}\n", "spiral.yaml:5:15: batch: size is '0', expected int >= 1"},
    {BASE "batch: {size: 1.5}\n", "spiral.yaml:5:15: batch: size is '1.5', expected int >= 1"},
    {BASE "batch: {size: \"8\"}\n",
     "spiral.yaml:5:15: batch: size is the text \"8\", expected int >= 1"},
    {BASE "batch: 256\n", "spiral.yaml:5:8: batch is '256', expected a map of options"},
    {BASE "batch: {shards: 0}\n",
     "spiral.yaml:5:17: batch: shards is '0', expected int in [1, 1048576], or ranks"},
    {BASE "batch: {size: 32, shards: 64}\n",
     "spiral.yaml:5:27: batch: 64 shards for 32 samples, expected shards of at most size"},
    {BASE "batch: {shards: rank}\n",
     "spiral.yaml:5:17: batch: shards is 'rank', expected int in [1, 1048576], or ranks"},
    {BASE "batch: {size: 1024, shards: 1024, accumulate: 2048}\n",
     "spiral.yaml:5:47: batch: 1024 shards times 2048 micro-batches, expected at most 1048576 "
     "together"},
    {BASE "sync: {bucket: 4 MB}\n",
     "spiral.yaml:5:16: sync: bucket is '4 MB', expected bytes (as 4096, 16 KiB, 4 MiB) >= 1"},
    {BASE "sync: {compress: fp61}\n",
     "spiral.yaml:5:18: unknown codec 'fp61' (closest: 'fp16'; known: none, fp16, bf16, int8)"},
    {BASE "sync: {compress: int8, block: 0}\n",
     "spiral.yaml:5:31: sync: block is '0', expected one of 16, 32, 64, 128, 256, 512, 1024, 2048, "
     "4096"},
    {BASE "sync: {compress: fp16, block: 256}\n",
     "spiral.yaml:5:24: sync: unknown option 'block' (options: strategy, compress, transport, "
     "overlap, bucket, replicas)"},
    {BASE "sync: {replicas: 0}\n",
     "spiral.yaml:5:18: sync: replicas is '0', expected int in [1, 1048576], or "
     "ranks"},
    {BASE "sync: {replicas: many}\n",
     "spiral.yaml:5:18: sync: replicas is 'many', expected int in [1, "
     "1048576], or ranks"},
    {BASE "sync: int8\n", "spiral.yaml:5:7: sync is 'int8', expected a map of options"},
    {BASE "sync: {transport: [a]}\n",
     "spiral.yaml:5:8: sync: transport is a list, expected one of auto, shared, direct"},
    {BASE "compute: {kernels: openblass}\n", "spiral.yaml:5:20: compute: unknown kernels "
                                             "'openblass' (closest: 'openblas'), expected one of "
                                             "auto, native, ref, openblas, "
                                             "onednn"},
    {BASE "compute: {strict: yes}\n",
     "spiral.yaml:5:19: compute: strict is 'yes', expected true or false"},
    {BASE "checkpoint: {every: 5}\n",
     "spiral.yaml:5:14: checkpoint: unknown option 'every' (closest: 'every_steps')"},
    {BASE "stop: {early: {patience: 3}}\n",
     "spiral.yaml:5:26: stop.early: early stopping needs a validation set, found none: add "
     "data.validation, as {fraction: 0.1}"},
    {"train: {epochs: 1, eval_every: 0}\nmodel: {}\nloss: mse\nstop: {early: {patience: 3}}\n"
     "data: {train: {format: csv}, validation: {fraction: 0.1}}\n",
     "spiral.yaml:4:26: stop.early: early stopping judges evaluations, but train.eval_every is 0: "
     "expected a count such as 1 epoch"},
    {BASE "stop: {plateau: {patient: 3}}\n",
     "spiral.yaml:5:18: stop.plateau: unknown option 'patient' (closest: 'patience')"},
    {BASE "name: a/b\n",
     "spiral.yaml:5:7: name is 'a/b', expected a name for a directory: at most 200 "
     "characters, no '/', no leading '.'"},
    {BASE "seed: -1\n", "spiral.yaml:5:7: config: seed is '-1', expected int >= 0"},
    {"name: x\n",
     "spiral.yaml:1:1: config: 'model' is missing, expected a map (input and layers, or a "
     "preset), or a 'problem' instead of model and loss"},
};

START_TEST(keys_are_named)
{
    refused(keys[_i].text, NULL, keys[_i].message);
}
END_TEST

#define DATA(d) "model: {}\nloss: mse\ntrain: {epochs: 1}\ndata: {" d "}\n"
#define TRAIN(t) "model: {}\nloss: mse\ndata: {train: {format: csv}}\ntrain: {" t "}\n"
static const struct {
    const char *text, *message;
} sections[] = {
    {DATA("train: a.csv"),
     "spiral.yaml:4:15: data.train is 'a.csv', expected a map such as {format: "
     "csv, path: FILE}"},
    {DATA("train: {path: a.csv}"), "spiral.yaml:4:8: data.train: 'format' is missing, expected one "
                                   "such as idx, csv, hdf5, synthetic"},
    {DATA("train: {format: csv}, tset: {format: csv}"),
     "spiral.yaml:4:30: data: unknown option 'tset' (closest: 'test')"},
    {DATA("train: {format: csv}, normalize: standart"),
     "spiral.yaml:4:41: data: unknown normalize 'standart' (closest: 'standard'), expected one of "
     "none, unit, standard"},
    {DATA("train: {format: csv}, validation: {fraction: 1}"),
     "spiral.yaml:4:53: data.validation: fraction is '1', expected real in [0, 1)"},
    {DATA("train: {format: csv}, validation: {fractoin: 0.1}"),
     "spiral.yaml:4:43: data.validation: unknown option 'fractoin' (closest: 'fraction')"},
    {DATA("train: {format: csv}, validation: {fraction: 0.1, format: csv}"),
     "spiral.yaml:4:43: data.validation has a format and a fraction, expected one of them"},
    {DATA("train: {format: csv}, validation: 0.1"),
     "spiral.yaml:4:42: data.validation is '0.1', expected a map of options"},
    {TRAIN(""),
     "spiral.yaml:4:1: train: no end: epochs and max_steps are both 0 or missing, expected "
     "one of them, as epochs: 5 or max_steps: 1000"},
    {TRAIN("epochs: 0, max_steps: 0"),
     "spiral.yaml:4:1: train: no end: epochs and max_steps are both 0 or missing, expected one of "
     "them, as epochs: 5 or max_steps: 1000"},
    {TRAIN("epochs: 1, eval_every: 1 epok"), "spiral.yaml:4:32: train: eval_every is '1 epok', "
                                             "expected a count such as 1 epoch, 100 steps or "
                                             "0 (only at the end)"},
    {TRAIN("epochs: 1, eval_every: -3"), "spiral.yaml:4:32: train: eval_every is '-3', expected a "
                                         "count such as 1 epoch, 100 steps or 0 "
                                         "(only at the end)"},
    {TRAIN("epochs: 1, on_nan: ignore"),
     "spiral.yaml:4:28: train: on_nan is 'ignore', expected one of stop, skip"},
    {"data: {train: {format: csv}}\nmodel: mlp\nloss: mse\ntrain: {epochs: 1}\n",
     "spiral.yaml:2:8: model is 'mlp', expected a map with input and layers"},
    {"data: {train: {format: csv}}\nmodel: {}\ntrain: {epochs: 1}\n",
     "spiral.yaml:1:1: config: 'loss' is missing, expected a loss, as cross_entropy (classes) or "
     "mse "
     "(numbers) (what is minimised)"},
};

START_TEST(sections_are_named)
{
    refused(sections[_i].text, NULL, sections[_i].message);
}
END_TEST

static const struct {
    const char *set, *message;
} edits[] = {
    {"optimizer.lr", "--set 'optimizer.lr': expected KEY=VALUE, as in --set optimizer.lr=0.01"},
    {"=3", "--set '=3': expected KEY=VALUE, as in --set optimizer.lr=0.01"},
    {"optimizer..lr=1",
     "--set optimizer..lr: the key has an empty part, expected names joined by dots"},
    {"optimizer.lr=fast", "--set optimizer.lr: optimizer sgd: lr is 'fast', expected real > 0"},
    {"optimizer.lrr=1", "--set optimizer.lrr: optimizer sgd: unknown option 'lrr' (closest: 'lr')"},
    {"optimiser.lr=1",
     "--set optimiser.lr: config: unknown option 'optimiser' (closest: 'optimizer')"},
    {"model.layers.2.dense.units=1", "--set model.layers.2.dense.units: 'model.layers' is a list "
                                     "of 2: found item '2', expected 0..1"},
    {"model.layers.x=1",
     "--set model.layers.x: 'model.layers' is a list of 2: found item 'x', expected 0..1"},
    {"model.layers.0.dens.units=1",
     "--set model.layers.0.dens.units: 'model.layers.0' is a layer 'dense': it has no 'dens' "
     "(closest: 'dense'); --set model.layers.0={...} puts another layer there"},
    {"seed.x=1", "--set seed.x: 'seed' is '3', not a map: it has no 'x'"},
    {"model.input.0.y=1",
     "--set model.input.0.y: 'model.input.0' is '2', not a map: it has no 'y'"},
    {"train.epochs=[1",
     "--set train.epochs: not valid YAML: flow sequence without a closing bracket"},
    {"batch={size: 4, size: 5}", "--set batch: key 'size' is given twice"},
    {"train.epochs=",
     "--set train.epochs: no value after '='; write train.epochs=null for the default"},
    {"train.epochs=null",
     "spiral.yaml:3:1: train: no end: epochs and max_steps are both 0 or missing, expected one of "
     "them, as epochs: 5 or max_steps: 1000"},
};

START_TEST(edits_are_named)
{
    refused("data: {train: {format: csv}}\n"
            "loss: mse\n"
            "train: {epochs: 1}\n"
            "seed: 3\n"
            "model: {input: [2], layers: [{dense: {units: 3}}, {dense: {units: 1}}]}\n"
            "optimizer: sgd\n",
            edits[_i].set, edits[_i].message);
}
END_TEST

/* The lists of names grow with the registries: only the beginning is fixed. */
static const struct {
    const char *text, *begin;
} names[] = {
    {BASE "optimizer: adamww\n",
     "spiral.yaml:5:12: unknown optimizer 'adamww' (closest: 'adamw'; known: sgd, "},
    {BASE "optimizer: {name: zzzzzzzzz}\n",
     "spiral.yaml:5:19: unknown optimizer 'zzzzzzzzz' (known: sgd, "},
    {BASE "lr: {schedule: cosin}\n",
     "spiral.yaml:5:16: unknown schedule 'cosin' (closest: 'cosine'; known: constant, "},
    {"data: {train: {format: csv}}\nmodel: {}\nloss: crossentropy\ntrain: {epochs: 1}\n",
     "spiral.yaml:3:7: unknown loss 'crossentropy' (closest: 'cross_entropy'; known: "},
};

START_TEST(names_are_known)
{
    ds_config *c = NULL;
    ck_assert_int_eq(ds_config_create(names[_i].text, "spiral.yaml", 0, NULL, &c), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(strncmp(ds_last_error(), names[_i].begin, strlen(names[_i].begin)), 0);
    ck_assert_int_eq(ds_exit_code(DS_ERR_USAGE), 2);
}
END_TEST

/* One line, soon, whatever comes. */
static void refused_text(char *text)
{
    ds_config *c = NULL;
    ck_assert_int_eq(ds_config_create(text, "big.yaml", 0, NULL, &c), DS_ERR_USAGE);
    printf("# %.100s\n", ds_last_error());
    ck_assert_int_eq(strncmp(ds_last_error(), "big.yaml:", 9), 0);
    ck_assert_ptr_null(strchr(ds_last_error(), '\n'));
    free(text);
}

START_TEST(huge_texts_are_refused)
{
    enum { N = 3 << 20 };
    char *text = malloc(N + 1);
    memset(text, 'a', N);
    text[N] = '\0';
    refused_text(text);
    text = calloc(20001, 1);
    memset(text, '[', 20000);
    refused_text(text);
    text = calloc(20001, 1);
    for (int i = 0; i < 20000; i += 2)
        memcpy(text + i, "- ", 2);
    refused_text(text);
    text = calloc(900001, 1);
    for (int i = 0; i < 100000; i++)
        snprintf(text + 9 * i, 10, "k%06d:\n", i);
    refused_text(text);
    text = calloc(400001, 1);
    for (int i = 0; i < 200000; i++)
        memcpy(text + 2 * i, i == 0 ? "[1" : ",1", 2);
    refused_text(text);
}
END_TEST

START_TEST(aliases_cannot_explode)
{
    char text[4096] = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
    for (char c = 'b'; c < 'm'; c++) {
        size_t n = strlen(text);
        n += (size_t)snprintf(text + n, sizeof text - n, "%c: &%c [", c, c);
        for (int i = 0; i < 10; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s*%c", i ? ", " : "", c - 1);
        snprintf(text + n, sizeof text - n, "]\n");
    }
    refused_text(strdup(text));
}
END_TEST

START_TEST(files_are_read_or_named)
{
    char *text = NULL, path[] = "/tmp/descent-test-XXXXXX";
    ck_assert_int_eq(ds_config_read("/nowhere/x.yaml", &text), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(),
                     "config /nowhere/x.yaml: cannot open: No such file or directory");
    ck_assert_int_eq(ds_config_read("/tmp", &text), DS_ERR_USAGE);
    ck_assert_str_eq(ds_last_error(), "config /tmp: cannot read: Is a directory");
    FILE *f = fdopen(mkstemp(path), "w");
    ck_assert_ptr_nonnull(f);
    fwrite("a: 1\0b", 1, 6, f);
    fclose(f);
    ck_assert_int_eq(ds_config_read(path, &text), DS_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "byte 0 found, expected a YAML text"));
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs("a: 1\n", f);
    fclose(f);
    ck_assert_int_eq(ds_config_read(path, &text), DS_OK);
    ck_assert_str_eq(text, "a: 1\n");
    free(text);
    remove(path);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("config errors");
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, syntax_is_named, 0, LENGTH(syntax));
    tcase_add_loop_test(t, keys_are_named, 0, LENGTH(keys));
    tcase_add_loop_test(t, sections_are_named, 0, LENGTH(sections));
    tcase_add_loop_test(t, edits_are_named, 0, LENGTH(edits));
    tcase_add_loop_test(t, names_are_known, 0, LENGTH(names));
    tcase_add_test(t, huge_texts_are_refused);
    tcase_add_test(t, aliases_cannot_explode);
    tcase_add_test(t, files_are_read_or_named);
    return run_suite(t);
}
