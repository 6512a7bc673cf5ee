/* Every kernel table against a product in double, on random shapes (0, 1 and primes among them),
 * all transposes and strides; the fuse probe; the tables are different functions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/kernels.h"
#include "descent/rng.h"

#include "gemm_problem.h"

START_TEST(products_are_right)
{
    const ds_kernels *k = ds_kernels_at((size_t)_i);
    ds_rng rng = ds_rng_for(7, "shapes");
    double worst = 0.0;
    for (uint64_t id = 0; id < N_SHAPES; id++) {
        problem p = problem_make(&rng, id);
        double error = problem_error(k, &p);
        ck_assert_msg(error <= 1e-6, "%s %c%c %zux%zux%zu beta %g: error %g", k->name, p.call.ta,
                      p.call.tb, p.call.m, p.call.n, p.call.k, (double)p.call.beta, error);
        worst = fmax(worst, error);
        problem_free(&p);
    }
    printf("# %s: %d shapes, worst error %.3g of |a||b|\n", k->name, N_SHAPES, worst);
}
END_TEST

/* Native products have the bits of the specification; the libraries, being others, do not. */
START_TEST(tables_differ_but_native)
{
    enum { M = 64, N = 96, K = 1009 };
    const ds_kernels *ref = ds_kernels_find("ref"), *k = ds_kernels_at((size_t)_i);
    if (k == ref)
        return;
    ck_assert(k->gemm != ref->gemm && k->activate != ref->activate && k->add != ref->add);
    ds_rng rng = ds_rng_for(8, "different");
    float *a = random_block(&rng, 0, M * K), *b = random_block(&rng, 1, K * N);
    static float c[2][M * N];
    ds_gemm g = {.ta = 'N', .tb = 'N', .m = M, .n = N, .k = K, .a = a, .lda = K, .b = b, .ldb = N};
    g.ldc = N;
    g.c = c[0];
    ck_assert_int_eq(ref->gemm(&g), DS_OK);
    g.c = c[1];
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    int differ = 0;
    for (int i = 0; i < M * N; i++)
        differ += memcmp(&c[0][i], &c[1][i], sizeof(float)) != 0;
    printf("# %s: %d of %d elements differ from ref in bits\n", k->name, differ, M * N);
    ck_assert_int_eq(differ > 0, k->product == NULL);
    free(a);
    free(b);
}
END_TEST

START_TEST(native_is_ref)
{
    const ds_kernels *native = ds_kernels_find("native"), *ref = ds_kernels_find("ref");
    same_bits(native, ref, 1.0f);
    same_bits(native, ref, 0x1p-64f);
}
END_TEST

/* The same call twice, at two addresses, gives the same bits. */
START_TEST(products_repeat)
{
    const ds_kernels *k = ds_kernels_at((size_t)_i);
    ds_rng rng = ds_rng_for(9, "repeat");
    for (uint64_t id = 0; id < 24; id++) {
        problem p = problem_make(&rng, id);
        float *moved = malloc((p.n_c + 17) * sizeof *moved);
        ck_assert_ptr_nonnull(moved);
        memcpy(p.c, p.c0, p.n_c * sizeof *p.c);
        memcpy(moved + 3, p.c0, p.n_c * sizeof *moved);
        ck_assert_int_eq(k->gemm(&p.call), DS_OK);
        p.call.c = moved + 3;
        ck_assert_int_eq(k->gemm(&p.call), DS_OK);
        ck_assert_mem_eq(p.c, moved + 3, p.n_c * sizeof *moved);
        free(moved);
        problem_free(&p);
    }
}
END_TEST

/* True if gemm with beta = 1 gave the bits of gemm with beta = 0 and an addition, on fresh data. */
static bool fused_as_separate(const ds_kernels *k, ds_gemm g, ds_rng *rng, uint64_t stream)
{
    g.lda = g.m + 16, g.ldb = g.ldc = g.n + 16;
    size_t n_c = g.m * g.ldc;
    float *a = random_block(rng, 3 * stream, g.k * g.lda);
    float *b = random_block(rng, 3 * stream + 1, g.k * g.ldb);
    float *c = random_block(rng, 3 * stream + 2, n_c), *d = random_block(rng, 3 * stream + 2, n_c);
    float *product = calloc(n_c, sizeof(float));
    g.a = a, g.b = b, g.c = c, g.beta = 1.0f;
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    g.c = product, g.beta = 0.0f;
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    for (size_t i = 0; i < g.m; i++)
        k->add(g.n, d + i * g.ldc, product + i * g.ldc);
    bool same = memcmp(c, d, n_c * sizeof(float)) == 0;
    free(a), free(b), free(c), free(d), free(product);
    return same;
}

/* The probe's word against fresh data, and again and again where a shape shows little at a time. */
START_TEST(fuse_keeps_its_word)
{
    static const size_t shape[][3] = {
        {128, 1024, 16}, {128, 1024, 32}, {256, 513, 64}, {100, 10, 8}, {1, 1, 1},   {33, 7, 256},
        {128, 10, 128},  {17, 1024, 31},  {1, 1, 2},      {1, 10, 32},  {10, 1, 32}, {2, 3, 5}};
    const ds_kernels *k = ds_kernels_at((size_t)_i);
    ds_rng rng = ds_rng_for(10, "fuse");
    int yes = 0, n = (int)(sizeof shape / sizeof *shape);
    for (int s = 0; s < n; s++) {
        ds_gemm g = {.ta = 'T', .tb = 'N', .m = shape[s][0], .n = shape[s][1], .k = shape[s][2]};
        if (!ds_kernels_fuse(k, g.ta, g.tb, g.m, g.n, g.k))
            continue;
        yes++;
        for (uint64_t r = 0; r < 1 + 2000 / (g.m * g.n); r++)
            ck_assert_msg(fused_as_separate(k, g, &rng, r), "%s %zux%zux%zu", k->name, g.m, g.n,
                          g.k);
    }
    printf("# %s: adds by itself in %d of %d gradient shapes\n", k->name, yes, n);
    ck_assert_int_gt(yes, 0);
    ck_assert(!ds_kernels_fuse(k, 'T', 'N', 128, 128, 257));
    ck_assert(!ds_kernels_fuse(k, 'T', 'N', 128, 128, 0));
    ck_assert(ds_kernels_fuse(k, 'T', 'N', 0, 128, 16));
}
END_TEST

/* A kernel that adds in another way (c first, then the products one by one) must be found out. */
static ds_status chain_gemm(const ds_gemm *g)
{
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            float sum = g->beta == 0.0f ? 0.0f : g->c[i * g->ldc + j];
            for (size_t p = 0; p < g->k; p++)
                sum += g->a[p * g->lda + i] * g->b[p * g->ldb + j];
            g->c[i * g->ldc + j] = sum;
        }
    return DS_OK;
}

START_TEST(fuse_finds_out)
{
    ds_kernels chain = *ds_kernels_find("ref");
    chain.gemm = chain_gemm;
    chain.product = NULL; /* not defined as ours are: probed */
    ck_assert(!ds_kernels_fuse(&chain, 'T', 'N', 1, 1, 2));
    ck_assert(!ds_kernels_fuse(&chain, 'T', 'N', 8, 8, 2));
    ck_assert(!ds_kernels_fuse(&chain, 'T', 'N', 128, 100, 32));
    ck_assert(ds_kernels_fuse(ds_kernels_find("ref"), 'T', 'N', 128, 100, 32));
}
END_TEST

/* Two threads where asked: right all the same; one thread again: the first bits again. */
START_TEST(threads_are_obeyed)
{
    enum { SIDE = 257 };
    const ds_kernels *k = ds_kernels_at((size_t)_i);
    static float c[3][SIDE * SIDE];
    ds_rng rng = ds_rng_for(11, "threads");
    float *a = random_block(&rng, 0, SIDE * SIDE), *b = random_block(&rng, 1, SIDE * SIDE);
    ds_gemm g = {.ta = 'N', .tb = 'N', .m = SIDE, .n = SIDE, .k = SIDE, .a = a, .b = b};
    g.lda = g.ldb = g.ldc = SIDE;
    for (int t = 0; t < 3; t++) {
        ck_assert_int_eq(ds_kernels_set_threads(t == 1 ? 2 : 1), DS_OK);
        g.c = c[t];
        ck_assert_int_eq(k->gemm(&g), DS_OK);
    }
    ck_assert_mem_eq(c[0], c[2], sizeof c[0]);
    double worst = 0.0;
    for (size_t i = 0; i < SIDE * SIDE; i++)
        worst = fmax(worst, fabs((double)c[0][i] - (double)c[1][i]));
    ck_assert(worst == 0.0 || k->product == NULL);
    printf("# %s: two threads within %.3g of one\n", k->name, worst);
    ck_assert(worst < 1e-4);
    free(a), free(b);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    float x[4] = {0};
    ds_gemm g = {.ta = 'N',
                 .tb = 'N',
                 .m = 2,
                 .n = 2,
                 .k = 2,
                 .a = x,
                 .b = x,
                 .c = x,
                 .lda = 2,
                 .ldb = 2,
                 .ldc = 1};
    for (size_t i = 0; ds_kernels_at(i); i++) {
        ck_assert_int_eq(ds_kernels_at(i)->gemm(&g), DS_ERR_INTERNAL);
        ds_gemm huge = {.ta = 'N',
                        .tb = 'N',
                        .m = (size_t)1 << 40,
                        .n = 1,
                        .k = 1,
                        .a = x,
                        .b = x,
                        .c = x,
                        .lda = 1,
                        .ldb = 1,
                        .ldc = 1};
        ck_assert_int_eq(ds_kernels_at(i)->gemm(&huge), DS_ERR_USAGE);
    }
    ck_assert_ptr_null(ds_kernels_find("openblass"));
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_kernels_at((size_t)n))
        n++;
    printf("# %d kernel tables\n", n);
    Suite *s = suite_create("gemm");
    TCase *t = tcase_create("every table");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, products_are_right, 0, n);
    tcase_add_loop_test(t, tables_differ_but_native, 0, n);
    tcase_add_test(t, native_is_ref);
    tcase_add_loop_test(t, products_repeat, 0, n);
    tcase_add_loop_test(t, fuse_keeps_its_word, 0, n);
    tcase_add_loop_test(t, threads_are_obeyed, 0, n);
    tcase_add_test(t, fuse_finds_out);
    tcase_add_test(t, bad_calls_are_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad || n < 3 ? EXIT_FAILURE : EXIT_SUCCESS;
}
