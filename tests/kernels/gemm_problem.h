/* Random products: shapes (0, 1 and primes among them), transposes, strides, beta. */
#ifndef GEMM_PROBLEM_H
#define GEMM_PROBLEM_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/kernels.h"
#include "descent/rng.h"

enum { N_SHAPES = 200, MAX_SIDE = 131, PAD = 24 };

static inline float *random_block(ds_rng *rng, uint64_t stream, size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++) {
        uint32_t word[4];
        ds_rng_block(rng, stream, i, word);
        x[i] = (float)(int32_t)word[0] * 0x1p-31f;
    }
    return x;
}

static inline size_t pick(ds_rng *rng, uint64_t index)
{
    static const size_t sides[] = {0,  1,  2,  3,  7,  10,  13,  16, 17,
                                   31, 32, 47, 64, 97, 127, 128, 131};
    return sides[ds_rng_bits(rng, index) % (sizeof sides / sizeof *sides)];
}

typedef struct problem {
    ds_gemm call;
    float *a, *b, *c0, *c;
    size_t n_c;
} problem;

/* The call's blocks: rows `pad` longer than they need be. */
static inline problem problem_of(ds_rng *rng, uint64_t id, ds_gemm call, size_t pad)
{
    problem p = {.call = call};
    ds_gemm *g = &p.call;
    g->lda = (g->ta == 'N' ? g->k : g->m) + pad;
    g->ldb = (g->tb == 'N' ? g->n : g->k) + pad / 2;
    g->ldc = g->n + pad / 3;
    p.n_c = g->m * g->ldc;
    g->a = p.a = random_block(rng, 3 * id + 1000, (g->ta == 'N' ? g->m : g->k) * g->lda);
    g->b = p.b = random_block(rng, 3 * id + 1001, (g->tb == 'N' ? g->k : g->n) * g->ldb);
    p.c0 = random_block(rng, 3 * id + 1002, p.n_c);
    p.c = malloc((p.n_c + 1) * sizeof *p.c);
    ck_assert_ptr_nonnull(p.c);
    g->c = p.c;
    return p;
}

static inline problem problem_make(ds_rng *rng, uint64_t id)
{
    ds_gemm g = {.ta = (id & 1) ? 'T' : 'N', .tb = (id & 2) ? 'T' : 'N'};
    g.beta = (id & 4) ? 1.0f : 0.0f;
    g.m = pick(rng, 8 * id), g.n = pick(rng, 8 * id + 1), g.k = pick(rng, 8 * id + 2);
    if (id % 16 == 15)
        g.k = 1009; /* a prime beyond the libraries' blocks */
    return problem_of(rng, id, g, ds_rng_bits(rng, 8 * id + 3) % PAD);
}

/* Where native products go other ways: a in several blocks, read as it lies or packed because of
 * its pitch, its size or the columns; b near and far. */
enum { N_LARGE = 12 };
static inline problem problem_large(ds_rng *rng, uint64_t id)
{
    static const struct {
        char ta, tb;
        size_t m, n, k, pad;
    } shape[N_LARGE] = {
        {'N', 'N', 2300, 33, 300, 4}, {'T', 'N', 2300, 40, 270, 12}, {'N', 'T', 600, 64, 512, 0},
        {'N', 'N', 600, 64, 512, 16}, {'T', 'N', 512, 32, 64, 0},    {'T', 'N', 500, 32, 64, 0},
        {'N', 'N', 300, 100, 200, 0}, {'N', 'N', 100, 128, 128, 16}, {'N', 'N', 100, 129, 128, 16},
        {'N', 'N', 1030, 10, 784, 0}, {'T', 'N', 70, 96, 257, 2},    {'T', 'T', 29, 17, 40, 1}};
    ds_gemm g = {.ta = shape[id].ta, .tb = shape[id].tb, .beta = (float)(id % 2)};
    g.m = shape[id].m, g.n = shape[id].n, g.k = shape[id].k;
    return problem_of(rng, N_SHAPES + id, g, shape[id].pad);
}

static inline void problem_free(problem *p)
{
    free(p->a);
    free(p->b);
    free(p->c0);
    free(p->c);
}

/* Largest error in units of |a| |b| + |c|, which bounds what rounding can do. Padding and, under
 * beta 0, the old c must not matter: both are NaN. */
static inline double problem_error(const ds_kernels *k, problem *p)
{
    const ds_gemm *g = &p->call;
    for (size_t i = 0; i < p->n_c; i++)
        p->c[i] = g->beta == 1.0f && i % g->ldc < g->n ? p->c0[i] : NAN;
    ck_assert_int_eq(k->gemm(g), DS_OK);
    double worst = 0.0;
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            double old = g->beta == 1.0f ? (double)p->c0[i * g->ldc + j] : 0.0;
            double sum = old, size = fabs(old);
            for (size_t q = 0; q < g->k; q++) {
                double a = (double)(g->ta == 'N' ? g->a[i * g->lda + q] : g->a[q * g->lda + i]);
                double b = (double)(g->tb == 'N' ? g->b[q * g->ldb + j] : g->b[j * g->ldb + q]);
                sum += a * b;
                size += fabs(a * b);
            }
            double error = fabs((double)p->c[i * g->ldc + j] - sum);
            if (size == 0.0)
                ck_assert(error == 0.0);
            else
                worst = fmax(worst, isfinite(error) ? error / size : HUGE_VAL);
        }
    for (size_t i = 0; i < p->n_c; i++)
        if (i % g->ldc >= g->n)
            ck_assert_msg(isnan(p->c[i]), "%s wrote between rows", k->name);
    return worst;
}

/* All of them give the same bits by both. Factors are scaled by `scale`, c by its square: with
 * 2^-64 most sums are denormal. */
static inline void same_bits(const ds_kernels *k, const ds_kernels *ref, float scale)
{
    ds_rng rng = ds_rng_for(7, "shapes");
    for (uint64_t id = 0; id < N_SHAPES + N_LARGE; id++) {
        problem p = id < N_SHAPES ? problem_make(&rng, id) : problem_large(&rng, id - N_SHAPES);
        const ds_gemm *g = &p.call;
        for (size_t i = 0; i < (g->ta == 'N' ? g->m : g->k) * g->lda; i++)
            p.a[i] *= scale;
        for (size_t i = 0; i < (g->tb == 'N' ? g->k : g->n) * g->ldb; i++)
            p.b[i] *= scale;
        for (size_t i = 0; i < p.n_c; i++)
            p.c0[i] *= scale * scale;
        float *want = malloc((p.n_c + 1) * sizeof *want);
        ck_assert_ptr_nonnull(want);
        memcpy(want, p.c0, p.n_c * sizeof *want);
        memcpy(p.c, p.c0, p.n_c * sizeof *want);
        ck_assert_int_eq(k->gemm(g), DS_OK);
        p.call.c = want;
        ck_assert_int_eq(ref->gemm(g), DS_OK);
        ck_assert_mem_eq(p.c, want, p.n_c * sizeof *want);
        free(want);
        problem_free(&p);
    }
}

#endif
