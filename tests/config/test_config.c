/* What a config means: defaults, edits, paths, the resolved text. Defaults are the
 * design's (section 5). */
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

START_TEST(defaults_are_the_design_s)
{
    ds_config *c = config_of(BASE, 0, NULL);
    ck_assert_str_eq(c->name, "spiral");
    ck_assert_uint_eq(c->seed, 1);
    ck_assert_str_eq(c->loss->name, "mse");
    ck_assert_str_eq(c->optimizer->name, "adamw");
    ck_assert_str_eq(c->schedule->name, "constant");
    ck_assert_double_eq(c->lr, 0.001);
    ck_assert_double_eq(c->clip_norm, 0.0);
    ck_assert_int_eq(c->warmup_steps, 0);
    ck_assert_int_eq(c->batch.size, 256);
    ck_assert_int_eq(c->batch.shards, 8);
    ck_assert_int_eq(c->batch.accumulate, 1);
    ck_assert_str_eq(c->sync.strategy, "exact");
    ck_assert_str_eq(c->sync.compress, "none");
    ck_assert_ptr_null(c->sync.codec.ops);
    ck_assert_str_eq(c->sync.transport, "auto");
    ck_assert_int_eq(c->sync.bucket, 4 << 20);
    ck_assert_str_eq(c->compute.kernels, "auto");
    ck_assert_str_eq(c->compute.isa, "auto");
    ck_assert_int_eq(c->compute.threads, 1);
    ck_assert(!c->compute.strict);
    ck_assert_int_eq(c->train.max_steps, 0);
    ck_assert_int_eq(c->train.eval_every, 1);
    ck_assert(c->train.eval_in_epochs);
    ck_assert_int_eq(c->train.log_every, 10);
    ck_assert(!c->train.skip_nan);
    ck_assert_int_eq(c->eval_batch, 1000);
    ck_assert_int_eq(c->stop.early_patience, 0);
    ck_assert_int_eq(c->checkpoint.every_steps, 500);
    ck_assert(!c->checkpoint.initial);
    ck_assert_int_eq(c->checkpoint.keep, 3);
    ck_assert_int_eq(c->data.normalize, DS_NORMALIZE_NONE);
    ck_assert_ptr_null(c->data.test);
    ck_assert_ptr_null(c->data.validation);
    ds_config_destroy(&c);
    ck_assert_ptr_null(c);
}
END_TEST

/* DESIGN: the largest power of two <= size/32, within 8 and 1024, never above size. */
static const struct {
    const char *size;
    int shards;
} shard_defaults[] = {{"1", 1},      {"5", 5},       {"8", 8},        {"255", 8},
                      {"511", 8},    {"512", 16},    {"1000", 16},    {"1024", 32},
                      {"4096", 128}, {"32767", 512}, {"32768", 1024}, {"1000000", 1024}};

START_TEST(shards_follow_the_size)
{
    char set[64];
    const char *sets[] = {set};
    snprintf(set, sizeof set, "batch.size=%s", shard_defaults[_i].size);
    ds_config *c = config_of(BASE, 1, sets);
    printf("# size %s: %d shards\n", shard_defaults[_i].size, (int)c->batch.shards);
    ck_assert_int_eq(c->batch.shards, shard_defaults[_i].shards);
    ds_config_destroy(&c);
}
END_TEST

static const struct {
    const char *text;
    int count;
    bool epochs;
} every[] = {{"1 epoch", 1, true},   {"2 epochs", 2, true},    {"100 steps", 100, false},
             {"1 step", 1, false},   {"100", 100, false},      {"0", 0, false},
             {"0 epochs", 0, false}, {"\"3 epochs\"", 3, true}};

START_TEST(eval_every_has_units)
{
    char set[64];
    const char *sets[] = {set};
    snprintf(set, sizeof set, "train.eval_every=%s", every[_i].text);
    ds_config *c = config_of(BASE, 1, sets);
    ck_assert_int_eq(c->train.eval_every, every[_i].count);
    ck_assert_int_eq(c->train.eval_in_epochs, every[_i].epochs);
    ds_config_destroy(&c);
}
END_TEST

START_TEST(all_keys_are_read)
{
    ds_config *c = config_of(FULL, 0, NULL);
    ck_assert_uint_eq(c->seed, 42);
    ck_assert_int_eq(c->batch.shards, 0);
    ck_assert_int_eq(c->batch.accumulate, 4);
    ck_assert_double_eq(c->lr, 3e-4);
    ck_assert_double_eq(c->clip_norm, 1.0);
    ck_assert_str_eq(c->schedule->name, "cosine");
    ck_assert_int_eq(c->warmup_steps, 100);
    ck_assert_str_eq(c->sync.strategy, "allreduce");
    ck_assert_str_eq(c->sync.transport, "direct");
    ck_assert_int_eq(c->sync.bucket, 3072);
    ck_assert_str_eq(c->compute.kernels, "ref");
    ck_assert_str_eq(c->compute.isa, "avx2");
    ck_assert_int_eq(c->train.max_steps, 70);
    ck_assert_int_eq(c->train.epochs, 0);
    ck_assert(c->train.skip_nan);
    ck_assert_int_eq(c->eval_batch, 13);
    ck_assert_double_eq(c->stop.grad_norm, 1e-6);
    ck_assert_int_eq(c->stop.plateau_patience, 5);
    ck_assert_double_eq(c->stop.plateau_min_delta, 0.1);
    ck_assert_int_eq(c->stop.early_patience, 2);
    ck_assert_int_eq(c->data.normalize, DS_NORMALIZE_STANDARD);
    ck_assert_str_eq(ds_value_find(c->data.validation, "path")->text, "/nowhere/sub/t.csv");
    ck_assert_str_eq(ds_value_find(c->data.train, "labels")->text, "/abs/labels");
    ck_assert_ptr_eq(ds_value_find(ds_value_find(c->root, "data"), "train"), c->data.train);
    ck_assert_ptr_eq(ds_value_find(c->root, "model"), c->model);
    ck_assert_int_eq(ds_value_find(c->model, "layers")->line, 10);
    ck_assert_int_eq(ds_value_find(c->root, "seed")->line, 2);
    ds_config_destroy(&c);
}
END_TEST

static const char *const round_trips[] = {BASE, FULL};

/* text(parse(text(parse(x)))) == text(parse(x)), and nothing differs. */
START_TEST(resolved_text_is_a_fixed_point)
{
    char *first = NULL, *second = NULL, differ[256];
    ds_config *b = NULL, *a = config_of(round_trips[_i], 0, NULL);
    size_t n = 99;
    ck_assert_int_eq(ds_config_text(a, &first), DS_OK);
    ds_status st = ds_config_create(first, "/other/place/config.yaml", 0, NULL, &b);
    ck_assert_msg(st == DS_OK, "%s\n%s", ds_last_error(), first);
    ck_assert_int_eq(ds_config_text(b, &second), DS_OK);
    printf("# %zu bytes\n", strlen(first));
    ck_assert_str_eq(first, second);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_str_eq(differ, "");
    ck_assert_int_eq(a->batch.shards, b->batch.shards);
    ck_assert_int_eq(a->train.eval_every, b->train.eval_every);
    ck_assert(memcmp(a->optimizer_options, b->optimizer_options, a->optimizer->options_size) == 0);
    free(first);
    free(second);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

/* Every section and common key stands in the resolved tree. */
static const ds_value *at_path(const ds_config *c, const char *key)
{
    char path[96];
    snprintf(path, sizeof path, "%s", key);
    const ds_value *v = c->root;
    for (char *rest = NULL, *p = strtok_r(path, ".", &rest); p != NULL;
         p = strtok_r(NULL, ".", &rest))
        v = ds_value_find(v, p);
    return v;
}

/* Strategies have options of their own: two of them have all there are. */
START_TEST(resolved_tree_has_every_key)
{
    const char *post[] = {"sync={strategy: post-local, local_after: 2 epochs}"};
    const char *outer[] = {"sync.strategy=diloco"};
    ds_config *c[] = {config_of(BASE, 0, NULL), config_of(BASE, 1, post),
                      config_of(BASE, 1, outer)};
    ds_config_key key;
    size_t n = 0;
    for (; ds_config_key_at(n, &key); n++) {
        ck_assert_msg(key.help != NULL && key.type[0] != '\0', "%s", key.path);
        if (strncmp(key.path, "model.", 6) == 0 || strncmp(key.path, "data.train.", 11) == 0 ||
            strncmp(key.path, "optimizer.groups.", 17) == 0 || strncmp(key.path, "problem", 7) == 0)
            continue;
        bool there = false;
        for (size_t i = 0; i < LENGTH(c); i++)
            there |= at_path(c[i], key.path) != NULL;
        ck_assert_msg(there, "%s is in no resolved tree", key.path);
    }
    printf("# %zu keys\n", n);
    ck_assert_uint_gt(n, 40);
    for (size_t i = 0; i < LENGTH(c); i++)
        ds_config_destroy(&c[i]);
}
END_TEST

/* A problem stands where model and loss do, and is read again to the same. */
START_TEST(problems_resolve)
{
    const char *text = "problem: rosenbrock\ntrain: {max_steps: 3}\n";
    ds_config *c = config_of(text, 0, NULL), *again = NULL;
    char *resolved = NULL;
    ck_assert_str_eq(at_path(c, "problem.name")->text, "rosenbrock");
    ck_assert(c->model == NULL && c->batch.size == 8 && c->batch.shards == 8);
    ck_assert(c->train.eval_every == 0 && at_path(c, "model") == NULL && c->loss != NULL);
    ck_assert(ds_config_text(c, &resolved) == DS_OK);
    ck_assert_msg(ds_config_create(resolved, "", 0, NULL, &again) == DS_OK, "%s", ds_last_error());
    ck_assert_str_eq(at_path(again, "problem.name")->text, "rosenbrock");
    free(resolved);
    ds_config_destroy(&again);
    ds_config_destroy(&c);
}
END_TEST

/* Who drives has no learning rate: nothing of one is filled in; what is given is kept, and idle. */
static const struct {
    const char *optimizer, *lr, *idle; /* NULL: nothing */
} rates[] = {
    {"optimizer=lbfgs", "lr=null", NULL},
    {"optimizer={name: newton, lr: null}", "lr={schedule: null, scale: null}", NULL},
    {"optimizer={name: sgd, lr: 1}", "lr=cosine", NULL},
    {"optimizer={name: lbfgs, lr: 0.001}", "lr=null", "optimizer.lr"},
    {"optimizer={name: newton, lr: 1}", "lr=cosine", "optimizer.lr"},
    {"optimizer=lbfgs", "lr=constant", "lr"},
    {"optimizer=lbfgs", "lr={warmup_steps: 0}", "lr"},
    {"optimizer=newton", "lr={scale: linear}", "lr"},
};

static const char *idle_rate(const ds_config *c)
{
    const char *key = ds_config_idle_rate(c);
    return key == NULL ? "nothing" : key;
}

START_TEST(optimizers_that_drive_have_no_rate)
{
    const char *set[] = {rates[_i].optimizer, rates[_i].lr};
    const char *idle = rates[_i].idle == NULL ? "nothing" : rates[_i].idle;
    ds_config *c = config_of(BASE, 2, set), *again = NULL;
    char *text = NULL;
    printf("# %s %s: idle is %s\n", set[0], set[1], idle_rate(c));
    ck_assert_str_eq(idle_rate(c), idle);
    ck_assert_str_eq(c->lr_note, "");
    ck_assert_int_eq(at_path(c, "optimizer.lr") == NULL && at_path(c, "lr") == NULL,
                     c->optimizer->reach == DS_REACH_MODEL && rates[_i].idle == NULL);
    ck_assert(ds_config_text(c, &text) == DS_OK);
    ck_assert_msg(ds_config_create(text, "", 0, NULL, &again) == DS_OK, "%s", ds_last_error());
    ck_assert_str_eq(idle_rate(again), idle);
    free(text);
    ds_config_destroy(&again);
    ds_config_destroy(&c);
}
END_TEST

/* What a strategy has is filled in, resolved, and read again to the same; H by strategy. */
START_TEST(strategies_have_options)
{
    const char *set[] = {
        "sync={strategy: post-local, local_after: 3 epochs, optimizer_state: reset}"};
    ds_config *c = config_of(BASE, 1, set), *again = NULL;
    ck_assert(c->sync.local_steps == 8 && c->sync.local_after.n == 3 &&
              c->sync.local_after.in_epochs);
    ck_assert(c->sync.optimizer_state == DS_STATE_RESET && c->sync.outer_lr == 0.0);
    ck_assert_str_eq(at_path(c, "sync.local_after")->text, "3 epochs");
    char *text = NULL;
    ck_assert(ds_config_text(c, &text) == DS_OK);
    ck_assert_msg(ds_config_create(text, "", 0, NULL, &again) == DS_OK, "%s", ds_last_error());
    ck_assert(again->sync.local_after.n == 3 && again->sync.local_after.in_epochs);
    free(text);
    ds_config_destroy(&again);
    ds_config_destroy(&c);
    const char *outer[] = {"sync.strategy=diloco"};
    c = config_of(BASE, 1, outer);
    ck_assert(c->sync.local_steps == 50 && c->sync.outer_lr == 0.7 &&
              c->sync.outer_momentum == 0.9);
    ck_assert(c->sync.optimizer_state == DS_STATE_KEEP);
    ck_assert_str_eq(c->sync.compress, "bf16");
    ck_assert_str_eq(at_path(c, "sync.compress")->text, "bf16");
    ck_assert_ptr_null(at_path(c, "sync.local_after"));
    ds_config_destroy(&c);
    c = config_of(BASE, 0, NULL);
    ck_assert(c->sync.local_steps == 0);
    ck_assert_ptr_null(at_path(c, "sync.local_steps"));
    ds_config_destroy(&c);
}
END_TEST

static const struct {
    const char *set, *path, *text; /* text NULL: a group */
} edits[] = {
    {"optimizer.lr=0.01", "optimizer.lr", "0.01"},
    {"optimizer=sgd", "optimizer.name", "sgd"},
    {"optimizer={name: momentum, momentum: 0.5}", "optimizer.momentum", "0.5"},
    {"lr.warmup_steps=7", "lr.warmup_steps", "7"},
    {"stop.plateau.patience=9", "stop.plateau.patience", "9"},
    {"data.test={format: csv, path: /x}", "data.test.path", "/x"},
    {"data.train.path=b.csv", "data.train.path", "/nowhere/b.csv"},
    {"train.eval_every=20 steps", "train.eval_every", "20 steps"},
    {"name=\"a=b c\"", "name", "a=b c"},
    {"seed=9223372036854775807", "seed", "9223372036854775807"},
    {"batch.shards=ranks", "batch.shards", "ranks"},
    {"sync.bucket=1 GiB", "sync.bucket", "1 GiB"},
};

static const ds_value *walk(const ds_config *c, const char *path)
{
    char copy[96];
    snprintf(copy, sizeof copy, "%s", path);
    const ds_value *v = c->root;
    for (char *rest = NULL, *p = strtok_r(copy, ".", &rest); p != NULL;
         p = strtok_r(NULL, ".", &rest))
        v = v != NULL && v->kind == DS_VALUE_LIST ? v->child[atoi(p)] : ds_value_find(v, p);
    return v;
}

START_TEST(edits_are_made)
{
    const char *sets[] = {edits[_i].set};
    ds_config *c = config_of(BASE "optimizer: adamw\nlr: cosine\n", 1, sets);
    const ds_value *v = walk(c, edits[_i].path);
    ck_assert_ptr_nonnull(v);
    ck_assert_str_eq(v->text, edits[_i].text);
    ds_config_destroy(&c);
}
END_TEST

/* An edit inside a section that is not there keeps the section's other defaults. */
START_TEST(edits_make_sections)
{
    const char *sets[] = {"optimizer.lr=0.5", "lr.warmup_steps=3", "sync.bucket=16 KiB"};
    ds_config *c = config_of(BASE, 3, sets);
    ck_assert_str_eq(c->optimizer->name, "adamw");
    ck_assert_double_eq(c->lr, 0.5);
    ck_assert_str_eq(c->schedule->name, "constant");
    ck_assert_int_eq(c->warmup_steps, 3);
    ck_assert_int_eq(c->sync.bucket, 16384);
    ck_assert_str_eq(c->sync.strategy, "exact");
    ds_config_destroy(&c);
}
END_TEST

START_TEST(edits_reach_into_lists)
{
    static const char text[] = "data: {train: {format: csv}}\nloss: mse\ntrain: {epochs: 1}\n"
                               "model: {layers: [{dense: {units: 3}}, {dense: {units: 1}}]}\n";
    const char *sets[] = {"model.layers.0.dense.units=64", "model.layers.1={flatten: }",
                          "model.input=[5]", "model.input.0=6"};
    ds_config *c = config_of(text, 4, sets);
    ck_assert_str_eq(walk(c, "model.layers.0.dense.units")->text, "64");
    ck_assert_ptr_nonnull(walk(c, "model.layers.1.flatten"));
    ck_assert_str_eq(walk(c, "model.input.0")->text, "6");
    ck_assert_str_eq(walk(c, "model.input.0")->source, "--set model.input.0");
    ds_config_destroy(&c);
    const char *whole[] = {"model.layers=[{dense: {units: 3}}]"};
    c = config_of(text, 1, whole);
    ck_assert_uint_eq(walk(c, "model.layers")->n, 1);
    ds_config_destroy(&c);
}
END_TEST

/* Anchors are copied: an edit of one place leaves the other. */
START_TEST(edits_leave_aliases_alone)
{
    const char *sets[] = {"data.test.path=/x"};
    ds_config *c = config_of(FULL, 1, sets);
    ck_assert_str_eq(walk(c, "data.test.path")->text, "/x");
    ck_assert_str_eq(walk(c, "data.validation.path")->text, "/nowhere/sub/t.csv");
    ds_config_destroy(&c);
}
END_TEST

static void touch(const char *path)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fclose(f);
}

/* The config's folder, then $DESCENT_DATA, else the config's folder again. */
START_TEST(paths_are_looked_for)
{
    char dir[] = "/tmp/descent-paths-XXXXXX", a[64], b[64], yaml[64], fa[80], fb[80];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/b", dir);
    snprintf(yaml, sizeof yaml, "%s/a/c.yaml", dir);
    snprintf(fa, sizeof fa, "%s/a.csv", a);
    snprintf(fb, sizeof fb, "%s/a.csv", b);
    ck_assert_int_eq(mkdir(a, 0700) | mkdir(b, 0700), 0);
    setenv("DESCENT_DATA", b, 1);
    const char *want[] = {fa, fb, fa}; /* nowhere; in $DESCENT_DATA; beside the config too */
    for (int i = 0; i < 3; i++) {
        ds_config *c = NULL;
        if (i > 0)
            touch(i == 1 ? fb : fa);
        ck_assert_int_eq(ds_config_create(BASE, yaml, 0, NULL, &c), DS_OK);
        ck_assert_str_eq(ds_value_find(c->data.train, "path")->text, want[i]);
        ds_config_destroy(&c);
    }
    remove(fa);
    remove(fb);
    rmdir(a);
    rmdir(b);
    rmdir(dir);
}
END_TEST

START_TEST(relative_configs_have_absolute_paths)
{
    char here[4096], want[4200];
    ds_config *c = NULL;
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(ds_config_create(BASE, "sub/x.yaml", 0, NULL, &c), DS_OK);
    snprintf(want, sizeof want, "%s/sub/a.csv", here);
    ck_assert_str_eq(ds_value_find(c->data.train, "path")->text, want);
    ck_assert_str_eq(c->name, "x");
    ds_config_destroy(&c);
    ck_assert_int_eq(ds_config_create(BASE, "", 0, NULL, &c), DS_OK);
    snprintf(want, sizeof want, "%s/a.csv", here);
    ck_assert_str_eq(ds_value_find(c->data.train, "path")->text, want);
    ck_assert_str_eq(c->name, "run");
    ck_assert_str_eq(c->path, "");
    ds_config_destroy(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("config");
    tcase_add_test(t, defaults_are_the_design_s);
    tcase_add_loop_test(t, shards_follow_the_size, 0, LENGTH(shard_defaults));
    tcase_add_loop_test(t, eval_every_has_units, 0, LENGTH(every));
    tcase_add_test(t, all_keys_are_read);
    tcase_add_loop_test(t, resolved_text_is_a_fixed_point, 0, LENGTH(round_trips));
    tcase_add_test(t, resolved_tree_has_every_key);
    tcase_add_test(t, strategies_have_options);
    tcase_add_test(t, problems_resolve);
    tcase_add_loop_test(t, optimizers_that_drive_have_no_rate, 0, LENGTH(rates));
    tcase_add_loop_test(t, edits_are_made, 0, LENGTH(edits));
    tcase_add_test(t, edits_make_sections);
    tcase_add_test(t, edits_reach_into_lists);
    tcase_add_test(t, edits_leave_aliases_alone);
    tcase_add_test(t, paths_are_looked_for);
    tcase_add_test(t, relative_configs_have_absolute_paths);
    return run_suite(t);
}
