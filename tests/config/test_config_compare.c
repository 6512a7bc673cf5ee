/* What a resumed run may change: keys that shape the numbers against those that do not. */
#include "fixture.h"

static const struct {
    const char *set, *differ; /* a change of FULL without stop.early, and what it is called */
} changes[] = {
    {"optimizer.lr=1", "optimizer.lr"},
    {"optimizer.lr=0.00030", ""},
    {"optimizer=sgd", "optimizer.name, optimizer.clip_norm, optimizer.lr"},
    {"batch={size: 64, shards: 8}", "batch.size, batch.shards, batch.accumulate"},
    {"model.layers.1.dense.units=1024.0", ""},
    {"model.layers.1.dense.units=1023", "model.layers.1.dense.units"},
    {"model.layers=[]", "model.layers"},
    {"seed=2", "seed"},
    {"data.normalize=unit", "data.normalize"},
    {"data.train.images=elsewhere", ""},
    {"data.validation.target=z", "data.validation.target"},
    {"data.test=null", ""},
    {"name=other", ""},
    {"train.log_every=3", ""},
    {"train.eval_every=3", ""},
    {"eval.batch=3", ""},
    {"checkpoint={every_steps: 3, keep: 1, initial: false}", ""},
    {"sync.bucket=5", ""},
    {"sync.transport=shared", ""},
    {"sync.strategy=exact", "sync.strategy"},
    {"compute.strict=false", ""},
    {"compute.isa=base", ""},
    {"compute.threads=7", ""},
    {"compute.kernels=native", "compute.kernels"},
    {"compute.precision=bf16", "compute.precision"},
    {"train.max_steps=71", "train.max_steps"},
    {"train.epochs=71", "train.epochs"},
    {"stop.early.patience=3", "train.eval_every, eval.batch, stop.early.patience"},
};

START_TEST(what_shapes_the_numbers_is_compared)
{
    char differ[512];
    size_t n = 99, commas = 0;
    const char *off[] = {"stop.early.patience=0"};
    const char *on[] = {"stop.early.patience=0", changes[_i].set, "train.eval_every=8",
                        "eval.batch=14"};
    bool early = strncmp(changes[_i].set, "stop.early", 10) == 0;
    ds_config *a = config_of(FULL, 1, off), *b = config_of(FULL, early ? 4 : 2, on);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    printf("# %s: '%s'\n", changes[_i].set, differ);
    for (const char *p = differ; *p != '\0'; p++)
        commas += *p == ',';
    ck_assert_uint_eq(n, differ[0] == '\0' ? 0 : commas + 1);
    if (strcmp(changes[_i].set, "optimizer=sgd") != 0)
        ck_assert_str_eq(differ, changes[_i].differ);
    else
        ck_assert_int_eq(strncmp(differ, "optimizer.name, optimizer.lr", 28), 0);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

START_TEST(numerics_are_compared_apart)
{
    static const char *const sets[] = {"compute.threads=7", "compute.isa=base", "seed=99"};
    char differ[512];
    size_t n = 99;
    ds_config *a = config_of(FULL, 0, NULL), *b = config_of(FULL, 3, sets);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "seed");
    ck_assert_int_eq(ds_config_compare_numerics(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    printf("# of numerics: '%s'\n", differ);
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(differ, "compute.isa, compute.threads");
    ck_assert_int_eq(ds_config_compare_numerics(a, b, 1, sets, sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "compute.isa");
    ck_assert_int_eq(ds_config_compare_numerics(a, a, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_uint_eq(n, 0);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

/* FULL with `first` against FULL with `sets`, of which all but sets[0] are said by --set. */
static void expect_differ(const char *first, size_t n_sets, const char *const *sets,
                          const char *expected)
{
    char differ[512];
    size_t n = 99;
    ds_config *a = config_of(FULL, 1, &first), *b = config_of(FULL, n_sets, sets);
    ck_assert_int_eq(ds_config_compare(a, b, n_sets - 1, sets + 1, sizeof differ, differ, &n),
                     DS_OK);
    printf("# %s, then %s: '%s'\n", first, sets[n_sets - 1], differ);
    ck_assert_str_eq(differ, expected);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}

START_TEST(another_plug_in_has_other_options)
{
    const char *const none[] = {"sync={strategy: exact}", "sync.compress=none"};
    const char *const fp16[] = {"sync={strategy: exact}", "sync.compress=fp16"};
    const char *const block[] = {"sync={compress: int8, block: 64}", "seed=42"};
    const char *const local[] = {"sync={strategy: exact}", "sync.strategy=local-sgd"};
    const char *const replicas[] = {"sync={replicas: 3}", "sync.strategy=local-sgd"};
    expect_differ("sync={compress: int8, block: 32}", 2, none, "");
    expect_differ("sync={compress: int8, block: 32}", 2, fp16, "");
    expect_differ("sync={compress: int8, block: 32}", 2, block, "sync.block");
    expect_differ("sync={strategy: exact}", 2, local, "");
    expect_differ("sync={strategy: exact}", 2, replicas, "sync.replicas");
}
END_TEST

/* Replicas meet at the run's last step: its length shapes their numbers. */
START_TEST(local_training_has_a_length)
{
    const char *const sets[] = {"lr={schedule: constant}", "sync={strategy: local-sgd}",
                                "train.max_steps=71", "stop.early.patience=0"};
    char differ[512];
    size_t n = 0;
    const char *const before[] = {sets[0], sets[1], sets[3]};
    ds_config *a = config_of(FULL, 3, before), *b = config_of(FULL, 4, sets);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "train.max_steps");
    ck_assert_int_eq(ds_config_compare(a, b, 1, &sets[2], sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "");
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

START_TEST(edited_keys_may_differ)
{
    char differ[512], tiny[8];
    size_t n = 99;
    const char *sets[] = {"seed=7", "batch={size: 32, shards: 4}", "train.max_steps=9"};
    const char *some[] = {"seed=7", "batch={size: 32, shards: 4}"};
    ds_config *a = config_of(FULL, 0, NULL), *b = config_of(FULL, 3, sets);
    ck_assert_int_eq(ds_config_compare(a, b, 2, some, sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "train.max_steps");
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ds_config_compare(a, b, 3, sets, sizeof differ, differ, &n), DS_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof tiny, tiny, &n), DS_OK);
    ck_assert_uint_eq(n, 5);
    ck_assert_str_eq(tiny, "seed, b");
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

/* A run may be extended where neither its rates nor its stopping depend on its length. */
START_TEST(length_shapes_numbers_by_the_schedule)
{
    static const struct {
        const char *lr, *early;
        size_t n;
    } runs[] = {{"lr={schedule: cosine}", "stop.early.patience=0", 2},
                {"lr={schedule: constant}", "stop.early.patience=0", 0},
                {"lr={schedule: step, step_size: 9}", "stop.early.patience=0", 0},
                {"lr={schedule: constant}", "stop.early.patience=3", 2}};
    char differ[512];
    size_t n = 99;
    const char *sets[] = {runs[_i].lr, runs[_i].early, "train.max_steps=900", "train.epochs=77"};
    ds_config *a = config_of(FULL, 2, sets), *b = config_of(FULL, 4, sets);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    printf("# %s, %s: '%s'\n", runs[_i].lr, runs[_i].early, differ);
    ck_assert_uint_eq(n, runs[_i].n);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

/* Keys of a rate that a checkpoint of before still has shape nothing where the optimizer drives. */
START_TEST(who_drives_has_no_rate_to_differ)
{
    char differ[512];
    size_t n = 99;
    const char *then[] = {"optimizer={name: lbfgs, lr: 1}", "stop.early.patience=0",
                          "lr={schedule: cosine, warmup_steps: 3}"};
    const char *now[] = {"optimizer={name: lbfgs}", "stop.early.patience=0", "lr=null",
                         "train.max_steps=900"};
    const char *other[] = {"optimizer={name: lbfgs, memory: 3}", "stop.early.patience=0",
                           "lr=null"};
    ds_config *a = config_of(FULL, 3, then), *b = config_of(FULL, 4, now),
              *c = config_of(FULL, 3, other);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "");
    ck_assert_int_eq(ds_config_compare(b, c, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_str_eq(differ, "optimizer.memory");
    ds_config_destroy(&a);
    ds_config_destroy(&b);
    ds_config_destroy(&c);
}
END_TEST

/* Accumulated or not is one: the same samples in the same shards. */
START_TEST(accumulation_is_the_same_axis)
{
    char differ[512];
    size_t n = 99;
    const char *whole[] = {"batch={size: 1024, shards: 32}"},
               *parts[] = {"batch={size: 256, shards: 8, accumulate: 4}"},
               *other[] = {"batch={size: 256, shards: 16, accumulate: 4}"};
    ds_config *a = config_of(FULL, 1, whole), *b = config_of(FULL, 1, parts),
              *c = config_of(FULL, 1, other);
    ck_assert_int_eq(ds_config_compare(a, b, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(ds_config_compare(a, c, 0, NULL, sizeof differ, differ, &n), DS_OK);
    ck_assert_uint_eq(n, 3);
    printf("# %s\n", differ);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
    ds_config_destroy(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("config compare");
    tcase_add_loop_test(t, what_shapes_the_numbers_is_compared, 0, LENGTH(changes));
    tcase_add_test(t, numerics_are_compared_apart);
    tcase_add_test(t, another_plug_in_has_other_options);
    tcase_add_test(t, local_training_has_a_length);
    tcase_add_test(t, edited_keys_may_differ);
    tcase_add_test(t, who_drives_has_no_rate_to_differ);
    tcase_add_test(t, accumulation_is_the_same_axis);
    tcase_add_loop_test(t, length_shapes_numbers_by_the_schedule, 0, 4);
    return run_suite(t);
}
