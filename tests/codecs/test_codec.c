/* What holds for every codec of the registry, with default options and with others: nothing is lost
 * under error feedback, codes are stable, cuts do not show, errors are the format's, all
 * instruction sets agree. Expected values are closed forms. */
#include "codec_cases.h"

enum { STEPS = 40 };

#define DECLARE(variant)                                                                        \
    const ds_codec_ops *ds_##variant##_codec_at(size_t i);                                      \
    float ds_##variant##_codec_send(const ds_codec *self, size_t n, float *x, float *residual,  \
                                    uint8_t *bytes);                                            \
    float ds_##variant##_codec_follow(const ds_codec *self, size_t n, const float *w, float *p, \
                                      uint8_t *bytes);
DECLARE(scalar)
DECLARE(avx2)

static float x[N], y[N], r[N], p[N];
static uint8_t bytes[4 * N], other[4 * N];

static double largest(size_t n, const float *a)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i]));
    return most;
}

/* sum over steps of decoded + last residual == sum of inputs: each step rounds v = x + residual
 * once, and decoded and residual part it again. With a scale so large that much is cut off, too. */
static void conserve(ds_codec codec, size_t n, float scale, double most)
{
    static double given[N], said[N];
    double worst = 0, size = 0;
    codec.scale = scale;
    memset(r, 0, sizeof r);
    memset(given, 0, sizeof given);
    memset(said, 0, sizeof said);
    for (int t = 0; t < STEPS; t++) {
        fill(n, x, (uint64_t)t, most, 6);
        for (size_t i = 0; i < n; i++)
            given[i] += (double)x[i];
        float peak = ds_codec_send(&codec, n, x, r, bytes);
        ck_assert(isfinite(peak));
        size = fmax(size, (double)peak);
        ds_codec_decode(&codec, n, bytes, y);
        ck_assert_msg(memcmp(x, y, n * sizeof *x) == 0, "%s: x is not what the bytes say",
                      codec.ops->name);
        for (size_t i = 0; i < n; i++)
            said[i] += (double)x[i];
    }
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs(said[i] + (double)r[i] - given[i]));
    double bound = 2 * STEPS * 0x1p-24 * size + STEPS * 0x1p-149;
    printf("# %s scale %g, %zu floats, %d steps: largest %.3g, lost %.3g, rounding may take %.3g, "
           "last residual %.3g\n",
           codec.ops->name, (double)scale, n, STEPS, size, worst, bound, largest(n, r));
    ck_assert_double_le(worst, bound);
    ck_assert_double_gt(largest(n, r), 0);
}

START_TEST(loses_nothing)
{
    conserve(cases[_i].codec, N, 1.0f, 1.0);
    conserve(cases[_i].codec, N, 0x1p12f, 1e-4);
    conserve(cases[_i].codec, 1, 1.0f, 1e3);
    conserve(cases[_i].codec, N, 0x1p17f, 1.0); /* fp16 cuts off all above 1/2 */
}
END_TEST

START_TEST(a_round_trip_without_bytes_is_the_same)
{
    const ds_codec *codec = &cases[_i].codec;
    fill(N, x, 1, 1, 5);
    fill(N, r, 2, 1e-3, 5);
    memcpy(y, x, sizeof x);
    memcpy(p, r, sizeof r);
    float a = ds_codec_send(codec, N, x, r, bytes), b = ds_codec_send(codec, N, y, p, NULL);
    ck_assert(a == b);
    ck_assert_mem_eq(x, y, sizeof x);
    ck_assert_mem_eq(r, p, sizeof r);
}
END_TEST

/* p follows w: all who add the bytes hold the same p, and what is left goes to 0. */
START_TEST(the_way_back_converges)
{
    const ds_codec *codec = &cases[_i].codec;
    double left = 0, first = 0;
    fill(N, x, 3, 1, 3);
    fill(N, p, 4, 1, 3);
    memcpy(y, p, sizeof p);
    for (int t = 0; t < 6; t++) {
        float peak = ds_codec_follow(codec, N, x, p, t % 2 == 0 ? bytes : NULL);
        if (t == 0)
            first = (double)peak;
        if (t % 2 == 0)
            ds_codec_heed(codec, N, bytes, y);
        else
            memcpy(y, p, sizeof p);
        ck_assert_mem_eq(y, p, sizeof p);
    }
    for (size_t i = 0; i < N; i++)
        left = fmax(left, fabs((double)x[i] - (double)p[i]));
    printf("# %s %s: from %.3g to %.3g in 6 steps\n", codec->ops->name, cases[_i].as, first, left);
    ck_assert_double_lt(left, first * 1e-6);
}
END_TEST

/* Encoding what was decoded gives the same bytes, at all sizes of numbers. */
START_TEST(codes_are_stable)
{
    static const double sizes[] = {1e-44, 1e-40, 1e-37, 1e-30, 1e-7, 1e-4, 1, 6e4, 1e5, 1e30, 3e38};
    ds_codec codec = cases[_i].codec;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int k = -2; k <= 2; k++) {
            codec.scale = ldexpf(1, 16 * k);
            fill(N, x, s + 5, sizes[s], s % 2 == 0 ? 1 : 9);
            ds_codec_encode(&codec, N, x, bytes);
            ds_codec_decode(&codec, N, bytes, y);
            ds_codec_encode(&codec, N, y, other);
            ck_assert_msg(memcmp(bytes, other, ds_codec_bytes(&codec, N)) == 0,
                          "%s %s: numbers up to %g change on the second encoding", codec.ops->name,
                          cases[_i].as, sizes[s]);
        }
}
END_TEST

/* Pieces laid end to end, at addresses of any alignment. */
START_TEST(cuts_do_not_show)
{
    const ds_codec *codec = &cases[_i].codec;
    size_t used = 0, cuts = 0;
    fill(N, x, 6, 1, 6);
    ds_codec_encode(codec, N, x, bytes);
    for (size_t at = 0, some; at < N; at += some, cuts++) {
        some = DS_CODEC_UNIT * (1 + cuts % 2);
        some = some < N - at ? some : N - at;
        ds_codec_encode(codec, some, x + at, other + 1 + used);
        ds_codec_decode(codec, some, other + 1 + used, y + at);
        used += ds_codec_bytes(codec, some);
    }
    ck_assert_uint_eq(used, ds_codec_bytes(codec, N));
    ck_assert_mem_eq(bytes, other + 1, used);
    ds_codec_decode(codec, N, bytes, p);
    ck_assert_mem_eq(y, p, sizeof y);
    printf("# %s %s: %zu floats, %zu bytes, %zu pieces\n", codec->ops->name, cases[_i].as,
           (size_t)N, used, cuts);
}
END_TEST

/* Every length writes its own bytes and no other. */
START_TEST(lengths_are_kept)
{
    const ds_codec *codec = &cases[_i].codec;
    fill(N, x, 7, 1, 6);
    for (size_t n = 0; n < 600; n++) {
        size_t some = ds_codec_bytes(codec, n);
        ck_assert_uint_le(some, n == 0 ? 0 : 4 * n + 4);
        memset(bytes, 0xa5, some + 64);
        ds_codec_encode(codec, n, x, bytes);
        for (size_t i = some; i < some + 64; i++)
            if (bytes[i] != 0xa5)
                ck_abort_msg("%zu floats write byte %zu of %zu", n, i, some);
        for (size_t i = 0; i < n + 16; i++)
            y[i] = -7;
        ds_codec_decode(codec, n, bytes, y);
        for (size_t i = n; i < n + 16; i++)
            if (y[i] != -7.0f)
                ck_abort_msg("%zu floats write float %zu", n, i);
    }
    ck_assert_uint_eq(ds_codec_bytes(codec, 0), 0);
}
END_TEST

/* The worst error of x -> y in parts of what format f allows. */
static double worst_error(int f, double scale)
{
    double worst = 0, most = 0;
    for (size_t i = 0; i < N; i++) {
        if (i % formats[f].block == 0)
            most = largest(N - i < formats[f].block ? N - i : formats[f].block, x + i);
        double bound = formats[f].of_x * fabs((double)x[i]) + formats[f].of_block * most;
        double error = fabs((double)y[i] - (double)x[i]);
        worst = fmax(worst, error / (bound + formats[f].absolute / scale));
    }
    return worst;
}

START_TEST(errors_are_the_formats)
{
    ds_codec codec = cases[_i].codec;
    double worst = 0;
    ck_assert_msg(cases[_i].format >= 0, "%s has no line in this test's table of formats",
                  codec.ops->name);
    for (int e = -44; e < 5; e += 3)
        for (int k = -1; k <= 1; k++) {
            codec.scale = ldexpf(1, k);
            fill(N, x, (uint64_t)(e + 90), pow(10, e), 4);
            ds_codec_encode(&codec, N, x, bytes);
            ds_codec_decode(&codec, N, bytes, y);
            double here =
                worst_error(cases[_i].format, codec.ops->limit > 0 ? (double)codec.scale : 1);
            ck_assert_msg(here <= 1, "%s %s: at 1e%d the error is %.4f of what is allowed",
                          codec.ops->name, cases[_i].as, e, here);
            worst = fmax(worst, here);
        }
    printf("# %s %s: worst error %.4f of what is allowed\n", codec.ops->name, cases[_i].as, worst);
    ck_assert_double_gt(worst, 0.9); /* the bound is sharp */
}
END_TEST

/* One odd value among good ones: it is not hidden, and only int8's own block suffers. */
static void odd_value(const ds_codec *codec, size_t block, float odd)
{
    const size_t at = 5 * DS_CODEC_UNIT / 4;
    fill(N, x, 8, 1, 3);
    ds_codec_encode(codec, N, x, bytes);
    ds_codec_decode(codec, N, bytes, p);
    memset(r, 0, sizeof r);
    x[at] = odd;
    float peak = ds_codec_send(codec, N, x, r, bytes);
    ck_assert(isinf(peak));
    ck_assert(!isfinite(x[at]));
    ck_assert(block > 1 || (isnan(odd) ? isnan(x[at]) : x[at] == odd));
    for (size_t i = 0; i < N; i++)
        if (i / block != at / block && x[i] != p[i])
            ck_abort_msg("%s: %zu changed", codec->ops->name, i);
}

START_TEST(odd_values_show)
{
    size_t block = cases[_i].format >= 0 ? formats[cases[_i].format].block : DS_CODEC_UNIT;
    odd_value(&cases[_i].codec, block, NAN);
    odd_value(&cases[_i].codec, block, -NAN);
    odd_value(&cases[_i].codec, block, INFINITY);
    odd_value(&cases[_i].codec, block, -INFINITY);
}
END_TEST

/* The largest finite numbers stay finite whatever the scale. */
START_TEST(finite_stays_finite)
{
    ds_codec codec = cases[_i].codec;
    for (int k = -64; k <= 64; k += 16) {
        codec.scale = ldexpf(1, k);
        for (size_t i = 0; i < N; i++)
            x[i] = i % 3 == 0 ? FLT_MAX : i % 3 == 1 ? -FLT_MAX / 3 : FLT_TRUE_MIN;
        ds_codec_encode(&codec, N, x, bytes);
        ds_codec_decode(&codec, N, bytes, y);
        for (size_t i = 0; i < N; i++)
            if (!isfinite(y[i]) || (double)x[i] * (double)y[i] < 0)
                ck_abort_msg("%s, scale 2^%d: %g became %g", codec.ops->name, k, (double)x[i],
                             (double)y[i]);
    }
}
END_TEST

static void same_as(const ds_codec_ops *ops, const ds_codec *codec, const char *isa,
                    float (*send)(const ds_codec *, size_t, float *, float *, uint8_t *),
                    float (*follow)(const ds_codec *, size_t, const float *, float *, uint8_t *))
{
    const ds_codec theirs = {ops, codec->options, codec->scale};
    for (int e = -44; e < 38; e += 3) {
        fill(N, x, (uint64_t)(e + 100), pow(10, e), 5);
        fill(N, r, (uint64_t)(e + 200), pow(10, e - 2), 5);
        x[77] = e % 2 == 0 ? INFINITY : NAN;
        memcpy(y, x, sizeof x);
        memcpy(p, r, sizeof r);
        float a = ds_codec_send(codec, N, x, r, bytes), b = send(&theirs, N, y, p, other);
        ck_assert(a == b);
        ck_assert_msg(memcmp(bytes, other, ds_codec_bytes(codec, N)) == 0 &&
                          memcmp(x + 78, y + 78, (N - 78) * sizeof *x) == 0 &&
                          memcmp(r + 78, p + 78, (N - 78) * sizeof *r) == 0,
                      "%s: %s gives other bits at 1e%d", ops->name, isa, e);
        x[77] = y[77] = 1;
        r[77] = p[77] = 0;
        a = ds_codec_follow(codec, N, x, r, bytes);
        b = follow(&theirs, N, y, p, other);
        ck_assert(a == b);
        ck_assert_mem_eq(bytes, other, ds_codec_bytes(codec, N));
    }
}

START_TEST(instruction_sets_agree)
{
    size_t i = cases[_i].index;
    same_as(ds_scalar_codec_at(i), &cases[_i].codec, "scalar", ds_scalar_codec_send,
            ds_scalar_codec_follow);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        same_as(ds_avx2_codec_at(i), &cases[_i].codec, "avx2", ds_avx2_codec_send,
                ds_avx2_codec_follow);
#endif
}
END_TEST

/* Floats as they are come over to the bit, where adding a rounded difference would miss. */
START_TEST(whole_values_arrive)
{
    const ds_codec codec = {&ds_codec_plain, NULL, 1};
    int missed = 0;
    fill(N, x, 11, 1, 0);
    fill(N, p, 12, 1e8, 0);
    memcpy(y, p, sizeof y);
    for (size_t i = 0; i < N; i++)
        missed += p[i] + (x[i] - p[i]) != x[i];
    printf("# of %d, %d would be missed\n", N, missed);
    ck_assert_int_gt(missed, N / 2);
    ck_assert(isfinite(ds_codec_follow(&codec, N, x, p, bytes)));
    ds_codec_heed(&codec, N, bytes, y);
    ck_assert_mem_eq(p, x, sizeof x);
    ck_assert_mem_eq(y, x, sizeof x);
    x[N - 1] = NAN;
    ck_assert(!isfinite(ds_codec_follow(&codec, N, x, p, NULL)));
}
END_TEST

START_TEST(names_are_found)
{
    for (size_t i = 0; ds_codec_at(i) != NULL; i++) {
        ck_assert_ptr_eq(ds_codec_find(ds_codec_at(i)->name), ds_codec_at(i));
        ck_assert_uint_gt(strlen(ds_codec_at(i)->help), 0);
    }
    ck_assert_ptr_null(ds_codec_find("none"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {loses_nothing,          a_round_trip_without_bytes_is_the_same,
                                  the_way_back_converges, codes_are_stable,
                                  cuts_do_not_show,       lengths_are_kept,
                                  errors_are_the_formats, odd_values_show,
                                  finite_stays_finite,    instruction_sets_agree};
    const TTest *const once[] = {whole_values_arrive, names_are_found};
    return run_cases(sizeof tests / sizeof *tests, tests, sizeof once / sizeof *once, once);
}
