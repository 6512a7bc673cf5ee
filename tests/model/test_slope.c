/* The slope at 0 of curves that bend at any distance and carry noise: it must lie within 2 doubts,
 * and the doubt must be small where some step allows it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/rng.h"

#include "../../workers/model/slope.h"

enum { CURVES = 400, POLES = 6, LONGEST = 100 };

/* Sum of height t / (1 + (t / reach)^2), whose series end at their reach, and of noise. */
typedef struct bends {
    double height[POLES], reach[POLES];
    double noise; /* uniform within +-noise sqrt(3) */
    ds_rng rng;
    uint64_t n; /* values asked for */
} bends;

static ds_status bends_at(void *context, double t, double *out)
{
    bends *self = context;
    double sum = self->noise * sqrt(3.0) * (2 * ds_rng_uniform(&self->rng, self->n++) - 1);
    for (int i = 0; i < POLES; i++)
        sum += self->height[i] * t / (1 + t * t / (self->reach[i] * self->reach[i]));
    *out = sum;
    return DS_OK;
}

/* Reaches between the least and 64 times that; heights so that each bends the values by some 0.01.
 */
static bends bends_make(uint64_t seed, double least, double noise)
{
    bends b = {.noise = noise, .rng = ds_rng_for(seed, "test/bends")};
    for (int i = 0; i < POLES; i++) {
        b.reach[i] = least * exp2(6 * ds_rng_uniform(&b.rng, (uint64_t)(1000000 + 2 * i)));
        b.height[i] = 0.01 * ds_rng_normal(&b.rng, (uint64_t)(2000000 + 2 * i)) / b.reach[i];
    }
    return b;
}

static double bends_slope(const bends *self)
{
    double sum = 0;
    for (int i = 0; i < POLES; i++)
        sum += self->height[i];
    return sum;
}

static ds_slope find(bends *b)
{
    ds_curve curve = {bends_at, b};
    ds_slope slope = {0, 0};
    double square = 0, sum = 0;
    for (int i = 0; i < 4; i++, sum += square)
        ck_assert_int_eq(ds_slope_noise(&curve, i, &square), DS_OK);
    ck_assert_int_eq(ds_slope_find(&curve, sqrt(sum / 4), &slope), DS_OK);
    return slope;
}

/* By the least reach: 1/128 needs steps of 1/1000. */
START_TEST(bent_curves)
{
    static const double least[] = {1.0 / 128, 1.0 / 32, 1.0 / 8, 1, 8};
    int outside = 0;
    double worst = 0, most = 0;
    for (uint64_t i = 0; i < CURVES; i++) {
        bends b = bends_make(i, least[_i], 1e-8);
        ds_slope s = find(&b);
        double off = fabs(s.value - bends_slope(&b));
        outside += off > 2 * s.doubt;
        worst = fmax(worst, off / s.doubt);
        most = fmax(most, s.doubt);
    }
    printf("# bends from %g on: %d of %d beyond 2 doubts, at most %.1f; largest doubt %.1e\n",
           least[_i], outside, CURVES, worst, most);
    ck_assert_int_le(outside, CURVES / 100);
    ck_assert_double_lt(worst, 4);
    ck_assert_double_lt(most, 2e-6 / least[_i]);
}
END_TEST

START_TEST(noise_alone)
{
    double least = (double)INFINITY;
    for (uint64_t i = 0; i < CURVES; i++) {
        bends b = bends_make(i, 1, 1e-8);
        memset(b.height, 0, sizeof b.height);
        ds_slope s = find(&b);
        ck_assert_double_le(fabs(s.value), 3 * s.doubt);
        least = fmin(least, s.doubt);
    }
    printf("# of noise of 1e-8: least doubt of a slope %.1e\n", least);
    ck_assert_double_gt(least, 5e-10);
}
END_TEST

static ds_status constant_at(void *context, double t, double *out)
{
    (void)t;
    *out = *(double *)context;
    return DS_OK;
}

static ds_status overflow_at(void *context, double t, double *out)
{
    double *end = context;
    *out = fabs(t) > *end ? (double)NAN : 3 * t + t * t * t;
    return DS_OK;
}

START_TEST(no_noise)
{
    double value = 7, end = 0.01;
    ds_slope s = {1, 1};
    ck_assert_int_eq(ds_slope_find(&(ds_curve){constant_at, &value}, 0, &s), DS_OK);
    ck_assert(s.value == 0 && s.doubt == 0);
    ck_assert_int_eq(ds_slope_find(&(ds_curve){overflow_at, &end}, 1e-12, &s), DS_OK);
    printf("# a curve that ends at 0.01: slope %.12g +- %.1e\n", s.value, s.doubt);
    ck_assert_double_lt(fabs(s.value - 3), 1e-6);
    ck_assert_double_lt(s.doubt, 1e-6);
    end = 0;
    ck_assert_int_eq(ds_slope_find(&(ds_curve){overflow_at, &end}, 1e-12, &s), DS_OK);
    ck_assert(s.value == 0 && s.doubt == (double)INFINITY);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("slope");
    TCase *t = tcase_create("slope");
    tcase_set_timeout(t, LONGEST);
    tcase_add_loop_test(t, bent_curves, 0, 5);
    tcase_add_test(t, noise_alone);
    tcase_add_test(t, no_noise);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
