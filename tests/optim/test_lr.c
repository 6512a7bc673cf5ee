/* Every schedule of the table stays finite and positive; and PyTorch's numbers. */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "descent/lr.h"

#include "../golden/golden.h"
#include "with_options.h"

enum { TOTAL = 40 };

static double options_room[16];
static ds_arena *arena;

static void set_up(void)
{
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
}

static void tear_down(void)
{
    ds_arena_destroy(&arena);
}

static const void *options_of(const ds_lr_ops *o, const char *text)
{
    ck_assert_uint_le(o->options_size, sizeof options_room);
    ck_assert_msg(with_options(o->options, text, arena, options_room) == DS_OK, "%s: %s", o->name,
                  ds_last_error());
    return options_room;
}

START_TEST(finite_and_positive)
{
    static const int64_t totals[] = {1, 7, 100000, INT64_MAX}, warmups[] = {0, 1, 50};
    const ds_lr_ops *o = ds_lr_at((size_t)_i);
    const void *options = options_of(o, strcmp(o->name, "step") ? "" : "step_size=10000");
    double least = HUGE_VAL, most = 0;
    for (size_t k = 0; k < 12; k++) {
        const ds_lr_common common = {0.1, warmups[k % 3], totals[k / 3]};
        ck_assert_int_eq(ds_lr_check(o, &common) == DS_OK, !o->needs_total || k < 9);
        if (ds_lr_check(o, &common) != DS_OK)
            continue;
        for (int64_t t = 0; t < common.total_steps && t < 100000; t++) {
            const double rate = ds_lr_rate(o, options, &common, t);
            least = rate < least ? rate : least;
            most = isnan(most) || rate <= most ? most : rate; /* a NaN stays */
        }
    }
    printf("# %s: from %.3g to %.3g at base 0.1\n", o->name, least, most);
    ck_assert(least > 0 && most <= 0.1);
    ck_assert_ptr_eq(ds_lr_find(o->name), o);
}
END_TEST

static const struct {
    const char *name, *schedule, *options;
    int64_t warmup;
} golden[] = {
    {"lr/constant", "constant", "", 0},
    {"lr/step", "step", "step_size=7 gamma=0.5", 0},
    {"lr/cosine", "cosine", "", 0},
    {"lr/cosine_warm", "cosine", "min=0.001", 5},
};

START_TEST(as_pytorch)
{
    const ds_lr_ops *o = ds_lr_find(golden[_i].schedule);
    ck_assert_ptr_nonnull(o);
    const void *options = options_of(o, golden[_i].options);
    const ds_lr_common common = {0.1, golden[_i].warmup, TOTAL};
    double x[TOTAL], most = 0;
    ck_assert_uint_eq(golden_read(GOLDEN "/optim.txt", golden[_i].name, TOTAL, x), TOTAL);
    for (int64_t t = 0; t < TOTAL; t++) {
        const double off = fabs(ds_lr_rate(o, options, &common, t) - x[t]) / x[t];
        most = off > most ? off : most;
        ck_assert_msg(off < 1e-9, "%s: update %d off by %g", golden[_i].name, (int)t, off);
    }
    printf("# %s: off by %.2g from PyTorch (at most 1e-9)\n", golden[_i].name, most);
}
END_TEST

START_TEST(impossible_options)
{
    static const char *const wrong[][2] = {{"step", ""},
                                           {"step", "step_size=0"},
                                           {"step", "step_size=2 gamma=0"},
                                           {"cosine", "min=-1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const ds_lr_ops *o = ds_lr_find(wrong[i][0]);
        ck_assert_int_eq(with_options(o->options, wrong[i][1], arena, options_room), DS_ERR_USAGE);
        printf("# %s\n", ds_last_error());
    }
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_lr_at((size_t)n))
        n++;
    printf("# %d schedules\n", n);
    if (n == 0)
        return EXIT_FAILURE;
    Suite *s = suite_create("lr");
    TCase *t = tcase_create("every schedule");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, finite_and_positive, 0, n);
    tcase_add_loop_test(t, as_pytorch, 0, (int)(sizeof golden / sizeof *golden));
    tcase_add_test(t, impossible_options);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
