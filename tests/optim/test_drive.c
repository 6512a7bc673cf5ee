/* Optimizers that drive, on analytic functions: Rosenbrock's valley, a bowl, a saddle. Minima are
 * known in closed form; so is where there are none. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/optim.h"

#include "with_options.h"

enum { WIDTH = 16, MOST = 8 };

typedef double function(const double *x, double *g);

static double rosenbrock(const double *x, double *g)
{
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return a * a + 100 * b * b;
}

static double bowl(const double *x, double *g)
{
    g[0] = 2 * x[0];
    g[1] = 8 * x[1];
    return x[0] * x[0] + 4 * x[1] * x[1];
}

/* x^2 - y^2 + y^4 / 2: a saddle at 0, minima -1/2 at (0, +-1). */
static double saddle(const double *x, double *g)
{
    g[0] = 2 * x[0];
    g[1] = -2 * x[1] + 2 * x[1] * x[1] * x[1];
    return x[0] * x[0] - x[1] * x[1] + x[1] * x[1] * x[1] * x[1] / 2;
}

/* Hills and hollows down a slope: gradients that rise and fall. */
static double wave(const double *x, double *g)
{
    g[0] = 3 * cos(3 * x[0]) + 0.5;
    g[1] = -2 * sin(2 * x[1]) + 0.1 * x[1];
    return sin(3 * x[0]) + 0.5 * x[0] + cos(2 * x[1]) + 0.05 * x[1] * x[1];
}

/* Not finite for x < 0. */
static double cliff(const double *x, double *g)
{
    g[0] = 1 - 1 / x[0];
    g[1] = 2 * x[1];
    return x[0] - log(x[0]) + x[1] * x[1];
}

/* Without a lower bound: x^2 - y^2, planes, -x^4 + y^2. */
static double ridge(const double *x, double *g)
{
    g[0] = 2 * x[0];
    g[1] = -2 * x[1];
    return x[0] * x[0] - x[1] * x[1];
}

static double plane(const double *x, double *g)
{
    g[0] = 3;
    g[1] = -0.5;
    return 3 * x[0] - 0.5 * x[1] + 7;
}

static double gentle_plane(const double *x, double *g)
{
    g[0] = 1e-5;
    g[1] = 1e-5;
    return 1e-5 * (x[0] + x[1]);
}

static double steep_plane(const double *x, double *g)
{
    g[0] = -1e12;
    g[1] = 0;
    return -1e12 * x[0];
}

static double hill(const double *x, double *g)
{
    g[0] = -4 * x[0] * x[0] * x[0];
    g[1] = 2 * x[1];
    return x[1] * x[1] - x[0] * x[0] * x[0] * x[0];
}

/* Distances from far points: planes at first, but never negative. */
static double far(double at, const double *x, double *g)
{
    const double length = sqrt(1 + (x[0] - at) * (x[0] - at));
    g[0] = (x[0] - at) / length;
    g[1] = 2 * x[1];
    return length + x[1] * x[1];
}

static double far_point(const double *x, double *g)
{
    return far(1e4, x, g);
}

static double farther_point(const double *x, double *g)
{
    return far(1e13, x, g);
}

/* A gradient that points the wrong way. */
static double wrong_way(const double *x, double *g)
{
    g[0] = -2 * x[0];
    g[1] = -2 * x[1];
    return x[0] * x[0] + x[1] * x[1];
}

static struct {
    function *f;
    int asked;
    bool diverged, stuck; /* how the last run ended */
} asked;

static ds_status ask(ds_drive *self, const float *w, double *loss, float *g)
{
    double x[2] = {(double)w[0], (double)w[1]}, slope[2];
    (void)self;
    asked.asked++;
    memset(g, 0, WIDTH * sizeof *g);
    *loss = asked.f(x, slope);
    if (!isfinite(*loss) || !isfinite(slope[0]))
        *loss = (double)INFINITY;
    g[0] = (float)slope[0];
    g[1] = (float)slope[1];
    return DS_OK;
}

static double dot(ds_drive *self, const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < self->n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Each pair in lbfgs's ring goes with its curvature s.y > 0. Numbers: loss, pairs, the next place,
 * curvatures. */
static void pairs_are_whole(const char *name, const char *text, ds_drive *drive)
{
    const char *given = strstr(text, "memory=");
    const int64_t memory = given != NULL ? atoi(given + strlen("memory=")) : 10;
    const int64_t pairs = (int64_t)drive->number[1], next = (int64_t)drive->number[2];
    for (int64_t k = 1; strcmp(name, "lbfgs") == 0 && k <= pairs; k++) {
        const int64_t i = (next - k + memory) % memory;
        const double curvature = dot(drive, drive->slot[1 + 2 * i], drive->slot[2 + 2 * i]);
        ck_assert_msg(curvature > 0 && fabs(curvature - drive->number[3 + i]) <= 0,
                      "pair %d of %d: s.y is %g, kept %g", (int)k, (int)pairs, curvature,
                      drive->number[3 + i]);
    }
}

/* Steps until the loss is `low` or the optimizer is done; at most `most`. */
static int run(const char *name, const char *text, function *f, const double *start, double low,
               int most, float *w)
{
    static const size_t at[2] = {0, 1};
    static float slot[DS_OPTIM_MAX_SLOTS][WIDTH], work[DS_OPTIM_MAX_WORK][WIDTH];
    static double number[DS_OPTIM_MAX_NUMBERS], room[64], options[16];
    const ds_optim_ops *o = ds_optim_find(name);
    ds_arena *arena = NULL;
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
    ck_assert_int_eq(with_options(o->options, text, arena, options), DS_OK);
    ds_arena_destroy(&arena);
    memset(number, 0, sizeof number);
    memset(w, 0, WIDTH * sizeof *w);
    w[0] = (float)start[0];
    w[1] = (float)start[1];
    asked.f = f;
    asked.asked = 0;
    asked.diverged = asked.stuck = false;
    int n = 0;
    double loss = HUGE_VAL, g[2];
    for (bool done = false; n < most && !done && loss > low; n++) {
        ds_drive drive = {.n = WIDTH,
                          .n_elements = 2,
                          .at = at,
                          .w = w,
                          .number = number,
                          .room = room,
                          .fresh = n == 0,
                          .ask = ask,
                          .dot = dot};
        ck_assert_uint_le(o->room ? o->room(2) : 0, 64);
        for (size_t i = 0; i < o->n_slots; i++)
            drive.slot[i] = slot[i];
        for (size_t i = 0; i < o->n_work; i++)
            drive.work[i] = work[i];
        const ds_status st = o->drive(options, &drive);
        asked.diverged = st == DS_ERR_DIVERGED;
        asked.stuck = drive.stuck;
        ck_assert_msg(st == DS_OK || asked.diverged, "%s: %s", name, ds_last_error());
        ck_assert(isfinite(drive.loss));
        pairs_are_whole(name, text, &drive);
        done = drive.done || asked.diverged;
        loss = f((double[]){(double)w[0], (double)w[1]}, g);
    }
    printf("# %s from (%g, %g): loss %.3g at (%.6f, %.6f) after %d steps, %d questions\n", name,
           start[0], start[1], loss, (double)w[0], (double)w[1], n, asked.asked);
    if (asked.diverged)
        printf("# %s\n", ds_last_error());
    return n;
}

START_TEST(lbfgs_goes_down_the_valley)
{
    static const double starts[][2] = {{-1.2, 1}, {0, 0}, {2, -1}, {-3, 4}};
    static const char *const options[] = {"", "memory=3"};
    float w[WIDTH];
    double g[2];
    for (size_t i = 0; i < 8; i++) {
        const int n = run("lbfgs", options[i % 2], rosenbrock, starts[i / 2], 1e-8, 200, w);
        ck_assert_int_lt(n, 60);
        ck_assert(rosenbrock((double[]){(double)w[0], (double)w[1]}, g) <= 1e-8);
        ck_assert(fabs((double)w[0] - 1) < 1e-3 && fabs((double)w[1] - 1) < 1e-3);
    }
}
END_TEST

START_TEST(newton_solves_a_bowl_in_one_step)
{
    float w[WIDTH];
    ck_assert_int_eq(run("newton", "", bowl, (double[]){3, -2}, 1e-10, 10, w), 1);
    ck_assert_int_eq(run("newton", "difference=1", bowl, (double[]){-50, 20}, 1e-10, 10, w), 1);
}
END_TEST

START_TEST(newton_goes_down_the_valley)
{
    float w[WIDTH];
    ck_assert_int_lt(
        run("newton", "difference=0.001", rosenbrock, (double[]){-1.2, 1}, 1e-8, 100, w), 40);
}
END_TEST

START_TEST(neither_stays_on_a_saddle)
{
    static const char *const name[] = {"lbfgs", "newton"};
    float w[WIDTH];
    for (size_t i = 0; i < 2; i++) {
        run(name[i], "", saddle, (double[]){1, 0.1}, -0.5 + 1e-6, 60, w);
        ck_assert(fabs((double)w[0]) < 1e-2 && fabs(fabs((double)w[1]) - 1) < 1e-2);
    }
}
END_TEST

/* One trial a step leaves the Wolfe conditions unmet: some pairs have no upward curvature. */
START_TEST(lbfgs_keeps_no_half_of_a_pair)
{
    static const char *const options[] = {"memory=1 line_search=1", "memory=2 line_search=1",
                                          "memory=3 line_search=1"};
    float w[WIDTH];
    for (size_t i = 0; i < 3; i++)
        for (int k = 0; k < 40; k++)
            run("lbfgs", options[i], wave, (double[]){0.1 * k, 1 - 0.07 * k}, -HUGE_VAL, 30, w);
}
END_TEST

/* Trial points beyond a cliff are turned back from. */
START_TEST(lbfgs_turns_back_from_infinity)
{
    float w[WIDTH];
    run("lbfgs", "", cliff, (double[]){9, 3}, 1 + 1e-8, 60, w);
    ck_assert(fabs((double)w[0] - 1) < 1e-3 && fabs((double)w[1]) < 1e-3);
}
END_TEST

/* At the minimum there is nothing to gain: the run is done, the point stays. */
START_TEST(done_at_the_minimum)
{
    static const char *const name[] = {"lbfgs", "newton"};
    float w[WIDTH];
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(run(name[i], "", bowl, (double[]){0, 0}, -1, 10, w), 1);
        ck_assert(w[0] == 0 && w[1] == 0);
        ck_assert_int_lt(run(name[i], "", bowl, (double[]){1, 1}, -1, 50, w), 50);
    }
}
END_TEST

START_TEST(diverges_without_a_lower_bound)
{
    static const struct {
        function *f;
        double start[2];
    } falls[] = {{ridge, {1, 0.01}},     {ridge, {1, 0.5}},    {ridge, {1e3, 1e18}},
                 {plane, {0, 0}},        {plane, {-1e5, 1e5}}, {gentle_plane, {0, 0}},
                 {steep_plane, {-1, 1}}, {hill, {0.5, 1}}};
    static const char *const runs[][2] = {
        {"lbfgs", ""}, {"lbfgs", "line_search=2"}, {"newton", ""}, {"newton", "damping=3"}};
    float w[WIDTH];
    for (size_t i = 0; i < sizeof falls / sizeof *falls; i++)
        for (size_t k = 0; k < 4; k++) {
            if (fabs(falls[i].start[1]) > 1e6 && strcmp(runs[k][0], "newton") == 0)
                continue; /* its differences are lost there */
            run(runs[k][0], runs[k][1], falls[i].f, falls[i].start, -HUGE_VAL, 200, w);
            ck_assert_msg(asked.diverged, "%s %s goes on", runs[k][0], runs[k][1]);
        }
}
END_TEST

START_TEST(far_minima_are_no_divergence)
{
    static const char *const name[] = {"lbfgs", "newton"};
    float w[WIDTH];
    for (size_t i = 0; i < 2; i++) {
        run(name[i], "", far_point, (double[]){0, 1}, 1.5, 60, w);
        ck_assert(!asked.diverged);
        run(name[i], "", saddle, (double[]){0, 1e-8}, -0.5 + 1e-6, 60, w);
        ck_assert(!asked.diverged);
    }
    ck_assert(fabs(fabs((double)w[1]) - 1) < 1e-2);
    run("lbfgs", "", farther_point, (double[]){0, 1}, 1.5, 60, w);
    ck_assert(!asked.diverged);
}
END_TEST

/* A line search that fails where the gradient is not small has not converged. */
START_TEST(stuck_is_not_converged)
{
    static const char *const name[] = {"lbfgs", "newton"};
    float w[WIDTH];
    for (size_t i = 0; i < 2; i++) {
        run(name[i], "", wrong_way, (double[]){3, 1}, -1, 10, w);
        ck_assert(asked.stuck && !asked.diverged);
        run(name[i], "", rosenbrock, (double[]){-1.2, 1}, -1, 200, w);
        ck_assert(!asked.stuck && !asked.diverged);
    }
}
END_TEST

/* Beside a weight of 1e6 a difference of 0.01 is nothing in float: said, not divided by. */
static ds_status flat_ask(ds_drive *self, const float *w, double *loss, float *g)
{
    (void)self, (void)w;
    memset(g, 0, WIDTH * sizeof *g);
    g[0] = 1;
    *loss = 1;
    return DS_OK;
}

START_TEST(newton_names_a_difference_that_is_lost)
{
    static const size_t at[1] = {0};
    float w[WIDTH] = {1e6f}, work[3][WIDTH];
    double room[3], options[16];
    const ds_optim_ops *o = ds_optim_find("newton");
    ds_arena *arena = NULL;
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
    ck_assert_int_eq(with_options(o->options, "", arena, options), DS_OK);
    ds_arena_destroy(&arena);
    ds_drive drive = {.n = WIDTH,
                      .n_elements = 1,
                      .at = at,
                      .w = w,
                      .work = {work[0], work[1], work[2]},
                      .room = room,
                      .fresh = true,
                      .ask = flat_ask,
                      .dot = dot};
    ck_assert_int_eq(o->drive(options, &drive), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_ptr_nonnull(strstr(ds_last_error(), "difference 0.01"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("drive");
    TCase *t = tcase_create("optimizers that drive");
    tcase_add_test(t, lbfgs_goes_down_the_valley);
    tcase_add_test(t, newton_solves_a_bowl_in_one_step);
    tcase_add_test(t, newton_goes_down_the_valley);
    tcase_add_test(t, neither_stays_on_a_saddle);
    tcase_add_test(t, lbfgs_keeps_no_half_of_a_pair);
    tcase_add_test(t, lbfgs_turns_back_from_infinity);
    tcase_add_test(t, done_at_the_minimum);
    tcase_add_test(t, diverges_without_a_lower_bound);
    tcase_add_test(t, far_minima_are_no_divergence);
    tcase_add_test(t, stuck_is_not_converged);
    tcase_add_test(t, newton_names_a_difference_that_is_lost);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
