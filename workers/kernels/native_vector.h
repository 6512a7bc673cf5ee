/* Tiles of 512 bits, once for whoever includes it: r x 32 or r x 16 sums in registers, r <= 14: 28
 * accumulators, two of b and one of a. A step costs r 2 multiply-adds, 2 loads of b, r broadcasts:
 * Zen 4 and Skylake are then bound by the multiply-adds. The includer defines TARGET (attribute),
 * FACTOR (type of 512 bits) and MULTIPLY_ADD(sum, x, y), and takes ALL(wide) and ALL(narrow). */
#ifndef DS_NATIVE_VECTOR_H
#define DS_NATIVE_VECTOR_H

#include <immintrin.h>

#include "native.h"

TARGET __attribute__((always_inline)) static inline void native_vector_fetch(ds_native_fetch *fetch)
{
    for (size_t i = 0; i < fetch->pace && fetch->rows > 0; i++) {
        _mm_prefetch((const char *)(fetch->at + fetch->column), _MM_HINT_T1);
        fetch->column += 16;
        if (fetch->column < fetch->width)
            continue;
        fetch->column = 0;
        fetch->at += fetch->pitch;
        fetch->rows--;
    }
}

TARGET __attribute__((always_inline)) static inline void
native_vector_tile(const int rows, const int vectors, const ds_native_job *job)
{
    __m512 sum[NATIVE_MAX_ROWS][2];
    const float *a = job->a, *b = job->b;
    const size_t ldb = job->ldb, ldc = job->ldc, k = job->k;
    float *c = job->c, *ahead = c;
    size_t left = (size_t)rows;
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    const unsigned before = ds_native_flush(job->flush);
    for (size_t p = 0; p < k;) {
        size_t end = p + NATIVE_STRETCH < k ? p + NATIVE_STRETCH : k;
        if (left > 0) {
            _mm_prefetch((const char *)ahead, _MM_HINT_T0);
            if (vectors > 1)
                _mm_prefetch((const char *)(ahead + 16), _MM_HINT_T0);
            ahead += ldc;
            left--;
        }
        native_vector_fetch(&job->fetch[0]);
        native_vector_fetch(&job->fetch[1]);
        for (; p < end; p++, a += NATIVE_HEIGHT, b += ldb) {
            FACTOR b0 = (FACTOR)_mm512_loadu_ps(b);
            FACTOR b1 = vectors > 1 ? (FACTOR)_mm512_loadu_ps(b + 16) : b0;
            _mm_prefetch((const char *)(b + NATIVE_AHEAD * ldb), _MM_HINT_T0);
            if (vectors > 1)
                _mm_prefetch((const char *)(b + NATIVE_AHEAD * ldb + 16), _MM_HINT_T0);
            NATIVE_UNROLL
            for (int r = 0; r < rows; r++) {
                FACTOR x = (FACTOR)_mm512_set1_ps(a[r]);
                sum[r][0] = MULTIPLY_ADD(sum[r][0], x, b0);
                if (vectors > 1)
                    sum[r][1] = MULTIPLY_ADD(sum[r][1], x, b1);
            }
        }
    }
    ds_native_keep(job->flush, before);
    const bool add = job->add;
    const float *bias = job->bias;
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++, c += ldc)
        for (int v = 0; v < vectors; v++) {
            __m512 x = sum[r][v];
            if (add)
                x = _mm512_add_ps(_mm512_loadu_ps(c + 16 * v), x);
            if (bias != NULL)
                x = _mm512_add_ps(x, _mm512_loadu_ps(bias + 16 * v));
            _mm512_storeu_ps(c + 16 * v, x);
        }
}

#define TILE(rows)                                                           \
    TARGET static void native_vector_wide_##rows(const ds_native_job *job)   \
    {                                                                        \
        native_vector_tile(rows, 2, job);                                    \
    }                                                                        \
    TARGET static void native_vector_narrow_##rows(const ds_native_job *job) \
    {                                                                        \
        native_vector_tile(rows, 1, job);                                    \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)

#define ALL(kind)                                                                            \
    {                                                                                        \
        native_vector_##kind##_1, native_vector_##kind##_2, native_vector_##kind##_3,        \
            native_vector_##kind##_4, native_vector_##kind##_5, native_vector_##kind##_6,    \
            native_vector_##kind##_7, native_vector_##kind##_8, native_vector_##kind##_9,    \
            native_vector_##kind##_10, native_vector_##kind##_11, native_vector_##kind##_12, \
            native_vector_##kind##_13, native_vector_##kind##_14                             \
    }

#endif
