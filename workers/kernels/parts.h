/* What the kernel tables are put together from. */
#ifndef DS_KERNELS_PARTS_H
#define DS_KERNELS_PARTS_H

#include "descent/kernels.h"

ds_status ds_gemm_ref(const ds_gemm *call);
ds_status ds_product_ref(const ds_product *call);
ds_status ds_gemm_openblas(const ds_gemm *call);
/* Takes the calling thread's memory for products, so that none is taken in a step. Where there is
 * none, the first product says so. */
void ds_native_ready(void);
ds_status ds_gemm_native(const ds_gemm *call);
ds_status ds_product_native(const ds_product *call);
ds_status ds_gemm_bf16(const ds_gemm *call);
ds_status ds_affine_native(const ds_gemm *call, const float *bias);
ds_status ds_affine_bf16(const ds_gemm *call, const float *bias);
ds_status ds_product_bf16(const ds_product *call);
ds_status ds_gemm_ref_bf16(const ds_gemm *call);
ds_status ds_product_ref_bf16(const ds_product *call);
/* True when the answer needs no product (m, n or k is 0): it then stands in c. */
bool ds_gemm_empty(const ds_gemm *call);
/* Strides and operations make sense and all counts fit an int. */
ds_status ds_gemm_check(const ds_gemm *call);

#ifdef DS_HAVE_ONEDNN
ds_status ds_gemm_onednn(const ds_gemm *call);
void ds_onednn_version(size_t room, char *text);
/* bound: 0 base, 1 avx2, 2 avx512. */
ds_status ds_onednn_limit_isa(int bound);
#endif

/* The same product of packed operands. */
static inline ds_product ds_gemm_product(const ds_gemm *g, const ds_operand *a, const ds_operand *b)
{
    return (ds_product){
        .m = g->m, .n = g->n, .k = g->k, .a = a, .b = b, .beta = g->beta, .c = g->c, .ldc = g->ldc};
}

/* Sets one thread if nobody has set another number. */
void ds_threads_default(void);
void ds_transpose_openblas(size_t rows, size_t cols, const float *a, size_t lda, float *b,
                           size_t ldb);
void ds_openblas_threads(int threads);
/* The core that OpenBLAS runs, "Cooperlake"; its version, "0.3.21". */
void ds_openblas_core(size_t room, char *text);
void ds_openblas_version(size_t room, char *text);
/* The instruction set that core uses: 0 base, 1 avx2, 2 avx512. */
int ds_openblas_isa(void);
/* USAGE with the line to add when OpenBLAS runs a core above the bound on the instruction set. */
ds_status ds_openblas_obeys(void);
/* The bound: 0 base, 1 avx2, 2 avx512 (none). */
int ds_isa_bound(void);
/* What this CPU has: 0 base, 1 avx2, 2 avx512; -1 where the names mean nothing (not x86-64). */
int ds_cpu_isa(void);
/* AVX512_BF16, and the operating system keeps its registers. */
bool ds_cpu_bf16(void);

void ds_ref_activate(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                     float *y, size_t ldy);
void ds_ref_activate_gradient(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                              const float *y, size_t ldy, const float *dy, size_t lddy, float *dx,
                              size_t lddx);
void ds_ref_softmax(size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy);
void ds_ref_transpose(size_t rows, size_t cols, const float *a, size_t lda, float *b, size_t ldb);
void ds_ref_add(size_t n, float *restrict dst, const float *restrict src);
void ds_ref_sum(size_t n, float *restrict dst, const float *restrict a, const float *restrict b);
double ds_ref_squares(size_t n, const float *x);
bool ds_ref_finite(size_t n, const float *x);
void ds_ref_bias(size_t rows, size_t cols, const float *bias, float *y, size_t ldy);
void ds_ref_bias_gradient(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst,
                          bool add);

void ds_fast_activate(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                      float *y, size_t ldy);
void ds_fast_activate_gradient(ds_activation f, size_t rows, size_t cols, const float *x,
                               size_t ldx, const float *y, size_t ldy, const float *dy, size_t lddy,
                               float *dx, size_t lddx);
void ds_fast_softmax(size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy);
void ds_fast_add(size_t n, float *restrict dst, const float *restrict src);
void ds_fast_sum(size_t n, float *restrict dst, const float *restrict a, const float *restrict b);
double ds_fast_squares(size_t n, const float *x);
bool ds_fast_finite(size_t n, const float *x);
void ds_fast_bias(size_t rows, size_t cols, const float *bias, float *y, size_t ldy);
void ds_fast_bias_gradient(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst,
                           bool add);

#endif
