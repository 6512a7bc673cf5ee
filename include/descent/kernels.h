/* The arithmetic a rank computes with. A table is chosen once at start: `native` (our own products,
 * what `auto` is), `ref` (plain loops: their specification, the same bits), `openblas` and
 * `onednn`, whose bits depend on library and core. All matrices are row-major float32 with a row
 * stride. Element-wise loops give the same bits on every instruction set (no contraction, no
 * reassociation).
 *
 * A native product is defined element by element: blocks of DS_CHAIN of k, in order, each one chain
 * of fused multiply-adds begun at zero, and their sums added in order, c first where beta is 1. No
 * height, width, address, thread count or instruction set changes a bit of it. With bfloat16 both
 * factors are rounded first and k goes in pairs, the odd one before the even; sums stay float32,
 * within a chain those below 2^-126 become zero (on x86-64; elsewhere they stay). */
#ifndef DS_KERNELS_H
#define DS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "descent/status.h"

enum { DS_CHAIN = 256 };

/* c (m, n) = op(a) op(b) + beta c, beta 0 or 1. op is 'N' or 'T': op(a) is (m, k), op(b) is (k, n).
 * beta 0 never reads c. m, n or k may be 0 (k = 0: c = beta c). */
typedef struct ds_gemm {
    char ta, tb;
    size_t m, n, k;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float beta;
    float *c;
    size_t ldc;
} ds_gemm;

/* One side of a product that is packed by its owner: its rows are c's rows (a) or c's columns (b).
 */
typedef struct ds_operand ds_operand;
struct ds_operand {
    /* Local. dst[p * width + i] = element (row + i, depth + p) for i < rows, p < n; 0 for rows <= i
     * < width. rows <= width <= 32, n <= 256. */
    void (*pack)(const ds_operand *self, size_t row, size_t rows, size_t depth, size_t n,
                 size_t width, float *dst);
    const void *source; /* what pack reads */
};

/* The source of a plain operand: element (i, p) at data[i * ld + p], or data[p * ld + i] where it
 * is turned. */
typedef struct ds_native_matrix {
    const float *data;
    size_t ld;
    bool turned;
} ds_native_matrix;

DS_API void ds_native_pack_plain(const ds_operand *self, size_t row, size_t rows, size_t depth,
                                 size_t n, size_t width, float *dst);

/* c (m, n) = a b + beta c, beta 0 or 1; m, n, k at least 1. Column j of c lies at
 * (j / span) * skip + j % span of its row: the columns of several samples; span 0: at j. */
typedef struct ds_product {
    size_t m, n, k;
    const ds_operand *a, *b;
    float beta;
    float *c;
    size_t ldc;
    size_t span, skip;
} ds_product;

typedef enum ds_activation {
    DS_ACT_NONE,
    DS_ACT_RELU,
    DS_ACT_LEAKY_RELU, /* slope 0.01 */
    DS_ACT_SIGMOID,
    DS_ACT_TANH,
    DS_ACT_GELU /* exact: x Phi(x) */
} ds_activation;

typedef struct ds_kernels ds_kernels;
struct ds_kernels {
    const char *name;
    const char *help;
    ds_status (*gemm)(const ds_gemm *call);
    /* gemm and then bias in one pass over c, with their bits; k > 0. NULL: this table has none. */
    ds_status (*affine)(const ds_gemm *call, const float *bias);
    /* NULL: this table has none. */
    ds_status (*product)(const ds_product *call);
    const ds_kernels *bf16; /* the same with products of bfloat16; NULL: there is none */
    /* True where the bits of a product's rows do not depend on how many there are. */
    bool rows_alone;
    /* True where a product packs a transposed b anew each time: turning b once then pays. */
    bool packs_b;
    /* Local. b (cols, rows) = a (rows, cols) transposed. */
    void (*transpose)(size_t rows, size_t cols, const float *a, size_t lda, float *b, size_t ldb);
    /* Local. dst (n) += src. */
    void (*add)(size_t n, float *restrict dst, const float *restrict src);
    /* Local. dst (n) = a + b. */
    void (*sum)(size_t n, float *restrict dst, const float *restrict a, const float *restrict b);
    /* Local. Sum of squares in double over 16 fixed lanes, folded in lane order. */
    double (*squares)(size_t n, const float *x);
    /* Local. True if no element is NaN or infinite. */
    bool (*finite)(size_t n, const float *x);
    /* Local. y (rows, cols) += bias (cols). */
    void (*bias)(size_t rows, size_t cols, const float *bias, float *y, size_t ldy);
    /* Local. dst (cols) = [dst +] (sum of the rows of dy in row order): one rounding for the last
     * addition. */
    void (*bias_gradient)(size_t rows, size_t cols, const float *dy, size_t ldy, float *dst,
                          bool add);
    /* Local. y = f(x); x and y may be the same block. */
    void (*activate)(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                     float *y, size_t ldy);
    /* Local. dx = dy f'(x), from y = f(x) alone but for gelu, which reads x; dx may be dy. */
    void (*activate_gradient)(ds_activation f, size_t rows, size_t cols, const float *x, size_t ldx,
                              const float *y, size_t ldy, const float *dy, size_t lddy, float *dx,
                              size_t lddx);
    /* Local. y = softmax of each row; in place allowed. */
    void (*softmax)(size_t rows, size_t cols, const float *x, size_t ldx, float *y, size_t ldy);
};

/* Local. Table by name, NULL if unknown or not built in; i-th table, NULL past the end. */
DS_API const ds_kernels *ds_kernels_find(const char *name);
DS_API const ds_kernels *ds_kernels_at(size_t i);
/* Local. gemm, then bias (n) added to each row of c: y = x W + b. */
DS_API ds_status ds_kernels_affine(const ds_kernels *self, const ds_gemm *call, const float *bias);

/* Local. True when gemm with beta = 1 is bit for bit a gemm with beta = 0 and one addition an
 * element, for this shape (own products: by definition; others are probed with data that would
 * show a difference; needs k <= 256). Not for the inside of a step. */
DS_API bool ds_kernels_fuse(const ds_kernels *self, char ta, char tb, size_t m, size_t n, size_t k);

/* Local. Sets the threads of native products, OpenBLAS, oneDNN and OpenMP of the calling thread.
 * Only when the program asks; until then the first ds_kernels_find or ds_kernels_at has set 1.
 * USAGE where the environment allows fewer. */
DS_API ds_status ds_kernels_set_threads(int threads) DS_NODISCARD;
/* Local. The highest instruction set that products may use: "auto" (what the CPU has), "base",
 * "avx2" or "avx512". Before the first product, on every rank alike. OpenBLAS settles its core when
 * it is loaded: with one above the bound `openblas` fails with USAGE and the line to set in the
 * environment. */
DS_API ds_status ds_kernels_limit_isa(const char *isa) DS_NODISCARD;

/* Local. What this CPU has: 0 base, 1 avx2, 2 avx512; -1 where the names mean nothing (not x86-64).
 */
DS_API int ds_kernels_isa(void);
/* Local. The name of such a number, as ds_kernels_limit_isa takes it; "auto" for -1. */
DS_API const char *ds_kernels_isa_name(int isa);
/* Local. What computes products of bfloat16 here, whichever is faster: "vdpbf16ps" or "fp32
 * tiles of AVX-512". The bits are the same. */
DS_API const char *ds_kernels_bf16_way(void);

/* What the bits depend on besides config, data and seed (DESIGN: numerics). Plain data: ranks
 * compare it. */
typedef struct ds_numerics {
    char kernels[32], isa[32], blas_core[32], blas_version[32], onednn_version[32], compiler[64],
        libc[32];
    int threads; /* 0: of the library's, only the table matters */
} ds_numerics;

/* Local. The numerics in force for `kernels` and `threads`. */
DS_API void ds_numerics_read(const ds_kernels *kernels, int threads, ds_numerics *out);
/* Local. One line, "kernels auto, isa avx512, OpenBLAS 0.3.21 Cooperlake, ..."; returns text. */
DS_API const char *ds_numerics_text(const ds_numerics *self, size_t room, char *text);
/* Local. NULL, or one line that says OpenBLAS runs a slower core than the CPU allows, and why. */
DS_API const char *ds_numerics_warning(size_t room, char *text);

#endif
