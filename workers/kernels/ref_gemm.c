/* The specification of products. An element of c is a sum over blocks of DS_CHAIN of k, in order:
 * each block is one chain of fused multiply-adds in the order of k, begun at zero; beta = 1 adds c
 * first. So beta = 1 with k <= DS_CHAIN is a product and one addition. Plain loops, about 5
 * GFLOP/s. */
#include <math.h>
#include <string.h>

#include "descent/simd.h"

#include "native_parts.h"
#include "parts.h"

enum { REF_BLOCK = 32 };

/* As DS_SIMD, with instruction sets that have the fused operation; elsewhere libm computes it. */
#if DS_SIMD_CLONES
#define REF_SIMD __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define REF_SIMD
#endif

bool ds_gemm_empty(const ds_gemm *call)
{
    if (call->m == 0 || call->n == 0)
        return true;
    if (call->k > 0)
        return false;
    if (call->beta == 0.0f)
        for (size_t i = 0; i < call->m; i++)
            memset(call->c + i * call->ldc, 0, call->n * sizeof *call->c);
    return true;
}

REF_SIMD
static void ref_gemm_chain(size_t k, const float *a, const float *b, float *restrict sum)
{
    for (size_t j = 0; j < REF_BLOCK; j++)
        sum[j] = 0;
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < REF_BLOCK; j++)
            sum[j] = fmaf(a[p], b[p * REF_BLOCK + j], sum[j]);
}

/* Columns [j, j + w) of all rows, over [depth, depth + n) of k. */
static void ref_gemm_block(const ds_product *g, bool bf16, size_t j, size_t w, size_t depth)
{
    float a[DS_CHAIN], b[DS_CHAIN * REF_BLOCK], sum[REF_BLOCK];
    size_t span = g->span > 0 ? g->span : g->n;
    size_t n = g->k - depth < DS_CHAIN ? g->k - depth : DS_CHAIN, steps = n;
    g->b->pack(g->b, j, w, depth, n, REF_BLOCK, b);
    if (bf16)
        steps = ds_bf16_swap(n, REF_BLOCK, b);
    for (size_t i = 0; i < g->m; i++) {
        g->a->pack(g->a, i, 1, depth, n, 1, a);
        if (bf16)
            ds_bf16_swap(n, 1, a);
        unsigned before = ds_native_flush(bf16);
        ref_gemm_chain(steps, a, b, sum);
        ds_native_keep(bf16, before);
        for (size_t q = 0; q < w; q++) {
            float *c = g->c + i * g->ldc + (j + q) / span * g->skip + (j + q) % span;
            *c = depth > 0 || g->beta != 0.0f ? *c + sum[q] : sum[q];
        }
    }
}

static ds_status ref_gemm_product(const ds_product *g, bool bf16)
{
    for (size_t j = 0; j < g->n; j += REF_BLOCK)
        for (size_t depth = 0; depth < g->k; depth += DS_CHAIN)
            ref_gemm_block(g, bf16, j, g->n - j < REF_BLOCK ? g->n - j : REF_BLOCK, depth);
    return DS_OK;
}

ds_status ds_product_ref(const ds_product *g)
{
    return ref_gemm_product(g, false);
}

ds_status ds_product_ref_bf16(const ds_product *g)
{
    return ref_gemm_product(g, true);
}

/* The source of a plain operand: element (i, p) at data[i * row + p * col]. */
typedef struct ref_matrix {
    const float *data;
    size_t row, col;
} ref_matrix;

static void ref_gemm_pack(const ds_operand *self, size_t row, size_t rows, size_t depth, size_t n,
                          size_t width, float *dst)
{
    const ref_matrix *m = self->source;
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < width; i++)
            dst[p * width + i] =
                i < rows ? m->data[(row + i) * m->row + (depth + p) * m->col] : 0.0f;
}

static ds_status ref_gemm(const ds_gemm *g, bool bf16)
{
    DS_TRY(ds_gemm_check(g));
    if (ds_gemm_empty(g))
        return DS_OK;
    ref_matrix ma = {g->a, g->ta == 'N' ? g->lda : 1, g->ta == 'N' ? 1 : g->lda};
    ref_matrix mb = {g->b, g->tb == 'N' ? 1 : g->ldb, g->tb == 'N' ? g->ldb : 1};
    ds_operand a = {ref_gemm_pack, &ma}, b = {ref_gemm_pack, &mb};
    ds_product product = ds_gemm_product(g, &a, &b);
    return ref_gemm_product(&product, bf16);
}

ds_status ds_gemm_ref(const ds_gemm *g)
{
    return ref_gemm(g, false);
}

ds_status ds_gemm_ref_bf16(const ds_gemm *g)
{
    return ref_gemm(g, true);
}
