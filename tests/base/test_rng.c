/* Random numbers: Philox4x32-10 against the known answers of Random123's kat_vectors (Salmon et
 * al.); moments and bins of uniform and normal numbers against their exact values, within 5
 * standard errors. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/rng.h"

#include "suite.h"

static const struct {
    uint32_t counter[4], key[2], out[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

START_TEST(philox_gives_the_known_answers)
{
    ds_rng rng = {{known[_i].key[0], known[_i].key[1]}};
    const uint32_t *c = known[_i].counter;
    uint32_t out[4];
    ds_rng_block(&rng, (uint64_t)c[3] << 32 | c[2], (uint64_t)c[1] << 32 | c[0], out);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(out[i], known[_i].out[i]);
}
END_TEST

enum { N = 200000, BINS = 64 };

START_TEST(uniform_numbers_are_uniform)
{
    ds_rng rng = ds_rng_for(1, "test/uniform");
    double sum = 0, squares = 0, chi = 0;
    int bin[BINS] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double x = ds_rng_uniform(&rng, i);
        ck_assert(x >= 0.0 && x < 1.0);
        sum += x;
        squares += x * x;
        bin[(int)(x * BINS)]++;
    }
    double mean = sum / N, variance = squares / N - mean * mean, expected = (double)N / BINS;
    for (int i = 0; i < BINS; i++)
        chi += (bin[i] - expected) * (bin[i] - expected) / expected;
    printf("# mean %.5f variance %.5f chi2 %.1f of %d\n", mean, variance, chi, BINS - 1);
    ck_assert_double_lt(fabs(mean - 0.5), 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_lt(fabs(variance - 1.0 / 12), 5 * sqrt(1.0 / 180 / N));
    ck_assert_double_lt(chi, BINS - 1 + 5 * sqrt(2.0 * (BINS - 1)));
}
END_TEST

START_TEST(normal_numbers_are_normal)
{
    ds_rng rng = ds_rng_for(1, "test/normal");
    double power[5] = {0}, inside = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = ds_rng_normal(&rng, i), y = 1;
        ck_assert(isfinite(x));
        inside += fabs(x) < 1;
        for (int k = 1; k <= 4; k++)
            power[k] += (y *= x) / N;
    }
    inside /= N;
    printf("# moments %.4f %.4f %.4f %.4f, within 1: %.4f\n", power[1], power[2], power[3],
           power[4], inside);
    ck_assert_double_lt(fabs(power[1]), 5 * sqrt(1.0 / N));
    ck_assert_double_lt(fabs(power[2] - 1), 5 * sqrt(2.0 / N));
    ck_assert_double_lt(fabs(power[3]), 5 * sqrt(15.0 / N));
    ck_assert_double_lt(fabs(power[4] - 3), 5 * sqrt(96.0 / N));
    ck_assert_double_lt(fabs(inside - 0.682689492137), 5 * sqrt(0.2166 / N));
}
END_TEST

/* Streams of other seeds or purposes share nothing; the same stream is the same. */
START_TEST(streams_are_keyed)
{
    ds_rng a = ds_rng_for(1, "init/dense1/weight"), b = ds_rng_for(1, "init/dense1/bias");
    ds_rng c = ds_rng_for(2, "init/dense1/weight"), d = ds_rng_for(1, "init/dense1/weight");
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t x = ds_rng_bits(&a, i);
        same += x == ds_rng_bits(&b, i) || x == ds_rng_bits(&c, i);
        ck_assert_uint_eq(x, ds_rng_bits(&d, i));
    }
    printf("# %d of 1000 equal\n", same);
    ck_assert_int_eq(same, 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("rng");
    tcase_add_loop_test(t, philox_gives_the_known_answers, 0, 3);
    tcase_add_test(t, uniform_numbers_are_uniform);
    tcase_add_test(t, normal_numbers_are_normal);
    tcase_add_test(t, streams_are_keyed);
    return run_suite(t);
}
