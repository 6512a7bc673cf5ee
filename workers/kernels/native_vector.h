/* Tiles of 512 bits, once for whoever includes it: r x 32 or r x 16 sums in registers, r <= 14: 28
 * accumulators, two of b and one of a. A step costs r 2 multiply-adds, 2 loads of b, r broadcasts:
 * Zen 4 and Skylake are then bound by the multiply-adds. The includer defines TARGET (attribute),
 * FACTOR (type of 512 bits) and MULTIPLY_ADD(sum, x, y), and takes ALL(by_steps); where a may lie
 * by rows, it makes TILES(by_rows, NATIVE_BY_ROWS) and takes ALL(by_rows). */
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

/* How a lies. By rows, every third row has a pointer: with one pitch they make all addresses. */
enum { NATIVE_BY_STEPS, NATIVE_BY_ROWS, NATIVE_THIRDS = (NATIVE_MAX_ROWS + 2) / 3 };

TARGET __attribute__((always_inline)) static inline void
native_vector_tile(const int rows, const int vectors, const int order, const ds_native_job *job)
{
    const int pointers = order == NATIVE_BY_ROWS ? (rows + 2) / 3 : 1;
    __m512 sum[NATIVE_MAX_ROWS][2];
    const float *a[NATIVE_THIRDS], *b = job->b;
    const size_t lda = job->lda, step = order == NATIVE_BY_ROWS ? 1 : lda, ldb = job->ldb,
                 ldc = job->ldc, k = job->k;
    float *c = job->c, *ahead = c;
    size_t left = (size_t)rows;
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    NATIVE_UNROLL
    for (int q = 0; q < pointers; q++)
        a[q] = job->a + 3 * (size_t)q * lda;
    const unsigned before = ds_native_flush(job->flush);
    for (size_t p = 0, end; p < k; p = end) {
        end = p + NATIVE_STRETCH < k ? p + NATIVE_STRETCH : k;
        for (int i = 0; i < 2 && left > 0; i++) {
            _mm_prefetch((const char *)ahead, _MM_HINT_T0);
            if (vectors > 1)
                _mm_prefetch((const char *)(ahead + 16), _MM_HINT_T0);
            ahead += ldc;
            left--;
        }
        native_vector_fetch(&job->fetch[0]);
        native_vector_fetch(&job->fetch[1]);
        const float *stop = b + (end - p) * ldb;
        for (; b != stop; b += ldb) {
            FACTOR b0 = (FACTOR)_mm512_loadu_ps(b);
            FACTOR b1 = vectors > 1 ? (FACTOR)_mm512_loadu_ps(b + 16) : b0;
            _mm_prefetch((const char *)(b + NATIVE_AHEAD * ldb), _MM_HINT_T0);
            if (vectors > 1)
                _mm_prefetch((const char *)(b + NATIVE_AHEAD * ldb + 16), _MM_HINT_T0);
            NATIVE_UNROLL
            for (int r = 0; r < rows; r++) {
                const float *at =
                    order == NATIVE_BY_ROWS ? a[r / 3] + (size_t)(r % 3) * lda : a[0] + r;
                FACTOR x = (FACTOR)_mm512_set1_ps(*at);
                sum[r][0] = MULTIPLY_ADD(sum[r][0], x, b0);
                if (vectors > 1)
                    sum[r][1] = MULTIPLY_ADD(sum[r][1], x, b1);
            }
            NATIVE_UNROLL
            for (int q = 0; q < pointers; q++)
                a[q] += step;
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

#define TILE(order, lies, rows)                                                        \
    TARGET static void native_vector_##order##_wide_##rows(const ds_native_job *job)   \
    {                                                                                  \
        native_vector_tile(rows, 2, lies, job);                                        \
    }                                                                                  \
    TARGET static void native_vector_##order##_narrow_##rows(const ds_native_job *job) \
    {                                                                                  \
        native_vector_tile(rows, 1, lies, job);                                        \
    }
#define TILES(order, lies) \
    TILE(order, lies, 1)   \
    TILE(order, lies, 2)   \
    TILE(order, lies, 3)   \
    TILE(order, lies, 4)   \
    TILE(order, lies, 5)   \
    TILE(order, lies, 6)   \
    TILE(order, lies, 7)   \
    TILE(order, lies, 8)   \
    TILE(order, lies, 9)   \
    TILE(order, lies, 10)  \
    TILE(order, lies, 11)  \
    TILE(order, lies, 12)  \
    TILE(order, lies, 13)  \
    TILE(order, lies, 14)
TILES(by_steps, NATIVE_BY_STEPS)

#define ALL_OF(order, kind)                                                           \
    {                                                                                 \
        native_vector_##order##_##kind##_1, native_vector_##order##_##kind##_2,       \
            native_vector_##order##_##kind##_3, native_vector_##order##_##kind##_4,   \
            native_vector_##order##_##kind##_5, native_vector_##order##_##kind##_6,   \
            native_vector_##order##_##kind##_7, native_vector_##order##_##kind##_8,   \
            native_vector_##order##_##kind##_9, native_vector_##order##_##kind##_10,  \
            native_vector_##order##_##kind##_11, native_vector_##order##_##kind##_12, \
            native_vector_##order##_##kind##_13, native_vector_##order##_##kind##_14  \
    }
#define ALL(order)                                                   \
    {                                                                \
        .wide = ALL_OF(order, wide), .narrow = ALL_OF(order, narrow) \
    }

#endif
