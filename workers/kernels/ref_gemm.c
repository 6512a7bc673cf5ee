/* The specification of gemm: each element of c is a chain of float32 additions of rounded products
 * in the order of k, begun at zero; beta = 1 adds c by one more addition at the end. Three plain
 * loops, about 1-5 GFLOP/s. */
#include <string.h>

#include "parts.h"

enum { REF_BLOCK = 64 };

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

/* Columns [j, j + w) of row i, w <= REF_BLOCK. */
static void ref_gemm_row(const ds_gemm *g, size_t i, size_t j, size_t w)
{
    float acc[REF_BLOCK] = {0};
    for (size_t p = 0; p < g->k; p++) {
        float a = g->ta == 'N' ? g->a[i * g->lda + p] : g->a[p * g->lda + i];
        if (g->tb == 'N')
            for (size_t q = 0; q < w; q++)
                acc[q] += a * g->b[p * g->ldb + j + q];
        else
            for (size_t q = 0; q < w; q++)
                acc[q] += a * g->b[(j + q) * g->ldb + p];
    }
    float *c = g->c + i * g->ldc + j;
    for (size_t q = 0; q < w; q++)
        c[q] = g->beta == 0.0f ? acc[q] : c[q] + acc[q];
}

ds_status ds_gemm_ref(const ds_gemm *call)
{
    DS_TRY(ds_gemm_check(call));
    if (ds_gemm_empty(call))
        return DS_OK;
    for (size_t i = 0; i < call->m; i++)
        for (size_t j = 0; j < call->n; j += REF_BLOCK)
            ref_gemm_row(call, i, j, call->n - j < REF_BLOCK ? call->n - j : REF_BLOCK);
    return DS_OK;
}
