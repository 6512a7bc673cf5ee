/* ds_kernels_affine of every table has the bits of its gemm and then its bias, whatever tiles
 * compute it: shapes around the tiles' sides and the depth of 256, all transposes, beta 0 and 1;
 * and one small product by hand. */
#include <stdio.h>
#include <string.h>

#include "descent/kernels.h"
#include "descent/rng.h"

#include "../../workers/kernels/native_race.h"
#include "../base/suite.h"

enum { SIDE = 72, DEPTH = 300, LDC = SIDE + 3 };

static float a[SIDE * DEPTH], b[SIDE * DEPTH], bias[SIDE], start[SIDE * LDC];

static void fill(size_t n, const char *purpose, float *x)
{
    ds_rng rng = ds_rng_for(17, purpose);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)ds_rng_uniform(&rng, i) - 0.5f;
}

static void same_bits(const ds_kernels *k, ds_gemm g)
{
    static float apart[SIDE * LDC], together[SIDE * LDC];
    memcpy(apart, start, sizeof apart);
    memcpy(together, start, sizeof together);
    g.c = apart;
    ck_assert_int_eq(k->gemm(&g), DS_OK);
    k->bias(g.m, g.n, bias, apart, g.ldc);
    g.c = together;
    ck_assert_int_eq(ds_kernels_affine(k, &g, bias), DS_OK);
    if (memcmp(apart, together, sizeof apart) != 0)
        ck_abort_msg("%s: %c%c %zu x %zu x %zu, beta %g: bits differ", k->name, g.ta, g.tb, g.m,
                     g.n, g.k, (double)g.beta);
}

static size_t all_shapes(const ds_kernels *k)
{
    static const size_t m[] = {1, 15, 29}, n[] = {1, 16, 31, 32, 64, 65, SIDE},
                        depth[] = {0, 1, 256, 257, DEPTH};
    size_t done = 0;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 7; j++)
            for (size_t d = 0; d < 5; d++)
                for (int t = 0; t < 8; t++, done++) {
                    ds_gemm g = {.ta = t & 1 ? 'T' : 'N',
                                 .tb = t & 2 ? 'T' : 'N',
                                 .m = m[i],
                                 .n = n[j],
                                 .k = depth[d],
                                 .a = a,
                                 .b = b,
                                 .beta = t & 4 ? 1.0f : 0.0f,
                                 .ldc = LDC};
                    g.lda = g.ta == 'N' ? DEPTH : SIDE;
                    g.ldb = g.tb == 'N' ? SIDE : DEPTH;
                    same_bits(k, g);
                }
    return done;
}

START_TEST(bits_of_both)
{
    const ds_kernels *k = ds_kernels_at((size_t)_i);
    size_t done = all_shapes(k);
    const ds_bf16_way *way = NULL;
    for (size_t i = 0; k->bf16 != NULL && (way = ds_bf16_allowed(i)) != NULL; i++) {
        ds_bf16_take(way);
        done += all_shapes(k->bf16);
    }
    ds_bf16_take(NULL);
    printf("# %s: %zu products\n", k->name, done);
}
END_TEST

/* (1 2; 3 4) (5 6; 7 8) + (100 200) = (119 222; 143 250). */
START_TEST(by_hand)
{
    static const float x[] = {1, 2, 3, 4}, w[] = {5, 6, 7, 8}, add[] = {100, 200};
    float y[4];
    const ds_gemm g = {.ta = 'N',
                       .tb = 'N',
                       .m = 2,
                       .n = 2,
                       .k = 2,
                       .a = x,
                       .lda = 2,
                       .b = w,
                       .ldb = 2,
                       .c = y,
                       .ldc = 2};
    static const float expected[] = {119, 222, 143, 250};
    ck_assert_int_eq(ds_kernels_affine(ds_kernels_at((size_t)_i), &g, add), DS_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq((double)y[i], (double)expected[i]);
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_kernels_at((size_t)n) != NULL)
        n++;
    fill(SIDE * DEPTH, "a", a);
    fill(SIDE * DEPTH, "b", b);
    fill(SIDE, "bias", bias);
    fill(SIDE * LDC, "c", start);
    TCase *t = tcase_create("affine");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, bits_of_both, 0, n);
    tcase_add_loop_test(t, by_hand, 0, n);
    return run_suite(t);
}
