/* fp16 and bf16 against IEEE 754's definition, worked out in double, and against the CPU's own
 * conversion (F16C) where it has one: all 65536 codes, and floats of every exponent with all
 * neighbourhoods of ties. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/codec.h"
#include "descent/rng.h"

#include "../base/suite.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { CODES = 1 << 16, RANDOM = 1 << 17 };

typedef struct half_format {
    const char *name;
    int significant, least; /* bits; exponent of the smallest normal number */
    double most;
} half_format;
static const half_format fp16 = {"fp16", 11, -14, 65504};
static const half_format bf16 = {"bf16", 8, -126, 0x1.fep127};

/* The nearest number of the format, ties to even; too large: the largest. */
static double half_nearest(const half_format *f, double x)
{
    if (!isfinite(x) || x == 0)
        return x;
    int e = ilogb(x) > f->least ? ilogb(x) : f->least, shift = f->significant - 1 - e;
    double y = ldexp(nearbyint(ldexp(x, shift)), -shift);
    return fabs(y) > f->most ? copysign(f->most, y) : y;
}

/* The number that a code stands for. */
static double half_value(const half_format *f, unsigned code)
{
    int bits = f->significant - 1;
    int e = (int)(code & 0x7fff) >> bits, mantissa = (int)(code & ((1u << bits) - 1));
    double sign = code & 0x8000 ? -1.0 : 1.0;
    if (e == (0x7fff >> bits))
        return mantissa == 0 ? sign * (double)INFINITY : (double)NAN;
    if (e > 0)
        mantissa += 1 << bits;
    return sign * ldexp(mantissa, f->least - bits + (e > 0 ? e - 1 : 0));
}

static bool half_same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static const uint8_t *half_codes(void)
{
    static uint8_t bytes[2 * CODES];
    for (unsigned c = 0; c < CODES; c++) {
        uint16_t code = (uint16_t)c;
        memcpy(bytes + (size_t)2 * c, &code, sizeof code);
    }
    return bytes;
}

static void half_all_codes(const half_format *f)
{
    static float x[CODES];
    static uint8_t back[2 * CODES];
    const uint8_t *bytes = half_codes();
    const ds_codec codec = {ds_codec_find(f->name), NULL, 1.0f};
    unsigned nans = 0;
    ds_codec_decode(&codec, CODES, bytes, x);
    ds_codec_encode(&codec, CODES, x, back);
    for (unsigned c = 0; c < CODES; c++) {
        uint16_t again;
        memcpy(&again, back + (size_t)2 * c, sizeof again);
        double expected = half_value(f, c);
        if (!half_same((double)x[c], expected))
            ck_abort_msg("%s %04x is %.9g, expected %.9g", f->name, c, (double)x[c], expected);
        nans += isnan(x[c]);
        ck_assert_msg(isnan(x[c]) ? isnan(half_value(f, again)) : again == c, "%s %04x became %04x",
                      f->name, c, again);
    }
    printf("# %s: %d codes, %u of them NaN\n", f->name, CODES, nans);
    ck_assert_uint_eq(nans, 2 * ((1u << (f->significant - 1)) - 1));
}

START_TEST(all_codes)
{
    half_all_codes(&fp16);
    half_all_codes(&bf16);
}
END_TEST

/* Random bits: all exponents, denormals, Inf and NaN; every third one near a tie of the format. */
static void half_fill(const half_format *f, float *x)
{
    ds_rng rng = ds_rng_for(1, f->name);
    for (size_t i = 0; i < RANDOM; i++) {
        uint32_t bits = (uint32_t)ds_rng_bits(&rng, i);
        int cut = 24 - f->significant;
        if (i % 3 == 0) /* a tie, or one beside it */
            bits = (bits & ~((1u << cut) - 1)) | ((1u << (cut - 1)) + (uint32_t)(i / 3 % 3) - 1);
        if (i % 2 == 0) /* in fp16's range, subnormals included */
            bits = (bits & 0x807fffffu) | ((100 + bits % 45) << 23);
        memcpy(x + i, &bits, sizeof bits);
    }
}

static void half_round(const half_format *f, float scale)
{
    static float x[RANDOM], y[RANDOM];
    static uint8_t bytes[2 * RANDOM];
    const ds_codec codec = {ds_codec_find(f->name), NULL, scale};
    size_t changed = 0, cut = 0;
    half_fill(f, x);
    ds_codec_encode(&codec, RANDOM, x, bytes);
    ds_codec_decode(&codec, RANDOM, bytes, y);
    double s = codec.ops->limit > 0 ? (double)scale : 1;
    for (size_t i = 0; i < RANDOM; i++) {
        double expected = half_nearest(f, (double)x[i] * s) / s;
        if (!half_same((double)y[i], expected))
            ck_abort_msg("%s: %a becomes %a, expected %a", f->name, (double)x[i], (double)y[i],
                         expected);
        changed += y[i] != x[i];
        cut += fabs((double)x[i] * s) > f->most && isfinite(x[i]);
    }
    printf("# %s, scale %g: %d floats, %zu rounded, %zu too large\n", f->name, (double)scale,
           RANDOM, changed, cut);
    ck_assert_uint_gt(changed, RANDOM / 2);
}

START_TEST(nearest_even)
{
    half_round(&fp16, 1.0f);
    half_round(&fp16, 0x1p20f);
    half_round(&fp16, 0x1p-20f);
    half_round(&fp16, 0x1p64f);
    half_round(&fp16, 0x1p-64f);
    half_round(&bf16, 1.0f);
    half_round(&bf16, 0x1p20f);
}
END_TEST

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static uint16_t half_hardware(float x)
{
    return (uint16_t)_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT), 0);
}

START_TEST(as_the_cpu)
{
    static float x[RANDOM];
    static uint8_t bytes[2 * RANDOM];
    const ds_codec codec = {ds_codec_find("fp16"), NULL, 1.0f};
    size_t n = 0;
    if (!__builtin_cpu_supports("avx2")) /* CPUs with it have F16C */
        return;
    half_fill(&fp16, x);
    ds_codec_encode(&codec, RANDOM, x, bytes);
    for (size_t i = 0; i < RANDOM; i++) {
        uint16_t code, expected = half_hardware(x[i]);
        memcpy(&code, bytes + 2 * i, sizeof code);
        if (isfinite(x[i]) && fabsf(x[i]) >= 65520) /* ours stays finite */
            expected = (uint16_t)((expected & 0x8000) | 0x7bff);
        if (isnan(x[i]))
            expected = (uint16_t)((expected & 0x8000) | 0x7e00);
        if (code != expected)
            ck_abort_msg("%a: %04x, the CPU says %04x", (double)x[i], code, expected);
        n++;
    }
    printf("# %zu floats as F16C has them\n", n);
}
END_TEST
#endif

int main(void)
{
    TCase *t = tcase_create("half");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, all_codes);
    tcase_add_test(t, nearest_even);
#if defined(__x86_64__)
    tcase_add_test(t, as_the_cpu);
#endif
    return run_suite(t);
}
