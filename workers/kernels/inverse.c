/* Gauss and Jordan by blocks of 64, in place, in double, without pivots (the matrix is positive
 * definite): the block on the diagonal is inverted, its rows become P = D rows, all others lose
 * their part, row -= part P. Elements see their subtractions in one order, whatever the instruction
 * set. Cost: 2 n^3 operations: 0.3 s for n = 1024. */
#include "descent/inverse.h"

#include <string.h>

#include "descent/simd.h"

enum { INVERSE_BLOCK = 64 };

size_t ds_inverse_room(size_t n)
{
    return INVERSE_BLOCK * n + INVERSE_BLOCK * INVERSE_BLOCK + INVERSE_BLOCK;
}

/* y -= a[0] x[0] + ... as four subtractions in order; x's rows lie `stride` apart. */
DS_SIMD static void inverse_subtract(size_t n, const double *restrict a, const double *restrict x,
                                     size_t stride, double *restrict y)
{
    const double a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
    const double *restrict x1 = x + stride, *restrict x2 = x1 + stride, *restrict x3 = x2 + stride;
    for (size_t i = 0; i < n; i++)
        y[i] = (((y[i] - a0 * x[i]) - a1 * x1[i]) - a2 * x2[i]) - a3 * x3[i];
}

/* y -= sum of a[k] times row k of x (m rows, n wide). */
static void inverse_reduce(size_t n, size_t m, const double *a, const double *x, size_t stride,
                           double *y)
{
    size_t k = 0;
    for (; k + 4 <= m; k += 4)
        inverse_subtract(n, a + k, x + k * stride, stride, y);
    for (; k < m; k++)
        for (size_t i = 0; i < n; i++)
            y[i] -= a[k] * x[k * stride + i];
}

/* d (m, m; dense) becomes its inverse. */
static bool inverse_small(size_t m, double *d)
{
    for (size_t k = 0; k < m; k++) {
        const double pivot = d[k * m + k];
        if (!(pivot > 0) || !(pivot < 1e300))
            return false;
        for (size_t j = 0; j < m; j++)
            d[k * m + j] = j == k ? 1 / pivot : d[k * m + j] / pivot;
        for (size_t i = 0; i < m; i++) {
            const double f = d[i * m + k];
            if (i == k)
                continue;
            d[i * m + k] = 0;
            for (size_t j = 0; j < m; j++)
                d[i * m + j] -= f * d[k * m + j];
        }
    }
    return true;
}

/* p = d rows (m, n), which the rows become. */
static void inverse_rows(size_t n, size_t m, const double *d, double *rows, double *p)
{
    memset(p, 0, m * n * sizeof *p);
    for (size_t r = 0; r < m; r++)
        inverse_reduce(n, m, d + r * m, rows, n, p + r * n);
    for (size_t i = 0; i < m * n; i++)
        rows[i] = p[i] = -p[i];
}

bool ds_inverse(size_t n, double *a, double *room)
{
    double *p = room, *d = room + INVERSE_BLOCK * n, *part = d + INVERSE_BLOCK * INVERSE_BLOCK;
    for (size_t k = 0; k < n; k += INVERSE_BLOCK) {
        const size_t m = n - k < INVERSE_BLOCK ? n - k : INVERSE_BLOCK;
        for (size_t r = 0; r < m; r++)
            memcpy(d + r * m, a + (k + r) * n + k, m * sizeof *d);
        if (!inverse_small(m, d))
            return false;
        for (size_t r = 0; r < m; r++) /* the block's own columns stand for the unit matrix */
            for (size_t c = 0; c < m; c++)
                a[(k + r) * n + k + c] = r == c;
        inverse_rows(n, m, d, a + k * n, p);
        for (size_t i = 0; i < n; i++) {
            if (i >= k && i < k + m)
                continue;
            memcpy(part, a + i * n + k, m * sizeof *part);
            memset(a + i * n + k, 0, m * sizeof *part);
            inverse_reduce(n, m, part, p, n, a + i * n);
        }
    }
    return true;
}
