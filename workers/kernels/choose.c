/* Which library computes a product under kernels: auto. A pure function of (ta, tb, m, n, k) and of
 * the build, never of the clock, the rank or the address: libraries give different bits.
 *
 * Filled by measurement: 1 core of an EPYC 9xx4 (Zen 4, AVX-512, about 118 GFLOP/s at its clock),
 * OpenBLAS 0.3.21 (Cooperlake) / oneDNN 2.6.3, quiet machine, median of 41, in GFLOP/s, at the
 * shapes of 784-1024-1024-10 with r rows a shard; strides as ds_stride_for gives, in brackets
 * unpadded:
 *
 *                       r = 16            32                64                128
 * forward NN r x1024x784   82/113 (66/110)  84/111 (82/109)  94/112 (92/109)  99/112 (96/102)
 * forward NN r x1024x1024  57/84  (55/80)   85/113 (72/95)   90/114 (90/106)  93/111 (93/100)
 * forward NN r x10x1024    59/48  (59/47)   69/50  (69/49)   69/50  (69/49)   48/50  (48/50)
 * dX      NT r x1024x1024  58/59  (36/35)   82/92  (52/54)   84/88  (69/72)   90/98  (82/88)
 * dX      NT r x1024x10    50/76  (36/74)   58/85  (43/81)   66/94  (46/90)   69/97  (49/94)
 * dW      TN 128x1024x r   82/100 (64/101)  92/107 (80/106)  98/112 (90/109) 101/114 (96/110)
 * dW      TN 256x1024x r   82/100 (63/102)  93/108 (80/108) 100/113 (91/110) 103/114 (96/109)
 * dW      TN 256x10x r     46/42  (46/42)   65/46  (65/46)   84/49  (84/49)   94/50  (97/50)
 * NN 1024x1024x1024 102/109 (99/109); NN 32x64x64 115/94; NN 32x32x2 50/13; NT 32x64x64 75/60
 *
 * So oneDNN has the large products (1.05-2x), and OpenBLAS' small-matrix kernels, which it uses up
 * to m n k = 10^6, have the small and the narrow ones (up to 9x: oneDNN pays a fixed microsecond).
 * Over a grid of 2241 shapes (m to 1024, n to 1024, k to 1024) this rule is 1 % (NN), 2 % (TN) and
 * 6 % (NT) behind the better of the two in the geometric mean; oneDNN alone 36-55 %. */
#include <stdint.h>

#include "parts.h"

#ifdef DS_HAVE_ONEDNN
static const struct {
    bool b_transposed;
    size_t max_n;      /* up to this width ... */
    size_t max_volume; /* ... and this m n k OpenBLAS is faster */
} choose_openblas[] = {
    {false, SIZE_MAX, 1000000},
    {true, 64, 1000000},
    {true, SIZE_MAX, 65536},
};

bool ds_choose_onednn(char ta, char tb, size_t m, size_t n, size_t k)
{
    (void)ta;
    if (ds_isa_bound() < 2 && ds_isa_bound() < ds_openblas_isa())
        return true; /* OpenBLAS cannot leave its core any more */
    for (size_t i = 0; i < sizeof choose_openblas / sizeof *choose_openblas; i++)
        if (choose_openblas[i].b_transposed == (tb == 'T') && n <= choose_openblas[i].max_n &&
            m * n <= choose_openblas[i].max_volume && m * n * k <= choose_openblas[i].max_volume)
            return false;
    return true;
}
#endif

ds_status ds_gemm_auto(const ds_gemm *g)
{
#ifdef DS_HAVE_ONEDNN
    if (ds_choose_onednn(g->ta, g->tb, g->m, g->n, g->k))
        return ds_gemm_onednn(g);
#endif
    return ds_gemm_openblas(g);
}
