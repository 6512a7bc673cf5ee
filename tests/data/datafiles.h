/* Small data files for the tests of readers, and requests to read them. */
#ifndef DS_DATAFILES_H
#define DS_DATAFILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "descent/dataset.h"

typedef struct sample_file {
    char path[64];
} sample_file;

static inline sample_file file_make(size_t n, const void *content)
{
    sample_file self = {.path = "/tmp/descent-data-XXXXXX"};
    int fd = mkstemp(self.path);
    ck_assert(fd >= 0);
    ck_assert_int_eq(write(fd, content, n), (ssize_t)n);
    close(fd);
    return self;
}

/* data.train as a config has it; keys and texts in turn, NULL ends. A text "[a b" is a list. */
static inline ds_value *source_make(ds_arena *arena, const char *const *pair)
{
    ds_value *map = NULL, *child = NULL;
    ck_assert(ds_value_group(arena, DS_VALUE_MAP, NULL, &map) == DS_OK);
    for (; pair[0] != NULL; pair += 2) {
        if (pair[1][0] == '[') {
            char text[256], *rest = text;
            ds_value *item = NULL;
            snprintf(text, sizeof text, "%s", pair[1] + 1);
            ck_assert(ds_value_group(arena, DS_VALUE_LIST, pair[0], &child) == DS_OK);
            for (char *p; (p = strsep(&rest, " ")) != NULL;) {
                ck_assert(ds_value_scalar(arena, NULL, p, &item) == DS_OK);
                ck_assert(ds_value_add(arena, child, item) == DS_OK);
            }
        } else {
            ck_assert(ds_value_scalar(arena, pair[0], pair[1], &child) == DS_OK);
        }
        ck_assert(ds_value_add(arena, map, child) == DS_OK);
    }
    return map;
}

/* Run one test case as TAP. */
static inline int run_case(TCase *test)
{
    Suite *suite = suite_create("data");
    suite_add_tcase(suite, test);
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
