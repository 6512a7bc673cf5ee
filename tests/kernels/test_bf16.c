/* Products of bfloat16: every way that this CPU can go gives the bits of the specification, of
 * denormal sums too; factors are rounded; c is added as float32. */
#include <stdio.h>

#include "../../workers/kernels/native_race.h"
#include "../base/suite.h"
#include "gemm_problem.h"

/* Calls check(native, ref) for each way, which products then go. */
static void every_way(void (*check)(const ds_kernels *native, const ds_kernels *ref))
{
    const ds_bf16_way *way;
    for (size_t i = 0; (way = ds_bf16_allowed(i)) != NULL; i++) {
        ds_bf16_take(way);
        check(ds_kernels_find("native")->bf16, ds_kernels_find("ref")->bf16);
        printf("# %s: good\n", way->name);
    }
    ds_bf16_take(NULL);
}

static void check_bits(const ds_kernels *native, const ds_kernels *ref)
{
    same_bits(native, ref, 1.0f);
    same_bits(native, ref, 0x1p-64f);
}

START_TEST(every_way_is_ref)
{
    every_way(check_bits);
    printf("# the fastest here: %s\n", ds_kernels_bf16_way());
}
END_TEST

static float product_of(const ds_kernels *k, float a, float b, float c)
{
    ds_gemm g = {.ta = 'N', .tb = 'N', .m = 1, .n = 1, .k = 1, .lda = 1, .ldb = 1, .ldc = 1};
    g.a = &a, g.b = &b, g.c = &c, g.beta = 1.0f;
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    return c;
}

/* As vdpbf16ps: sums below 2^-126 are zero, but c is added as a float32. So a product that adds to
 * c remains one that does not and an addition. */
static void check_flush(const ds_kernels *native, const ds_kernels *ref)
{
    const ds_kernels *both[] = {native, ref};
    for (int i = 0; i < 2; i++) {
        ck_assert(product_of(both[i], 0x1p-60f, 0x1p-66f, 0.0f) == 0x1p-126f);
        ck_assert(product_of(both[i], 0x1p-60f, 0x1p-67f, 0.0f) == 0.0f);
        ck_assert(product_of(both[i], 0x1p-60f, 0x1p-67f, 0x1p-130f) == 0x1p-130f);
        ck_assert(product_of(both[i], -0x1p-60f, 0x1p-66f, 0x1.8p-126f) == 0x1p-127f);
    }
}

START_TEST(tiny_sums_are_zero)
{
#if defined(__x86_64__)
    every_way(check_flush);
#endif
    volatile float half = 0x1p-126f;
    half *= 0.5f; /* nothing stays behind */
    ck_assert(half == 0x1p-127f);
}
END_TEST

static float bf16_nearest(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    u = (u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u; /* finite normal numbers */
    memcpy(&x, &u, sizeof x);
    return x;
}

/* bf16: as a product in double of the rounded factors; specials keep their kind. */
START_TEST(factors_are_rounded)
{
    ds_rng rng = ds_rng_for(12, "bf16");
    const ds_kernels *k = ds_kernels_find("native")->bf16;
    double worst = 0.0, whole = 0.0;
    for (uint64_t id = 0; id < N_SHAPES; id++) {
        problem p = problem_make(&rng, id);
        size_t n_a = (p.call.ta == 'N' ? p.call.m : p.call.k) * p.call.lda;
        size_t n_b = (p.call.tb == 'N' ? p.call.k : p.call.n) * p.call.ldb;
        whole = fmax(whole, problem_error(k, &p));
        for (size_t i = 0; i < n_a; i++)
            p.a[i] = bf16_nearest(p.a[i]);
        for (size_t i = 0; i < n_b; i++)
            p.b[i] = bf16_nearest(p.b[i]);
        worst = fmax(worst, problem_error(k, &p)); /* rounded already: only the sums' error */
        problem_free(&p);
    }
    printf("# bf16: worst error %.3g of |a||b|, %.3g of the rounded factors'\n", whole, worst);
    ck_assert(worst <= 1e-6 && whole > 1e-4 && whole <= 0x1p-7);
    float a[2] = {INFINITY, 1.0f}, b[2] = {1.0f, 3.4e38f}, c;
    ds_gemm g = {.ta = 'N', .tb = 'N', .m = 1, .n = 1, .k = 1, .lda = 2, .ldb = 1, .ldc = 1};
    g.a = a, g.b = b, g.c = &c;
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    ck_assert(isinf(c));
    a[0] = NAN;
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    ck_assert(isnan(c));
    uint32_t all_ones = 0x7fffffffu;
    memcpy(a, &all_ones, sizeof *a);
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    ck_assert(isnan(c));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("bf16");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_way_is_ref);
    tcase_add_test(t, tiny_sums_are_zero);
    tcase_add_test(t, factors_are_rounded);
    return run_suite(t);
}
