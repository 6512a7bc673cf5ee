/* Gauss and Jordan by blocks of 64 (the symmetric sweep, Goodnight 1979), in place, in double,
 * without pivots (the matrix is positive definite). Of block k, with D the inverse of its own
 * square and R its rows: P = D R, all other rows lose R^T P, the block's become P, its square -D;
 * at the end all is -a^-1. It stays symmetric, so only the upper triangle is worked on. Elements
 * see their subtractions in one order, each product rounded, whatever the instruction set. Cost:
 * n^3 operations: 0.04 s for n = 1024. */
#include "descent/inverse.h"

#include <string.h>

#include "descent/simd.h"

enum {
    INVERSE_BLOCK = 64,
    INVERSE_LANES = 8,
    INVERSE_TILE = 4,    /* rows whose sums lie in registers */
    INVERSE_WIDTH = 256, /* columns of P that stay in the cache */
};

/* Of doubles, at any double's address. */
typedef double inverse_vec
    __attribute__((vector_size(INVERSE_LANES * sizeof(double)), aligned(8), may_alias));

/* y (rows of ldy) -= a (rows of INVERSE_BLOCK) x (m, rows of ldx). */
typedef struct inverse_product {
    size_t m;
    const double *a, *x;
    size_t ldx;
    double *y;
    size_t ldy;
} inverse_product;

/* The room's parts: R and P in rows of `ld`, R's transpose and D in rows of INVERSE_BLOCK. */
typedef struct inverse_room {
    size_t ld;
    double *rows, *product, *turned, *square;
} inverse_room;

/* Rows an odd number of cache lines apart do not push each other out of the cache. */
static size_t inverse_stride(size_t n)
{
    return n / 16 * 16 + 24;
}

static inverse_room inverse_parts(size_t n, double *room)
{
    const size_t ld = inverse_stride(n), strip = INVERSE_BLOCK * ld;
    return (inverse_room){ld, room, room + strip, room + 2 * strip, room + 3 * strip};
}

size_t ds_inverse_room(size_t n)
{
    return 3 * INVERSE_BLOCK * inverse_stride(n) + INVERSE_BLOCK * INVERSE_BLOCK;
}

/* Columns [from, to) of `rows` rows of y. */
__attribute__((always_inline)) static inline void
inverse_tile(const size_t rows, const inverse_product *p, size_t from, size_t to)
{
    size_t j = from;
    for (; j + INVERSE_LANES <= to; j += INVERSE_LANES) {
        inverse_vec sum[INVERSE_TILE];
        for (size_t q = 0; q < rows; q++)
            sum[q] = *(const inverse_vec *)(p->y + q * p->ldy + j);
        for (size_t r = 0; r < p->m; r++) {
            const inverse_vec x = *(const inverse_vec *)(p->x + r * p->ldx + j);
            for (size_t q = 0; q < rows; q++)
                sum[q] -= p->a[q * INVERSE_BLOCK + r] * x;
        }
        for (size_t q = 0; q < rows; q++)
            *(inverse_vec *)(p->y + q * p->ldy + j) = sum[q];
    }
    for (; j < to; j++)
        for (size_t q = 0; q < rows; q++)
            for (size_t r = 0; r < p->m; r++)
                p->y[q * p->ldy + j] -= p->a[q * INVERSE_BLOCK + r] * p->x[r * p->ldx + j];
}

DS_SIMD static void inverse_subtract(size_t rows, const inverse_product *p, size_t from, size_t to)
{
    if (rows == INVERSE_TILE) {
        inverse_tile(INVERSE_TILE, p, from, to);
        return;
    }
    inverse_product one = *p;
    for (size_t q = 0; q < rows; q++, one.y += p->ldy, one.a += INVERSE_BLOCK)
        inverse_tile(1, &one, from, to);
}

/* d (m, m; rows of INVERSE_BLOCK) becomes its inverse, symmetric to the bit. */
static bool inverse_small(size_t m, double *d)
{
    for (size_t k = 0; k < m; k++) {
        double *row = d + k * INVERSE_BLOCK;
        const double pivot = row[k];
        if (!(pivot > 0) || !(pivot < 1e300))
            return false;
        for (size_t j = 0; j < m; j++)
            row[j] = j == k ? 1 / pivot : row[j] / pivot;
        for (size_t i = 0; i < m; i++) {
            double *other = d + i * INVERSE_BLOCK;
            const double f = other[k];
            if (i == k)
                continue;
            other[k] = 0;
            for (size_t j = 0; j < m; j++)
                other[j] -= f * row[j];
        }
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < i; j++)
            d[i * INVERSE_BLOCK + j] = d[j * INVERSE_BLOCK + i];
    return true;
}

/* R of the block [k, k + m), zeros for its square, which goes to D; from the upper triangle. */
static void inverse_take(size_t n, size_t k, size_t m, const double *a, const inverse_room *room)
{
    for (size_t j = 0; j < n; j++)
        for (size_t r = 0; r < m; r++) {
            const double *x = j < k ? a + j * n + k + r : a + (k + r) * n + j;
            const double value = j >= k && j < k + m ? 0 : *x;
            room->rows[r * room->ld + j] = room->turned[j * INVERSE_BLOCK + r] = value;
        }
    for (size_t r = 0; r < m; r++)
        for (size_t c = 0; c < m; c++)
            room->square[r * INVERSE_BLOCK + c] =
                c < r ? a[(k + c) * n + k + r] : a[(k + r) * n + k + c];
}

/* P, with -D in D's place. */
static void inverse_multiply(size_t n, size_t m, const inverse_room *room)
{
    for (size_t i = 0; i < m * INVERSE_BLOCK; i++)
        room->square[i] = -room->square[i];
    memset(room->product, 0, m * room->ld * sizeof *room->product);
    for (size_t r = 0; r < m; r += INVERSE_TILE) {
        const inverse_product p = {m,        room->square + r * INVERSE_BLOCK, room->rows,
                                   room->ld, room->product + r * room->ld,     room->ld};
        inverse_subtract(m - r < INVERSE_TILE ? m - r : INVERSE_TILE, &p, 0, n);
    }
}

/* All rows' columns from their own on: R^T P is zero for the block's rows and columns. What a tile
 * writes below the diagonal nobody reads. */
static void inverse_update(size_t n, size_t m, double *a, const inverse_room *room)
{
    for (size_t from = 0, to; from < n; from = to) {
        to = n - from < INVERSE_WIDTH ? n : from + INVERSE_WIDTH;
        for (size_t i = 0; i < to; i += INVERSE_TILE) {
            const inverse_product p = {
                m, room->turned + i * INVERSE_BLOCK, room->product, room->ld, a + i * n, n};
            inverse_subtract(n - i < INVERSE_TILE ? n - i : INVERSE_TILE, &p, i > from ? i : from,
                             to);
        }
    }
}

static void inverse_give(size_t n, size_t k, size_t m, double *a, const inverse_room *room)
{
    for (size_t j = 0; j < k; j++)
        for (size_t r = 0; r < m; r++)
            a[j * n + k + r] = room->product[r * room->ld + j];
    for (size_t r = 0; r < m; r++) {
        double *row = a + (k + r) * n + k;
        memcpy(row, room->square + r * INVERSE_BLOCK, m * sizeof *row);
        memcpy(row + m, room->product + r * room->ld + k + m, (n - k - m) * sizeof *row);
    }
}

bool ds_inverse(size_t n, double *a, double *room)
{
    const inverse_room parts = inverse_parts(n, room);
    for (size_t k = 0; k < n; k += INVERSE_BLOCK) {
        const size_t m = n - k < INVERSE_BLOCK ? n - k : INVERSE_BLOCK;
        inverse_take(n, k, m, a, &parts);
        if (!inverse_small(m, parts.square))
            return false;
        inverse_multiply(n, m, &parts);
        inverse_update(n, m, a, &parts);
        inverse_give(n, k, m, a, &parts);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++)
            a[i * n + j] = a[j * n + i] = -a[i * n + j];
    return true;
}
