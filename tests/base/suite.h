/* Run one test case as TAP. */
#ifndef DS_TEST_BASE_SUITE_H
#define DS_TEST_BASE_SUITE_H

#include <stdlib.h>

#include <check.h>

static inline int run_suite(TCase *t)
{
    Suite *s = suite_create("base");
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
