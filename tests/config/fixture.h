/* A config from a text, its error, its resolved text: shared by the tests of this folder. */
#ifndef DS_TEST_CONFIG_FIXTURE_H
#define DS_TEST_CONFIG_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/config.h"

#define LENGTH(a) ((int)(sizeof(a) / sizeof *(a)))

/* The least a config must have; lines 1-4. */
#define BASE                                      \
    "data: {train: {format: csv, path: a.csv}}\n" \
    "model: {input: [2], layers: []}\n"           \
    "loss: mse\n"                                 \
    "train: {epochs: 1}\n"

/* Every section, most keys. */
#define FULL                                                                                     \
    "name: full\n"                                                                               \
    "seed: 42\n"                                                                                 \
    "data:\n"                                                                                    \
    "  train: {format: idx, images: train-images-idx3-ubyte.gz, labels: /abs/labels}\n"          \
    "  test: &t {format: csv, path: ./sub/t.csv, target: [a, \"b, c\", 'yes'], header: true}\n"  \
    "  validation: *t\n"                                                                         \
    "  normalize: standard\n"                                                                    \
    "model:\n"                                                                                   \
    "  input: [1, 28, 28]\n"                                                                     \
    "  layers:\n"                                                                                \
    "    - flatten:\n"                                                                           \
    "    - dense: {units: 1024, activation: relu, name: \"a: b # c \\n \\u00e9\"}\n"             \
    "    - dense: {units: 10, init: {}, list: [], \"odd key:\": '', tilde: '~', dash: '-'}\n"    \
    "loss: {name: cross_entropy}\n"                                                              \
    "batch: {size: 100, shards: ranks, accumulate: 4}\n"                                         \
    "optimizer: {name: adamw, lr: 3.0e-4, weight_decay: .1, betas: [0.8, 0.95], clip_norm: 1}\n" \
    "lr: {schedule: cosine, warmup_steps: 100, min: 1e-5}\n"                                     \
    "sync: {strategy: allreduce, transport: direct, bucket: 3 KiB}\n"                            \
    "compute: {kernels: ref, isa: avx2, threads: 2, strict: true}\n"                             \
    "train: {max_steps: 70, eval_every: 7, log_every: 1, on_nan: skip}\n"                        \
    "eval: {batch: 13}\n"                                                                        \
    "stop: {grad_norm: 1e-6, plateau: {patience: 5, min_delta: 0.1}, early: {patience: 2}}\n"    \
    "checkpoint: {every_steps: 0, initial: true, keep: 0}\n"

static inline ds_config *config_of(const char *text, size_t n_set, const char *const *set)
{
    ds_config *c = NULL;
    ds_status st = ds_config_create(text, "/nowhere/spiral.yaml", n_set, set, &c);
    ck_assert_msg(st == DS_OK, "%s", ds_last_error());
    return c;
}

static inline void refused(const char *text, const char *set, const char *message)
{
    ds_config *c = NULL;
    const char *sets[] = {set};
    ds_status st = ds_config_create(text, "spiral.yaml", set != NULL, sets, &c);
    printf("# %s\n", st == DS_OK ? "accepted" : ds_last_error());
    ck_assert_int_eq(st, DS_ERR_USAGE);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(ds_last_error(), message);
}

static inline int run_suite(TCase *t)
{
    Suite *s = suite_create("config");
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
