/* Failures: exit codes as the command line promises them (DESIGN, section 4), one-line messages,
 * traces, cleanup of locals. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "descent/arena.h"

#include "suite.h"

static const struct {
    ds_status status;
    int exit_code;
} codes[] = {{DS_OK, 0},
             {DS_NO, 1},
             {DS_ERR_USAGE, 2},
             {DS_ERR_DATA, 3},
             {DS_ERR_CHECKPOINT, 4},
             {DS_ERR_DIVERGED, 5},
             {DS_ERR_INTERNAL, 70},
             {DS_ERR_NOMEM, 70},
             {DS_ERR_MPI, 70},
             {DS_ERR_WRITE, 74},
             {DS_STOPPED, 75}};

START_TEST(exit_codes_are_the_promised_ones)
{
    ck_assert_int_eq(ds_exit_code(codes[_i].status), codes[_i].exit_code);
    ck_assert_ptr_nonnull(ds_status_text(codes[_i].status));
    ck_assert_int_eq(ds_exit_code((ds_status)99), 70);
}
END_TEST

static ds_status status_inner(int x)
{
    DS_CHECK(x > 0, DS_ERR_DATA, "x is %d,\nexpected\r>\0330", x);
    return DS_OK;
}

static ds_status status_outer(int x)
{
    DS_TRY(status_inner(x));
    return DS_OK;
}

START_TEST(messages_are_one_line_with_a_trace)
{
    ck_assert_int_eq(status_outer(1), DS_OK);
    ck_assert_int_eq(status_outer(-1), DS_ERR_DATA);
    ck_assert_str_eq(ds_last_error(), "x is -1, expected > 0");
    ck_assert_ptr_nonnull(strstr(ds_last_trace(), "status_inner(x)"));
    ck_assert_int_eq(ds_fail_prefix(DS_ERR_DATA, "a.csv:%d: ", 3), DS_ERR_DATA);
    ck_assert_str_eq(ds_last_error(), "a.csv:3: x is -1, expected > 0");
}
END_TEST

START_TEST(long_messages_are_cut)
{
    char text[5000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(DS_FAIL(DS_ERR_USAGE, "%s", text), DS_ERR_USAGE);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ds_fail_prefix(DS_ERR_USAGE, "%s", "prefix "), DS_ERR_USAGE);
    printf("# %zu characters\n", strlen(ds_last_error()));
    ck_assert_uint_lt(strlen(ds_last_error()), 4096);
    ck_assert_int_eq(strncmp(ds_last_error(), "prefix prefix", 13), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(ds_trace(DS_ERR_USAGE, __FILE__, __LINE__, "again"), DS_ERR_USAGE);
    ck_assert_uint_lt(strlen(ds_last_trace()), 4096);
}
END_TEST

static void *status_thread(void *failed)
{
    *(bool *)failed = status_outer(-7) == DS_ERR_DATA;
    return NULL;
}

START_TEST(threads_have_their_own_failure)
{
    pthread_t thread;
    bool failed = false;
    ck_assert_int_eq(DS_FAIL(DS_ERR_USAGE, "mine"), DS_ERR_USAGE);
    ck_assert_int_eq(pthread_create(&thread, NULL, status_thread, &failed), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(failed);
    ck_assert_str_eq(ds_last_error(), "mine");
}
END_TEST

static ds_status status_build(bool fail, ds_arena **out)
{
    ds_auto(ds_arena) arena = NULL;
    DS_TRY(ds_arena_create("a", &arena));
    DS_CHECK(!fail, DS_ERR_DATA, "asked to fail");
    *out = ds_steal(arena);
    return DS_OK;
}

/* Leaks, if any, are the sanitizer's to find. */
START_TEST(locals_clean_themselves)
{
    ds_arena *arena = NULL;
    ck_assert_int_eq(status_build(true, &arena), DS_ERR_DATA);
    ck_assert_ptr_null(arena);
    ck_assert_int_eq(status_build(false, &arena), DS_OK);
    ck_assert_ptr_nonnull(arena);
    ds_arena_destroy(&arena);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("status");
    tcase_add_loop_test(t, exit_codes_are_the_promised_ones, 0,
                        (int)(sizeof codes / sizeof *codes));
    tcase_add_test(t, messages_are_one_line_with_a_trace);
    tcase_add_test(t, long_messages_are_cut);
    tcase_add_test(t, threads_have_their_own_failure);
    tcase_add_test(t, locals_clean_themselves);
    return run_suite(t);
}
