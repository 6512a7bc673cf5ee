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

/* What a schedule cannot do without. */
static const char *needed(const ds_lr_ops *o)
{
    static const char *const table[][2] = {{"step", "step_size=10000"},
                                           {"exponential", "gamma=0.9999"},
                                           {"warm_restarts", "period=1000"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(o->name, table[i][0]) == 0)
            return table[i][1];
    return "";
}

START_TEST(finite_and_positive)
{
    static const int64_t totals[] = {1, 7, 100000, INT64_MAX}, warmups[] = {0, 1, 50};
    const ds_lr_ops *o = ds_lr_at((size_t)_i);
    const void *options = options_of(o, needed(o));
    double least = HUGE_VAL, most = 0;
    for (size_t k = 0; k < 12; k++) {
        const ds_lr_common common = {0.1, warmups[k % 3], totals[k / 3], NULL};
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
    {"lr/exponential", "exponential", "gamma=0.93", 0},
    {"lr/polynomial", "polynomial", "", 0},
    {"lr/polynomial_power", "polynomial", "power=2.5", 0},
    {"lr/warm_restarts", "warm_restarts", "period=9", 0},
    {"lr/warm_restarts_factor", "warm_restarts", "period=3 factor=2 min=0.002", 0},
    {"lr/one_cycle", "one_cycle", "", 0},
    {"lr/one_cycle_linear", "one_cycle", "rise=0.45 div=10 final_div=100 shape=linear", 0},
};

START_TEST(as_pytorch)
{
    const ds_lr_ops *o = ds_lr_find(golden[_i].schedule);
    ck_assert_ptr_nonnull(o);
    const void *options = options_of(o, golden[_i].options);
    const ds_lr_common common = {0.1, golden[_i].warmup, TOTAL, NULL};
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

static const struct {
    const char *name, *options;
} plateau_golden[] = {
    {"lr/plateau", "patience=3"},
    {"lr/plateau_cooldown", "patience=1 cooldown=4 factor=0.5 min=0.01"},
    {"lr/plateau_abs", "patience=0 threshold=0.02 threshold_mode=abs factor=0.7"},
};

START_TEST(plateau_as_pytorch)
{
    const ds_lr_ops *o = ds_lr_find("plateau");
    ck_assert_ptr_nonnull(o);
    const void *options = options_of(o, plateau_golden[_i].options);
    double loss[TOTAL], x[TOTAL], most = 0;
    ds_lr_state state;
    ds_lr_reset(&state);
    ck_assert_uint_eq(golden_read(GOLDEN "/optim.txt", "lr/plateau_losses", TOTAL, loss), TOTAL);
    ck_assert_uint_eq(golden_read(GOLDEN "/optim.txt", plateau_golden[_i].name, TOTAL, x), TOTAL);
    const ds_lr_common common = {0.1, 0, INT64_MAX, &state};
    for (int64_t t = 0; t < TOTAL; t++) {
        o->observe(options, common.base, loss[t], &state);
        const double off = fabs(ds_lr_rate(o, options, &common, t) - x[t]) / x[t];
        most = off > most ? off : most;
        ck_assert_msg(off < 1e-9, "%s: loss %d off by %g", plateau_golden[_i].name, (int)t, off);
    }
    printf("# %s: off by %.2g from PyTorch (at most 1e-9), ends at %.3g\n", plateau_golden[_i].name,
           most, x[TOTAL - 1]);
    ck_assert(x[TOTAL - 1] < 0.09);
}
END_TEST

/* The formula in double, by hand: 40 updates, the last quarter of them falls. */
START_TEST(wsd_as_its_formula)
{
    static const char *const shape[] = {"linear", "sqrt", "cosine"};
    const ds_lr_ops *o = ds_lr_find("wsd");
    char text[64];
    snprintf(text, sizeof text, "decay=0.25 min=0.01 shape=%s", shape[_i]);
    const void *options = options_of(o, text);
    const ds_lr_common common = {0.1, 5, TOTAL + 5, NULL};
    double most = 0;
    for (int t = 0; t < TOTAL + 5; t++) {
        double x = t < 35 ? 0 : (t - 35) / 10.0, want = 0.1 * (t + 1) / 5;
        if (t >= 5)
            want = 0.01 + 0.09 * (_i == 0   ? 1 - x
                                  : _i == 1 ? 1 - sqrt(x)
                                            : (1 + cos(acos(-1.0) * x)) / 2);
        const double off = fabs(ds_lr_rate(o, options, &common, t) - want) / want;
        most = off > most ? off : most;
    }
    printf("# wsd %s: off by %.2g from the formula (at most 1e-12)\n", shape[_i], most);
    ck_assert(most < 1e-12);
}
END_TEST

START_TEST(impossible_options)
{
    static const char *const wrong[][2] = {{"step", ""},
                                           {"step", "step_size=0"},
                                           {"step", "step_size=2 gamma=0"},
                                           {"cosine", "min=-1"},
                                           {"exponential", ""},
                                           {"exponential", "gamma=0"},
                                           {"polynomial", "power=0"},
                                           {"warm_restarts", ""},
                                           {"warm_restarts", "period=0"},
                                           {"warm_restarts", "period=3 factor=0"},
                                           {"one_cycle", "rise=1.5"},
                                           {"one_cycle", "div=0.5"},
                                           {"one_cycle", "shape=square"},
                                           {"wsd", "decay=2"},
                                           {"plateau", "factor=1"},
                                           {"plateau", "patience=-1"},
                                           {"plateau", "watch=test"}};
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
    tcase_add_loop_test(t, plateau_as_pytorch, 0, 3);
    tcase_add_loop_test(t, wsd_as_its_formula, 0, 3);
    tcase_add_test(t, impossible_options);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
