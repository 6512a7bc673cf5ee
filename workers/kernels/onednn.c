/* gemm by oneDNN's dnnl_sgemm (row-major). It needs no set-up by shape. */
#include <dnnl.h>
#include <stdio.h>

#include "parts.h"

ds_status ds_gemm_onednn(const ds_gemm *g)
{
    DS_TRY(ds_gemm_check(g));
    if (ds_gemm_empty(g))
        return DS_OK;
    dnnl_status_t status =
        dnnl_sgemm(g->ta, g->tb, (dnnl_dim_t)g->m, (dnnl_dim_t)g->n, (dnnl_dim_t)g->k, 1.0f, g->a,
                   (dnnl_dim_t)g->lda, g->b, (dnnl_dim_t)g->ldb, g->beta, g->c, (dnnl_dim_t)g->ldc);
    DS_CHECK(status == dnnl_success, status == dnnl_out_of_memory ? DS_ERR_NOMEM : DS_ERR_INTERNAL,
             "dnnl_sgemm of %zu x %zu x %zu failed with status %d", g->m, g->n, g->k, (int)status);
    return DS_OK;
}

void ds_onednn_version(size_t room, char *text)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, room, "%d.%d.%d", v->major, v->minor, v->patch);
}

ds_status ds_onednn_limit_isa(int bound)
{
    static const dnnl_cpu_isa_t isa[] = {dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2,
                                         dnnl_cpu_isa_avx512_core};
    /* The first product, and asking for the effective set, both settle it. */
    if (dnnl_set_max_cpu_isa(isa[bound]) == dnnl_success)
        return DS_OK;
    DS_CHECK(dnnl_get_effective_cpu_isa() <= isa[bound], DS_ERR_INTERNAL,
             "oneDNN refuses another instruction set: it must be set before the first product");
    return DS_OK;
}
