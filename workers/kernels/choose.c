/* Which library computes a product: a pure function of its shape (placeholder until measured). */
#include "parts.h"

#if DS_HAVE_ONEDNN
bool ds_choose_onednn(char ta, char tb, size_t m, size_t n, size_t k)
{
    (void)ta, (void)tb, (void)m, (void)n, (void)k;
    return true;
}
#endif

ds_status ds_gemm_auto(const ds_gemm *g)
{
#if DS_HAVE_ONEDNN
    if (ds_choose_onednn(g->ta, g->tb, g->m, g->n, g->k))
        return ds_gemm_onednn(g);
#endif
    return ds_gemm_openblas(g);
}
