/* gemm by OpenBLAS, and what it says about itself. OpenBLAS picks its core when the library is
 * loaded (CPU, or OPENBLAS_CORETYPE) and cannot change it afterwards. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cblas.h>
#undef I /* complex.h comes along */

#include "parts.h"

ds_status ds_gemm_check(const ds_gemm *g)
{
    DS_ASSERT((g->ta == 'N' || g->ta == 'T') && (g->tb == 'N' || g->tb == 'T'));
    DS_ASSERT(g->beta == 0.0f || g->beta == 1.0f);
    DS_ASSERT(g->lda >= (g->ta == 'N' ? g->k : g->m) && g->ldb >= (g->tb == 'N' ? g->n : g->k) &&
              g->ldc >= g->n);
    DS_CHECK(g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX && g->lda <= INT_MAX &&
                 g->ldb <= INT_MAX && g->ldc <= INT_MAX,
             DS_ERR_USAGE,
             "a matrix product of %zu x %zu x %zu is too large: each side must be below 2^31", g->m,
             g->n, g->k);
    return DS_OK;
}

ds_status ds_gemm_openblas(const ds_gemm *g)
{
    DS_TRY(ds_gemm_check(g));
    if (ds_gemm_empty(g))
        return DS_OK;
    if (ds_isa_bound() < 2)
        DS_TRY(ds_openblas_obeys());
    cblas_sgemm(CblasRowMajor, g->ta == 'N' ? CblasNoTrans : CblasTrans,
                g->tb == 'N' ? CblasNoTrans : CblasTrans, (int)g->m, (int)g->n, (int)g->k, 1.0f,
                g->a, (int)g->lda, g->b, (int)g->ldb, g->beta, g->c, (int)g->ldc);
    return DS_OK;
}

/* 0.2 ns an element at 1024 x 1024. */
void ds_transpose_openblas(size_t rows, size_t cols, const float *a, size_t lda, float *b,
                           size_t ldb)
{
    if (rows > 0 && cols > 0)
        cblas_somatcopy(CblasRowMajor, CblasTrans, (int)rows, (int)cols, 1.0f, a, (int)lda, b,
                        (int)ldb);
}

void ds_openblas_threads(int threads)
{
    openblas_set_num_threads(threads);
}

void ds_openblas_core(size_t room, char *text)
{
    snprintf(text, room, "%s", openblas_get_corename());
}

/* "OpenBLAS 0.3.21 NO_LAPACK DYNAMIC_ARCH ..." -> "0.3.21". */
void ds_openblas_version(size_t room, char *text)
{
    const char *config = openblas_get_config(), *space = strchr(config, ' ');
    const char *from = space == NULL ? config : space + 1;
    size_t n = strcspn(from, " ");
    snprintf(text, room, "%.*s", (int)n, from);
}

int ds_openblas_isa(void)
{
    static const char *const avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    static const char *const avx2[] = {"Haswell", "Zen"};
    const char *core = openblas_get_corename();
    for (size_t i = 0; i < sizeof avx512 / sizeof *avx512; i++)
        if (strcasecmp(core, avx512[i]) == 0)
            return 2;
    for (size_t i = 0; i < sizeof avx2 / sizeof *avx2; i++)
        if (strcasecmp(core, avx2[i]) == 0)
            return 1;
    return 0;
}
