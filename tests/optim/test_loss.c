/* Every loss of the table: its gradient against differences, its bits, its care for NaN; and
 * PyTorch's numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/loss.h"
#include "descent/rng.h"

#include "../golden/golden.h"
#include "with_options.h"

const ds_loss_ops *ds_scalar_loss_at(size_t i);
const ds_loss_ops *ds_avx2_loss_at(size_t i);

enum { ROWS = 5, COLS = 83, STRIDE = 96, SIZE = ROWS * STRIDE };

static float z[SIZE], base[SIZE], y[ROWS * COLS], d[SIZE];
static int32_t label[ROWS];
static double options_room[16];
static const ds_targets targets = {.label = label, .value = y, .width = COLS};

static void fill(void)
{
    const ds_rng rng = ds_rng_for(1, "loss");
    for (size_t i = 0; i < SIZE; i++)
        z[i] = (float)(3 * ds_rng_normal(&rng, i));
    for (size_t i = 0; i < ROWS * COLS; i++)
        y[i] = (float)ds_rng_normal(&rng, SIZE + i);
    for (size_t i = 0; i < ROWS; i++)
        label[i] = (int32_t)((17 * i + 5) % COLS);
}

/* Defaults and what `text` changes. */
static const void *options_of(const ds_loss_ops *o, const char *text)
{
    ds_arena *arena = NULL;
    ck_assert_uint_le(o->options_size, sizeof options_room);
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
    ck_assert_msg(with_options(o->options, text, arena, options_room) == DS_OK, "%s: %s", o->name,
                  ds_last_error());
    ds_arena_destroy(&arena); /* losses keep no texts */
    return options_room;
}

static double value(const ds_loss_ops *o, float *dz)
{
    double sum = -1;
    o->value(options_of(o, ""), ROWS, COLS, z, STRIDE, &targets, &sum, dz);
    return sum;
}

/* The loss by the smooth piece around `base`, if it has kinks. */
static double smooth(const ds_loss_ops *o)
{
    if (o->piece == NULL)
        return value(o, NULL);
    return o->piece(options_of(o, ""), ROWS, COLS, z, base, STRIDE, &targets);
}

/* A piece is the loss itself where it was taken. */
START_TEST(pieces_make_the_loss)
{
    const ds_loss_ops *o = ds_loss_at((size_t)_i);
    memcpy(base, z, sizeof base);
    const double a = value(o, NULL), b = smooth(o);
    printf("# %s: %.17g, by pieces %.17g\n", o->name, a, b);
    ck_assert(fabs(a - b) <= 1e-14 * a);
}
END_TEST

START_TEST(gradient_is_the_difference)
{
    const ds_loss_ops *o = ds_loss_at((size_t)_i);
    value(o, d);
    double most = 0;
    memcpy(base, z, sizeof base);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLS; j++) {
            float *at = &z[i * STRIDE + j];
            const float old = *at, high = old + 1e-3f, low = old - 1e-3f;
            *at = high;
            double difference = smooth(o);
            *at = low;
            difference = (difference - smooth(o)) / ((double)high - (double)low);
            *at = old;
            const double off = fabs(difference - (double)d[i * STRIDE + j]);
            most = off > most ? off : most;
        }
    printf("# %s: gradient off by %.2g from differences (at most 1e-6)\n", o->name, most);
    ck_assert(most <= 1e-6);
    ck_assert_ptr_eq(ds_loss_find(o->name), o);
}
END_TEST

START_TEST(in_place_and_padding)
{
    const ds_loss_ops *o = ds_loss_at((size_t)_i);
    memset(d, 0x55, sizeof d);
    const double apart = value(o, d);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = COLS; j < STRIDE; j++) {
            ck_assert_int_eq(((unsigned char *)&d[i * STRIDE + j])[0], 0x55);
            d[i * STRIDE + j] = z[i * STRIDE + j];
        }
    ck_assert_double_eq(value(o, NULL), apart);
    ck_assert_double_eq(value(o, z), apart);
    ck_assert_int_eq(memcmp(z, d, sizeof z), 0);
    double sum = -1;
    o->value(options_of(o, ""), 0, COLS, z, STRIDE, &targets, &sum, d);
    ck_assert_double_eq(sum, 0);
}
END_TEST

START_TEST(instruction_sets_agree)
{
    static float e[SIZE];
    const ds_loss_ops *o = ds_loss_at((size_t)_i), *p = ds_scalar_loss_at((size_t)_i);
    ck_assert_str_eq(o->name, p->name);
    const double a = value(o, d);
    memcpy(e, d, sizeof e);
    ck_assert_double_eq(value(p, d), a);
    ck_assert_int_eq(memcmp(d, e, sizeof d), 0);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        ck_assert_double_eq(value(ds_avx2_loss_at((size_t)_i), d), a);
        ck_assert_int_eq(memcmp(d, e, sizeof d), 0);
    }
    printf("# %s: same bits by clone, scalar and avx2 code, sum %.17g\n", o->name, a);
}
END_TEST

/* One bad output anywhere in a row shows in the sum and in the gradient. */
START_TEST(nan_gets_out)
{
    const ds_loss_ops *o = ds_loss_at((size_t)_i);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < 3; k++)
        for (size_t j = 0; j < COLS; j++) {
            float *at = &z[2 * STRIDE + j];
            const float old = *at;
            *at = bad[k];
            const double sum = value(o, d);
            *at = old;
            double squares = 0;
            for (size_t c = 0; c < COLS; c++)
                squares += (double)d[2 * STRIDE + c] * (double)d[2 * STRIDE + c];
            ck_assert_msg(!isfinite(sum), "%s: loses %g at %zu", o->name, (double)bad[k], j);
            ck_assert_msg(!isfinite(squares), "%s: loses %g at %zu", o->name, (double)bad[k], j);
        }
    printf("# %s: %d bad outputs seen in sum and gradient\n", o->name, 3 * COLS);
}
END_TEST

/* The cases of make_golden.py; a loss of the registry without one is an error. */
static const struct {
    const char *name, *loss, *options;
    bool weighted; /* by class */
} golden[] = {
    {"cross_entropy", "cross_entropy", "", false},
    {"cross_entropy_smooth", "cross_entropy", "label_smoothing=0.1", false},
    {"cross_entropy_weighted", "cross_entropy", "", true},
    {"cross_entropy_weighted_smooth", "cross_entropy", "label_smoothing=0.2", true},
    {"mse", "mse", "", false},
    {"mae", "mae", "", false},
    {"huber", "huber", "", false},
    {"huber_delta", "huber", "delta=0.3", false},
    {"binary_cross_entropy", "binary_cross_entropy", "", false},
};

START_TEST(has_a_golden_case)
{
    const ds_loss_ops *o = ds_loss_at((size_t)_i);
    size_t n = 0;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        n += strcmp(golden[i].loss, o->name) == 0;
    ck_assert_msg(n > 0, "%s has no golden case", o->name);
}
END_TEST

START_TEST(as_pytorch)
{
    const ds_loss_ops *o = ds_loss_find(golden[_i].loss);
    ck_assert_ptr_nonnull(o);
    enum { R = 6, C = 11, K = R * C };
    double x[K], t[K], l[R], w[C], want[K], sum, got;
    float zf[K], yf[K], wf[C], dz[K];
    int32_t class[R];
    char name[64];
    snprintf(name, sizeof name, "%s/gradient", golden[_i].name);
    ck_assert_uint_eq(golden_read(GOLDEN "/losses.txt", name, K, want), K);
    snprintf(name, sizeof name, "%s/sum", golden[_i].name);
    ck_assert_uint_eq(golden_read(GOLDEN "/losses.txt", name, 1, &sum), 1);
    ck_assert_uint_eq(golden_read(GOLDEN "/losses.txt", "z", K, x), K);
    ck_assert_uint_eq(golden_read(GOLDEN "/losses.txt", "value", K, t), K);
    ck_assert_uint_eq(golden_read(GOLDEN "/losses.txt", "label", R, l), R);
    ck_assert_uint_eq(golden_read(GOLDEN "/losses.txt", "weight", C, w), C);
    for (size_t i = 0; i < C; i++)
        wf[i] = (float)w[i];
    for (size_t i = 0; i < K; i++)
        zf[i] = (float)x[i], yf[i] = (float)t[i];
    for (size_t i = 0; i < R; i++)
        class[i] = (int32_t)l[i];
    const ds_targets at = {
        .label = class, .value = yf, .width = C, .weight = golden[_i].weighted ? wf : NULL};
    o->value(options_of(o, golden[_i].options), R, C, zf, C, &at, &got, dz);
    const double off = golden_distance(K, dz, want), off_sum = fabs(got - sum) / sum;
    printf("# %s: sum off by %.2g, gradient by %.2g from PyTorch (at most 1e-10, 1e-6)\n",
           golden[_i].name, off_sum, off);
    ck_assert(off_sum <= 1e-10 && off <= 1e-6);
}
END_TEST

/* Two classes, logits (a, b), label 0: the loss is log(1 + exp(b - a)). */
START_TEST(cross_entropy_of_any_size)
{
    static const float pairs[][2] = {{0, 0},         {1e30f, -1e30f}, {-1e30f, 1e30f}, {88, 0},
                                     {0, 88},        {700, 0},        {-745, 3},       {1e-3f, 0},
                                     {3e38f, 3e38f}, {-3e38f, 3e38f}, {-5, 7}};
    const ds_loss_ops *o = ds_loss_find("cross_entropy");
    const int32_t zero = 0;
    const ds_targets at = {.label = &zero};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const double x = (double)pairs[i][1] - (double)pairs[i][0];
        const double want = x > 700 ? x : log1p(exp(x));
        const double slope = x > 700 ? 1 : exp(x) / (1 + exp(x));
        double sum;
        float dz[2];
        o->value(options_of(o, ""), 1, 2, pairs[i], 2, &at, &sum, dz);
        printf("# (%g, %g): loss %.17g, closed form %.17g, gradient %g %g\n", (double)pairs[i][0],
               (double)pairs[i][1], sum, want, (double)dz[0], (double)dz[1]);
        ck_assert(fabs(sum - want) <= 1e-15 * (1 + want));
        ck_assert(fabs((double)dz[0] + slope) < 2e-7 && fabs((double)dz[1] - slope) < 2e-7);
    }
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_loss_at((size_t)n))
        n++;
    printf("# %d losses\n", n);
    if (n == 0)
        return EXIT_FAILURE;
    Suite *s = suite_create("loss");
    TCase *t = tcase_create("every loss");
    tcase_add_checked_fixture(t, fill, NULL);
    tcase_add_loop_test(t, pieces_make_the_loss, 0, n);
    tcase_add_loop_test(t, gradient_is_the_difference, 0, n);
    tcase_add_loop_test(t, in_place_and_padding, 0, n);
    tcase_add_loop_test(t, instruction_sets_agree, 0, n);
    tcase_add_loop_test(t, nan_gets_out, 0, n);
    tcase_add_loop_test(t, has_a_golden_case, 0, n);
    tcase_add_loop_test(t, as_pytorch, 0, (int)(sizeof golden / sizeof *golden));
    tcase_add_test(t, cross_entropy_of_any_size);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
