/* Element-wise kernels. Exact operations: the bits of `ref`, at every length and offset. Smooth
 * ones: within 1e-6 of libm in double, gelu Phi's. All: the same bits as the same source compiled
 * for each instruction set of this CPU without clones, and as a range cut anywhere. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/kernels.h"
#include "descent/rng.h"

enum { N = 1000, MARGIN = 16 };
static const char *const act_name[] = {"none", "relu", "leaky_relu", "sigmoid", "tanh", "gelu"};

static const ds_kernels *fast, *ref;

/* The same sources compiled for one instruction set each. */
#define DECLARE(isa)                                                                            \
    void isa##_activate(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,  \
                        float *y, size_t ldy);                                                  \
    void isa##_activate_gradient(ds_activation f, size_t rows, size_t cols, const float *x,     \
                                 size_t ldx, const float *y, size_t ldy, const float *dy,       \
                                 size_t lddy, float *dx, size_t lddx);                          \
    void isa##_softmax(size_t rows, size_t cols, const float *x, size_t ldx, float *y,          \
                       size_t ldy);                                                             \
    void isa##_add(size_t n, float *restrict dst, const float *restrict src);                   \
    void isa##_sum(size_t n, float *restrict dst, const float *restrict a,                      \
                   const float *restrict b);                                                    \
    double isa##_squares(size_t n, const float *x);                                             \
    bool isa##_finite(size_t n, const float *x);                                                \
    void isa##_bias(size_t rows, size_t cols, const float *bias, float *y, size_t ldy);         \
    void isa##_bias_gradient(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst, \
                             bool add);                                                         \
    static const ds_kernels variant_##isa = {.name = #isa,                                      \
                                             .add = isa##_add,                                  \
                                             .sum = isa##_sum,                                  \
                                             .squares = isa##_squares,                          \
                                             .finite = isa##_finite,                            \
                                             .bias = isa##_bias,                                \
                                             .bias_gradient = isa##_bias_gradient,              \
                                             .activate = isa##_activate,                        \
                                             .activate_gradient = isa##_activate_gradient,      \
                                             .softmax = isa##_softmax};
DECLARE(base)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

/* The i-th variant that this CPU can run. */
static const ds_kernels *variant_at(int i)
{
    const ds_kernels *all[3] = {&variant_base, NULL, NULL};
    int n = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        all[n++] = &variant_avx2;
    if (__builtin_cpu_supports("avx512f"))
        all[n++] = &variant_avx512;
#endif
    return i < n ? all[i] : NULL;
}

/* Values of all sizes, both signs, zeros of both signs among them. */
static void fill(const char *purpose, size_t n, float *x)
{
    ds_rng rng = ds_rng_for(3, purpose);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = ds_rng_bits(&rng, i);
        x[i] = (float)ds_rng_normal(&rng, i) * ldexpf(1.0f, (int)(bits % 9) - 5);
        if (bits % 61 == 0)
            x[i] = bits & 1024 ? -0.0f : 0.0f;
    }
}

/* All results of a table on one set of data, one after the other. */
static size_t run_all(const ds_kernels *k, size_t n, const float *a, const float *b, float *out)
{
    size_t used = 0, cols = n / 7, ld = cols + 5;
    memcpy(out, a, n * sizeof *out);
    k->add(n, out, b);
    k->sum(n, out + (used += n), a, b);
    double squares = k->squares(n, a);
    memcpy(out + (used += n), &squares, sizeof squares);
    used += 2;
    out[used++] = k->finite(n, a);
    memcpy(out + used, a, n * sizeof *out);
    k->bias(n / (cols + 1), cols, b, out + used, cols + 1);
    used += n;
    k->bias_gradient(n / (cols + 1), cols, a, cols + 1, out + used, false);
    memcpy(out + (used += cols), b, cols * sizeof *out);
    k->bias_gradient(n / (cols + 1), cols, a, cols + 1, out + used, true);
    used += cols;
    for (ds_activation f = DS_ACT_NONE; f <= DS_ACT_GELU; f++) {
        memset(out + used, 0, 10 * ld * sizeof *out);
        k->activate(f, 5, cols, a, cols, out + used, ld);
        k->activate_gradient(f, 5, cols, a, cols, out + used, ld, b, cols, out + used + 5 * ld, ld);
        used += 10 * ld;
    }
    k->softmax(5, cols, a, cols, out + used, cols);
    return used + 5 * cols;
}

START_TEST(variants_agree)
{
    static float a[N], b[N], want[40 * N], got[40 * N];
    const ds_kernels *k = variant_at(_i);
    fill("a", N, a);
    fill("b", N, b);
    size_t total = 0;
    for (size_t n = 7; n <= N; n = n < 80 ? n + 1 : n + 97) {
        memset(want, 0, sizeof want);
        memset(got, 0, sizeof got);
        size_t used = run_all(fast, n, a, b, want);
        ck_assert_uint_eq(run_all(k, n, a, b, got), used);
        for (size_t i = 0; i < used; i++)
            ck_assert_msg(memcmp(want + i, got + i, sizeof *got) == 0,
                          "n %zu, result %zu: %a, %s gives %a", n, i, (double)want[i], k->name,
                          (double)got[i]);
        total += used;
    }
    printf("# %s: %zu results equal in bits to the clones'\n", k->name, total);
}
END_TEST

START_TEST(exact_operations)
{
    static float a[N + 64], b[N + 64], x[N + 64], y[N + 64];
    size_t checks = 0;
    fill("a", N + 64, a);
    fill("b", N + 64, b);
    for (size_t n = 0; n <= N; n = n < 70 ? n + 1 : n + 31)
        for (size_t o = 0; o < 4; o++, checks++) {
            memcpy(x, a, sizeof x), memcpy(y, a, sizeof y);
            fast->add(n, x + o, b + 2 * o), ref->add(n, y + o, b + 2 * o);
            ck_assert_mem_eq(x, y, sizeof x);
            fast->sum(n, x, a + o, b), ref->sum(n, y, a + o, b);
            ck_assert_mem_eq(x, y, sizeof x);
            ck_assert(fast->squares(n, a + o) == ref->squares(n, a + o));
            size_t rows = n / 13;
            memcpy(x, a, sizeof x), memcpy(y, a, sizeof y);
            fast->bias(rows, 11, b, x + o, 13), ref->bias(rows, 11, b, y + o, 13);
            ck_assert_mem_eq(x, y, sizeof x);
            for (int add = 0; add < 2; add++) {
                fast->bias_gradient(n % 9, n / 9, a + o, n / 9 + o, x, add == 1);
                ref->bias_gradient(n % 9, n / 9, a + o, n / 9 + o, y, add == 1);
                ck_assert_mem_eq(x, y, sizeof x);
            }
        }
    printf("# %zu lengths and offsets\n", checks);
    ck_assert(ref->add != fast->add && ref->squares != fast->squares && ref->bias != fast->bias &&
              ref->finite != fast->finite && ref->bias_gradient != fast->bias_gradient);
}
END_TEST

/* dst + (sum of rows) by one rounding: 2^24 + (1 + 1) is 2^24 + 2; one by one it stays 2^24. */
START_TEST(bias_gradient_rounds_once)
{
    static const float dy[2] = {1.0f, 1.0f};
    for (size_t i = 0; ds_kernels_at(i); i++) {
        float dst = 16777216.0f;
        ds_kernels_at(i)->bias_gradient(2, 1, dy, 1, &dst, true);
        printf("# %s: 2^24 + (1 + 1) = %.1f\n", ds_kernels_at(i)->name, (double)dst);
        ck_assert(dst == 16777218.0f);
    }
}
END_TEST

START_TEST(finite_sees_everything)
{
    static float x[9001];
    static const float odd[] = {INFINITY, -INFINITY, NAN, -NAN};
    static const float fine[] = {3.4028235e38f, -3.4028235e38f, 1e-45f, -0.0f};
    int found = 0;
    for (size_t i = 0; ds_kernels_at(i); i++) {
        const ds_kernels *k = ds_kernels_at(i);
        ck_assert(k->finite(0, x));
        for (size_t at = 0; at < 9001; at += at < 40 || at > 8960 ? 1 : 211)
            for (size_t v = 0; v < 4; v++) {
                x[at] = fine[v];
                ck_assert(k->finite(9001, x));
                x[at] = odd[v];
                ck_assert(!k->finite(9001, x));
                x[at] = 0.0f;
                found++;
            }
    }
    printf("# %d planted values found\n", found);
}
END_TEST

/* f and its slope in double from their definitions. */
static double exact_value(ds_activation f, double x)
{
    switch (f) {
    case DS_ACT_RELU:
        return x > 0 ? x : 0;
    case DS_ACT_LEAKY_RELU:
        return x > 0 ? x : (double)0.01f * x;
    case DS_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case DS_ACT_TANH:
        return tanh(x);
    case DS_ACT_GELU:
        return x * 0.5 * erfc(-x * M_SQRT1_2);
    case DS_ACT_NONE:
        break;
    }
    return x;
}

static double exact_slope(ds_activation f, double x)
{
    double y = exact_value(f, x);
    switch (f) {
    case DS_ACT_RELU:
        return x > 0;
    case DS_ACT_LEAKY_RELU:
        return x > 0 ? 1 : (double)0.01f;
    case DS_ACT_SIGMOID:
        return y * (1 - y);
    case DS_ACT_TANH:
        return 1 - y * y;
    case DS_ACT_GELU:
        return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    case DS_ACT_NONE:
        break;
    }
    return 1;
}

/* 3 x 65 536 points: every 21 845th float pattern would miss the middle, so a fine grid over
 * [-16, 16], one over [-110, 110] and one over tiny values. */
START_TEST(activations_are_accurate)
{
    enum { POINTS = 65536 };
    static float x[POINTS], y[POINTS], dy[POINTS], dx[POINTS];
    static const double reach[] = {16, 110, 1e-3};
    const ds_kernels *k = _i % 2 ? ref : fast;
    ds_activation f = (ds_activation)(_i / 2);
    double worst = 0, worst_slope = 0;
    for (size_t g = 0; g < 3; g++) {
        for (size_t i = 0; i < POINTS; i++) {
            x[i] = (float)(reach[g] * (2.0 * (double)i / (POINTS - 1) - 1));
            dy[i] = 1.0f;
        }
        k->activate(f, 1, POINTS, x, POINTS, y, POINTS);
        k->activate_gradient(f, 1, POINTS, x, POINTS, y, POINTS, dy, POINTS, dx, POINTS);
        for (size_t i = 0; i < POINTS; i++) {
            double want = exact_value(f, (double)x[i]), slope = exact_slope(f, (double)x[i]);
            double error = fabs((double)y[i] - want);
            if (f == DS_ACT_GELU && x[i] != 0)
                worst = fmax(worst, error / fabs((double)x[i]));
            else if (fabs(want) > 1e-35) /* below, float32 itself loses digits */
                worst = fmax(worst, error / fabs(want));
            else
                ck_assert(error < 1e-36);
            if (x[i] != 0.0f || f >= DS_ACT_SIGMOID)
                worst_slope = fmax(worst_slope, fabs((double)dx[i] - slope));
        }
    }
    printf("# %s %s: value within %.3g relative, slope within %.3g absolute\n", k->name,
           act_name[f], worst, worst_slope);
    ck_assert(worst <= 1e-6 && worst_slope <= 1e-6);
}
END_TEST

/* Far out, at zero and beyond: limits of the functions; NaN stays NaN so that it is noticed. */
START_TEST(activations_at_the_edge)
{
    static const struct {
        ds_activation f;
        float x, y;
    } edge[] = {{DS_ACT_RELU, INFINITY, INFINITY},
                {DS_ACT_RELU, -INFINITY, 0},
                {DS_ACT_SIGMOID, INFINITY, 1},
                {DS_ACT_SIGMOID, -INFINITY, 0},
                {DS_ACT_SIGMOID, -200, 0},
                {DS_ACT_SIGMOID, 0, 0.5f},
                {DS_ACT_TANH, INFINITY, 1},
                {DS_ACT_TANH, -INFINITY, -1},
                {DS_ACT_TANH, 1e-30f, 1e-30f},
                {DS_ACT_TANH, 3e38f, 1},
                {DS_ACT_GELU, 100, 100},
                {DS_ACT_GELU, -100, 0},
                {DS_ACT_GELU, 3e38f, 3e38f},
                {DS_ACT_GELU, -3e38f, 0},
                {DS_ACT_GELU, 0, 0},
                {DS_ACT_LEAKY_RELU, -100, -1},
                {DS_ACT_LEAKY_RELU, 3e38f, 3e38f}};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++) {
        float x[20], y[20];
        for (size_t j = 0; j < 20; j++)
            x[j] = edge[i].x;
        fast->activate(edge[i].f, 1, 20, x, 20, y, 20);
        for (size_t j = 0; j < 20; j++)
            ck_assert_msg(y[j] == edge[i].y, "%s(%g) = %g", act_name[edge[i].f], (double)edge[i].x,
                          (double)y[j]);
    }
    for (size_t t = 0; ds_kernels_at(t); t++)
        for (ds_activation f = DS_ACT_NONE; f <= DS_ACT_GELU; f++) {
            float x[17], y[17], one[17], dx[17];
            for (size_t j = 0; j < 17; j++)
                x[j] = NAN, one[j] = 1.0f, y[j] = 0.0f;
            ds_kernels_at(t)->activate(f, 1, 17, x, 17, y, 17);
            ck_assert_msg(isnan(y[0]) && isnan(y[16]), "%s loses NaN", act_name[f]);
            ds_kernels_at(t)->activate_gradient(f, 1, 17, x, 17, x, 17, one, 17, dx, 17);
            if (f >= DS_ACT_SIGMOID)
                ck_assert(isnan(dx[0]) && isnan(dx[16]));
        }
}
END_TEST

START_TEST(in_place_is_the_same)
{
    enum { ROWS = 9, COLS = 53, LD = 60 };
    static float x[ROWS * LD], y[ROWS * LD], dx[ROWS * LD], dy[ROWS * LD];
    for (size_t t = 0; ds_kernels_at(t); t++)
        for (ds_activation f = DS_ACT_NONE; f <= DS_ACT_GELU; f++) {
            const ds_kernels *k = ds_kernels_at(t);
            fill("x", ROWS * LD, x);
            memcpy(y, x, sizeof y);
            k->activate(f, ROWS, COLS, x, LD, y, LD);
            fill("dy", ROWS * LD, dy);
            memcpy(dx, dy, sizeof dx);
            k->activate_gradient(f, ROWS, COLS, x, LD, y, LD, dy, LD, dx, LD);
            k->activate_gradient(f, ROWS, COLS, x, LD, y, LD, dy, LD, dy, LD);
            ck_assert_mem_eq(dx, dy, sizeof dx);
            k->activate(f, ROWS, COLS, x, LD, x, LD);
            ck_assert_mem_eq(x, y, sizeof x);
            k->softmax(ROWS, COLS, x, LD, y, LD);
            k->softmax(ROWS, COLS, x, LD, x, LD);
            ck_assert_mem_eq(x, y, sizeof x);
        }
}
END_TEST

START_TEST(softmax_is_accurate)
{
    enum { COLS = 5003 };
    static float x[COLS], y[COLS];
    static const size_t cols[] = {1, 2, 3, 10, 15, 16, 17, 100, 1000, COLS};
    const ds_kernels *k = _i ? ref : fast;
    double worst = 0;
    for (size_t c = 0; c < sizeof cols / sizeof *cols; c++)
        for (int s = -3; s <= 3; s++) {
            double sum = 0, total = 0;
            fill("softmax", COLS, x);
            for (size_t i = 0; i < cols[c]; i++)
                x[i] = ldexpf(x[i], s) + (float)(1000 * s);
            double top = (double)x[0];
            for (size_t i = 0; i < cols[c]; i++)
                top = fmax(top, (double)x[i]);
            for (size_t i = 0; i < cols[c]; i++)
                sum += exp((double)x[i] - top);
            k->softmax(1, cols[c], x, COLS, y, COLS);
            for (size_t i = 0; i < cols[c]; i++) {
                double want = exp((double)x[i] - top) / sum;
                total += (double)y[i];
                if (want > 1e-35)
                    worst = fmax(worst, fabs((double)y[i] - want) / want);
            }
            ck_assert(fabs(total - 1) < 1e-6);
        }
    printf("# %s softmax: within %.3g relative\n", k->name, worst);
    ck_assert(worst <= 1e-6);
    x[1] = NAN;
    k->softmax(1, 40, x, 40, y, 40);
    ck_assert(isnan(y[0]) && isnan(y[39]));
    for (size_t i = 0; i < 40; i++)
        x[i] = i == 7 ? 1.0f : -INFINITY;
    k->softmax(1, 40, x, 40, y, 40);
    ck_assert(y[7] == 1.0f && y[0] == 0.0f && y[39] == 0.0f);
    k->softmax(0, 40, x, 40, y, 40);
    k->softmax(3, 0, x, 0, y, 0);
}
END_TEST

int main(void)
{
    fast = ds_kernels_find("auto"), ref = ds_kernels_find("ref");
    int variants = 0;
    while (variant_at(variants))
        variants++;
    printf("# %d instruction sets besides the clones\n", variants);
    Suite *s = suite_create("vector");
    TCase *t = tcase_create("element-wise");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, exact_operations);
    tcase_add_loop_test(t, variants_agree, 0, variants);
    tcase_add_test(t, bias_gradient_rounds_once);
    tcase_add_test(t, finite_sees_everything);
    tcase_add_loop_test(t, activations_are_accurate, 0, 12);
    tcase_add_test(t, activations_at_the_edge);
    tcase_add_test(t, in_place_is_the_same);
    tcase_add_loop_test(t, softmax_is_accurate, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
