/* Tiles for AVX2 with FMA: r x 16 sums in registers, r <= 6: 12 accumulators; 32 columns are two
 * such. */
#include "native.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))

AVX2 __attribute__((always_inline)) static inline void
native_avx2_tile(const int rows, size_t column, const ds_native_job *job)
{
    const float *a = job->a, *b = job->b + column;
    float *c = job->c + column;
    __m256 sum[6][2];
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_ps();
    const unsigned before = ds_native_flush(job->flush);
    for (size_t p = 0; p < job->k; p++, a += job->lda, b += job->ldb) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
        NATIVE_UNROLL
        for (int r = 0; r < rows; r++) {
            __m256 x = _mm256_broadcast_ss(a + r);
            sum[r][0] = _mm256_fmadd_ps(x, b0, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(x, b1, sum[r][1]);
        }
    }
    ds_native_keep(job->flush, before);
    NATIVE_UNROLL
    for (int r = 0; r < rows; r++, c += job->ldc)
        for (int v = 0; v < 2; v++) {
            __m256 x = sum[r][v];
            if (job->add)
                x = _mm256_add_ps(_mm256_loadu_ps(c + 8 * v), x);
            if (job->bias != NULL)
                x = _mm256_add_ps(x, _mm256_loadu_ps(job->bias + column + 8 * v));
            _mm256_storeu_ps(c + 8 * v, x);
        }
}

#define TILE(rows)                                                       \
    AVX2 static void native_avx2_narrow_##rows(const ds_native_job *job) \
    {                                                                    \
        native_avx2_tile(rows, 0, job);                                  \
    }                                                                    \
    AVX2 static void native_avx2_wide_##rows(const ds_native_job *job)   \
    {                                                                    \
        native_avx2_tile(rows, 0, job);                                  \
        native_avx2_tile(rows, 16, job);                                 \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

#define ALL(kind)                                                                  \
    {                                                                              \
        native_avx2_##kind##_1, native_avx2_##kind##_2, native_avx2_##kind##_3,    \
            native_avx2_##kind##_4, native_avx2_##kind##_5, native_avx2_##kind##_6 \
    }
const ds_native_isa ds_native_avx2 = {
    .max_rows = 6, .tile = NATIVE_TILE, .by_steps = {.wide = ALL(wide), .narrow = ALL(narrow)}};
#endif
