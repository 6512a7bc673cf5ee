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
