#include "flat.h"

#include "descent/param.h"
#include "descent/simd.h"

enum { FLAT_LANES = 16 };

DS_SIMD static double flat_block_dot(size_t n, const float *a, const float *b)
{
    double lane[FLAT_LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + FLAT_LANES <= n; i += FLAT_LANES)
        for (size_t k = 0; k < FLAT_LANES; k++)
            lane[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        lane[0] += (double)a[i] * (double)b[i];
    for (size_t k = 0; k < FLAT_LANES; k++)
        sum += lane[k];
    return sum;
}

DS_SIMD static double flat_block_distance2(size_t n, const float *a, const float *b)
{
    double lane[FLAT_LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + FLAT_LANES <= n; i += FLAT_LANES)
        for (size_t k = 0; k < FLAT_LANES; k++) {
            const double d = (double)a[i + k] - (double)b[i + k];
            lane[k] += d * d;
        }
    for (; i < n; i++)
        lane[0] += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    for (size_t k = 0; k < FLAT_LANES; k++)
        sum += lane[k];
    return sum;
}

double flat_dot(size_t n, const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += DS_BLOCK)
        sum += flat_block_dot(n - i < DS_BLOCK ? n - i : DS_BLOCK, a + i, b + i);
    return sum;
}

double flat_distance2(size_t n, const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += DS_BLOCK)
        sum += flat_block_distance2(n - i < DS_BLOCK ? n - i : DS_BLOCK, a + i, b + i);
    return sum;
}
