/* What attention does to a row of 16 lanes: moves it, raises it to powers. */
#ifndef DS_ATTENTION_ROWS_H
#define DS_ATTENTION_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lanes.h"

enum { ATTENTION_AHEAD = 16 /* rows fetched ahead of a move */ };

/* Rows of d floats, n of them, `pitch` apart, side by side. They are fetched ahead: no hardware
 * follows such steps. */
DS_SIMD static void attention_move(size_t n, size_t d, const float *restrict from, size_t pitch,
                                   float *restrict to)
{
    size_t whole = d - d % LANES;
    for (size_t i = 0; i < n; i++, from += pitch, to += d) {
        for (size_t j = 0; j < whole; j += LANES) {
            __builtin_prefetch(from + ATTENTION_AHEAD * pitch + j);
            memcpy(to + j, from + j, LANES * sizeof *to);
        }
        for (size_t j = whole; j < d; j++)
            to[j] = from[j];
    }
}

/* 2^x for x <= 0, 0 below -125: x = n + f, |f| <= 1/2; 2^f by a polynomial, error 9e-8. */
DS_SIMD_INLINE float attention_power(float x)
{
    float at = x < -125.0f ? -125.0f : x;
    float shifted = at + 12582912.0f; /* 1.5 x 2^23: the nearest integer in the low bits */
    float f = at - (shifted - 12582912.0f);
    uint32_t n, bits;
    memcpy(&n, &shifted, sizeof n);
    float e = 1.326472690e-3f;
    e = e * f + 9.671512661e-3f;
    e = e * f + 5.550733744e-2f;
    e = e * f + 2.402224208e-1f;
    e = e * f + 6.931469776e-1f;
    e = e * f + 1.0f;
    bits = (n - 0x4b400000u + 127u) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -125.0f ? 0.0f : e * power;
}

/* n > 0 in whole lanes. */
DS_SIMD_INLINE size_t attention_lanes(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* A row of `seen` > 0 scores in whole lanes: what follows them is as good as masked. No branch:
 * from row to row another number of lanes is left. */
DS_SIMD_INLINE size_t attention_whole(size_t seen, float *s)
{
    size_t n = attention_lanes(seen), last = n - LANES, left = seen - last;
    for (size_t l = 0; l < LANES; l++)
        s[last + l] = l < left ? s[last + l] : -3e38f;
    return n;
}

/* Zero in whole lanes [n, keys); a call for so few would cost more. */
DS_SIMD_INLINE void attention_clear(size_t n, size_t keys, float *p)
{
    for (size_t j = n; j < keys; j += LANES)
        memset(p + j, 0, LANES * sizeof *p);
}

#endif
