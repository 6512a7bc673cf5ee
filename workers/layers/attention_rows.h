/* What attention does to a row of 16 lanes: moves it, looks for its top, raises it to powers. */
#ifndef DS_ATTENTION_ROWS_H
#define DS_ATTENTION_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "descent/simd.h"

enum { ATTENTION_LANES = 16, ATTENTION_AHEAD = 8 /* rows fetched ahead of a move */ };

/* Rows of d floats, n of them, from one pitch to another. The far side is fetched ahead: no
 * hardware follows such steps. */
DS_SIMD static void attention_move(size_t n, size_t d, const float *restrict from,
                                   size_t from_pitch, float *restrict to, size_t to_pitch)
{
    size_t whole = d - d % ATTENTION_LANES;
    for (size_t i = 0; i < n; i++, from += from_pitch, to += to_pitch) {
        for (size_t j = 0; j < whole; j += ATTENTION_LANES) {
            __builtin_prefetch(from + ATTENTION_AHEAD * from_pitch + j);
            __builtin_prefetch(to + ATTENTION_AHEAD * to_pitch + j, 1);
            memcpy(to + j, from + j, ATTENTION_LANES * sizeof *to);
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

/* Halves added to halves: a chain of additions would wait for each. */
DS_SIMD_INLINE float attention_fold(float *lane)
{
    for (size_t half = ATTENTION_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* The largest of n (a multiple of the lanes) scores. */
DS_SIMD_INLINE float attention_top(size_t n, const float *s)
{
    float lane[ATTENTION_LANES];
    memcpy(lane, s, sizeof lane);
    for (size_t j = ATTENTION_LANES; j < n; j += ATTENTION_LANES)
        for (size_t l = 0; l < ATTENTION_LANES; l++)
            lane[l] = s[j + l] > lane[l] ? s[j + l] : lane[l];
    for (size_t half = ATTENTION_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
}

/* A row of scores of which `seen` count, in whole lanes: what follows them is as good as masked. */
DS_SIMD_INLINE size_t attention_whole(size_t seen, float *s)
{
    size_t n = (seen + ATTENTION_LANES - 1) / ATTENTION_LANES * ATTENTION_LANES;
    for (size_t j = seen; j < n; j++)
        s[j] = -3e38f;
    return n;
}

#endif
