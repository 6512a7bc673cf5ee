/* float32 exp, tanh and the normal distribution from + - * / alone, to be inlined into vector
 * loops: within 1e-6 relative of the true value, the same bits on every CPU and with every libm.
 * Coefficients are least-squares Chebyshev fits weighted for relative error (largest error of the
 * fit beside each); of the normal distribution the absolute error. NaN passes through. */
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

/* (Phi(x) - 1/2) / x as a rational function of z = x^2 up to 5.6^2, fit error 1e-8 of Phi. */
static inline float fast_math_normal(float z)
{
    float p = 2.2150923e-8f, q = 1.1801199e-6f;
    p = p * z + 6.3531265e-6f;
    p = p * z + 1.7361822e-4f;
    p = p * z + 4.7058524e-3f;
    p = p * z + 3.4355234e-2f;
    p = p * z + 3.9894223e-1f;
    q = q * z + 7.5017400e-5f;
    q = q * z + 1.9116862e-3f;
    q = q * z + 2.8927799e-2f;
    q = q * z + 2.5278154e-1f;
    q = q * z + 1.0f;
    return p / q;
}

/* (Phi(x) + x phi(x) - 1/2) / x likewise, fit error 6e-8. */
static inline float fast_math_normal_slope(float z)
{
    float p = 1.5755756e-8f, q = 6.9778281e-7f;
    p = p * z + 2.8165480e-6f;
    p = p * z + 3.1439300e-5f;
    p = p * z + 1.0558096e-3f;
    p = p * z + 1.1713112e-2f;
    p = p * z + 2.5727157e-2f;
    p = p * z + 7.9788458e-1f;
    q = q * z + 2.0519299e-5f;
    q = q * z + 4.3717402e-4f;
    q = q * z + 6.3228132e-3f;
    q = q * z + 6.1539158e-2f;
    q = q * z + 3.6557770e-1f;
    q = q * z + 1.0f;
    return p / q;
}

/* x Phi(x): Phi within 4e-7, beyond 5.6 it is 0 or 1 (off by 1e-8). */
static inline float fast_math_gelu(float x)
{
    float t = x > 5.6f ? 5.6f : x;
    float y = x * (t * fast_math_normal(t * t) + 0.5f);
    return x < -5.6f ? 0.0f : y;
}

/* Its slope Phi(x) + x phi(x), within 5e-7. */
static inline float fast_math_gelu_slope(float x)
{
    float t = x > 5.6f ? 5.6f : x;
    t = t < -5.6f ? -5.6f : t;
    return t * fast_math_normal_slope(t * t) + 0.5f;
}

#endif
