/* gemm by oneDNN's dnnl_sgemm (row-major). It needs no set-up by shape, but the first call compiles
 * its kernels (about 35 000 small allocations, some ms): ds_kernels_fuse at set-up does that. Each
 * later call takes and frees one block of scratch (72 KiB; 1.7 MB for NT) from malloc, which the
 * library's interface gives no way to avoid; matmul primitives allocate more (arguments, memory
 * objects). */
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
    if (dnnl_set_max_cpu_isa(isa[bound]) == dnnl_success)
        return DS_OK;
    /* The first product settles the set, as does asking for it. Their bits are nested masks. */
    unsigned now = (unsigned)dnnl_get_effective_cpu_isa(), most = (unsigned)isa[bound];
    DS_CHECK((now & ~most) == 0, DS_ERR_INTERNAL,
             "oneDNN refuses another instruction set: it must be set before the first product");
    return DS_OK;
}
