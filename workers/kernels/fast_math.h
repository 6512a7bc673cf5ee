/* float32 exp, tanh and the normal distribution from + - * / alone, to be inlined into vector
 * loops: within 1e-6 relative of the true value, the same bits on every CPU and with every libm.
 * Coefficients are least-squares Chebyshev fits weighted for relative error (largest error of the
 * fit beside each). NaN passes through. */
#ifndef DS_FAST_MATH_H
#define DS_FAST_MATH_H

#include <stdint.h>
#include <string.h>

static inline float fast_math_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t fast_math_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* exp(hi + lo), |lo| << |hi|: hi + lo = n ln 2 + r, |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 P(r),
 * fit error 3e-9. 2^n goes in by two factors, so results reach down to denormals and up to
 * infinity. */
static inline float fast_math_exp_parts(float hi, float lo)
{
    hi = hi > 90.0f ? 90.0f : hi;
    hi = hi < -105.0f ? -105.0f : hi;
    /* Adding 1.5 x 2^23 leaves the nearest integer in the low bits. */
    float shifted = hi * 1.44269504f + 12582912.0f;
    float whole = shifted - 12582912.0f;
    int32_t n = (int32_t)(fast_math_bits(shifted) - 0x4b400000u);
    float r = ((hi - whole * 0.693359375f) - whole * -2.12194440e-4f) + lo;
    float p = 1.98495350e-4f;
    p = p * r + 1.39336707e-3f;
    p = p * r + 8.33337329e-3f;
    p = p * r + 4.16664649e-2f;
    p = p * r + 1.66666665e-1f;
    p = p * r + 5.00000001e-1f;
    float e = (p * (r * r) + r) + 1.0f;
    uint32_t first = (uint32_t)(n >> 1), second = (uint32_t)n - first;
    return e * fast_math_float((first + 127u) << 23) * fast_math_float((second + 127u) << 23);
}

static inline float fast_math_exp(float x)
{
    return fast_math_exp_parts(x, 0.0f);
}

/* exp(x - y) for x <= y: the rounding of the difference (Knuth's two-sum gives it) is not magnified
 * by the exponential. */
static inline float fast_math_exp_difference(float x, float y)
{
    float d = x - y, b = d - x;
    float lost = (x - (d - b)) - (y + b);
    return fast_math_exp_parts(d, d < -105.0f ? 0.0f : lost);
}

static inline float fast_math_abs(float x)
{
    return fast_math_float(fast_math_bits(x) & 0x7fffffffu);
}

/* 1 / (1 + exp(-x)) by exp(-|x|), which cannot overflow. */
static inline float fast_math_sigmoid(float x)
{
    float e = fast_math_exp(-fast_math_abs(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Near 0 x + x^3 P(x^2), fit error 5e-9; else 1 - 2 / (exp(2|x|) + 1) with x's sign. */
static inline float fast_math_tanh(float x)
{
    float a = fast_math_abs(x), z = x * x;
    float p = 2.28976e-3f;
    p = p * z + -8.34101e-3f;
    p = p * z + 2.176791e-2f;
    p = p * z + -5.395912e-2f;
    p = p * z + 1.3333303e-1f;
    p = p * z + -3.3333333e-1f;
    float small = x + x * (z * p);
    float large = 1.0f - 2.0f / (fast_math_exp(2.0f * a) + 1.0f);
    large = fast_math_float(fast_math_bits(large) | (fast_math_bits(x) & 0x80000000u));
    return a < 0.625f ? small : large;
}

/* exp(-x^2 / 2) for x >= 0: x = h + l with 12 bits in h makes h^2 exact, so that the rounding of
 * x^2 is not magnified by the exponential. */
static inline float fast_math_bell(float x)
{
    x = x > 15.0f ? 15.0f : x;
    float h = fast_math_float(fast_math_bits(x) & 0xfffff000u);
    float l = x - h;
    return fast_math_exp_parts(-0.5f * (h * h), -0.5f * (l * (x + h)));
}

/* Phi(-x) exp(x^2 / 2) for x >= 0 (Mills' ratio over sqrt(2 pi)): times 1 + 2x it is a polynomial
 * in q = (x - 3) / (x + 3) (the map of Shepherd and Laframboise 1981), fit error 9e-9 up to 15. */
static inline float fast_math_mills(float x)
{
    x = x > 15.0f ? 15.0f : x;
    float q = (x - 3.0f) / (x + 3.0f);
    float p = 8.613776741e-5f;
    p = p * q + -3.823528584e-5f;
    p = p * q + -1.047063668e-3f;
    p = p * q + -3.300545712e-4f;
    p = p * q + 6.962874196e-3f;
    p = p * q + -5.990551681e-4f;
    p = p * q + -5.158480713e-2f;
    p = p * q + 1.365433041e-1f;
    p = p * q + -1.560897990e-1f;
    p = p * q + 1.334902250e-2f;
    p = p * q + 8.505976439e-1f;
    return p / (1.0f + 2.0f * x);
}

/* x Phi(x). */
static inline float fast_math_gelu(float x)
{
    float a = fast_math_abs(x);
    float tail = fast_math_bell(a) * fast_math_mills(a); /* Phi(-|x|) */
    float negative = a > 15.0f ? 0.0f : x * tail;
    return x > 0.0f ? x - x * tail : negative;
}

/* Its slope Phi(x) + x phi(x). */
static inline float fast_math_gelu_slope(float x)
{
    float a = fast_math_abs(x);
    float bell = fast_math_bell(a);
    float below = bell * (fast_math_mills(a) - (a > 15.0f ? 15.0f : a) * 0.398942280f);
    return x > 0.0f ? 1.0f - below : below;
}

#endif
