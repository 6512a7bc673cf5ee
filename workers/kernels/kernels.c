/* The tables of kernels, and the probe that tells where a product may add by itself. */
#include "descent/kernels.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "descent/shape.h"

#include "parts.h"

#define FAST                                                                                      \
    .add = ds_fast_add, .sum = ds_fast_sum, .squares = ds_fast_squares, .finite = ds_fast_finite, \
    .bias = ds_fast_bias, .bias_gradient = ds_fast_bias_gradient, .activate = ds_fast_activate,   \
    .activate_gradient = ds_fast_activate_gradient, .softmax = ds_fast_softmax,                   \
    .transpose = ds_transpose_openblas

#define REF                                                                                   \
    .add = ds_ref_add, .sum = ds_ref_sum, .squares = ds_ref_squares, .finite = ds_ref_finite, \
    .bias = ds_ref_bias, .bias_gradient = ds_ref_bias_gradient, .activate = ds_ref_activate,  \
    .activate_gradient = ds_ref_activate_gradient, .softmax = ds_ref_softmax,                 \
    .transpose = ds_ref_transpose

/* The same with products of bfloat16. */
static const ds_kernels kernels_native_bf16 = {.name = "bf16",
                                               .help = "own products of bfloat16",
                                               .gemm = ds_gemm_bf16,
                                               .affine = ds_affine_bf16,
                                               .product = ds_product_bf16,
                                               .rows_alone = true,
                                               .packs_b = true,
                                               FAST};
static const ds_kernels kernels_ref_bf16 = {.name = "ref-bf16",
                                            .help = "products of bfloat16 in plain loops",
                                            .gemm = ds_gemm_ref_bf16,
                                            .product = ds_product_ref_bf16,
                                            .rows_alone = true,
                                            REF};

#define NATIVE                                                                        \
    .gemm = ds_gemm_native, .affine = ds_affine_native, .product = ds_product_native, \
    .rows_alone = true, .packs_b = true, .bf16 = &kernels_native_bf16, FAST

static const ds_kernels kernels_table[] = {
    {.name = "auto", .help = "the best that is: native", NATIVE},
    {.name = "native", .help = "own products: the same bits on every CPU", NATIVE},
    {.name = "ref",
     .help = "plain loops, what native products are held against (slow)",
     .gemm = ds_gemm_ref,
     .product = ds_product_ref,
     .rows_alone = true,
     .bf16 = &kernels_ref_bf16,
     REF},
    {.name = "openblas", .help = "OpenBLAS for all products", .gemm = ds_gemm_openblas, FAST},
#ifdef DS_HAVE_ONEDNN
    {.name = "onednn",
     .help = "oneDNN for all products",
     .gemm = ds_gemm_onednn,
     .packs_b = true,
     FAST},
#endif
};

ds_status ds_kernels_affine(const ds_kernels *self, const ds_gemm *call, const float *bias)
{
    if (self->affine != NULL && call->k > 0)
        return self->affine(call, bias);
    DS_TRY(self->gemm(call));
    self->bias(call->m, call->n, bias, call->c, call->ldc);
    return DS_OK;
}

const ds_kernels *ds_kernels_at(size_t i)
{
    ds_threads_default();
    return i < sizeof kernels_table / sizeof *kernels_table ? &kernels_table[i] : NULL;
}

const ds_kernels *ds_kernels_find(const char *name)
{
    ds_threads_default();
    for (size_t i = 0; i < sizeof kernels_table / sizeof *kernels_table; i++)
        if (strcmp(kernels_table[i].name, name) == 0)
            return &kernels_table[i];
    return NULL;
}

enum { FUSE_MAX_K = DS_CHAIN, FUSE_TRIALS = 3, FUSE_ELEMENTS = 2048 };

/* Numbers in [-1, 1) whose scale moves over 2^-4 ... 2^3, so that sums round at every place, from a
 * hash of their index (splitmix64, Steele et al. 2014): a probe runs for every shape at set-up. */
static void kernels_noise(uint64_t stream, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t z = (stream << 40) + i * UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        float unit = (float)(int32_t)(z >> 32) * 0x1p-31f;
        x[i] = unit * (float)(1u << (z & 7u)) * 0x1p-4f;
    }
}

typedef struct ds_probe {
    float *a, *b, *product, *c, *fused;
    size_t n_a, n_b, n_c;
} ds_probe;

static void ds_probe_destroy(ds_probe **self)
{
    if (*self == NULL)
        return;
    free((*self)->a);
    free((*self)->b);
    free((*self)->product);
    free((*self)->c);
    free((*self)->fused);
    free(*self);
    *self = NULL;
}

static ds_probe *kernels_probe(size_t n_a, size_t n_b, size_t n_c)
{
    ds_probe *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->n_a = n_a, p->n_b = n_b, p->n_c = n_c;
    p->a = malloc(n_a * sizeof(float));
    p->b = malloc(n_b * sizeof(float));
    p->product = malloc(n_c * sizeof(float));
    p->c = malloc(n_c * sizeof(float));
    p->fused = malloc(n_c * sizeof(float));
    if (!p->a || !p->b || !p->product || !p->c || !p->fused)
        ds_probe_destroy(&p);
    return p;
}

/* One trial: c of size `scale`; true if both ways gave the same bits. */
static bool kernels_fuse_trial(const ds_kernels *self, ds_gemm call, ds_probe *p, uint64_t trial)
{
    static const float scale[] = {1.0f, 0x1p-9f, 0x1p9f};
    kernels_noise(3 * trial, p->n_a, p->a);
    kernels_noise(3 * trial + 1, p->n_b, p->b);
    kernels_noise(3 * trial + 2, p->n_c, p->c);
    for (size_t i = 0; i < p->n_c; i++)
        p->c[i] *= scale[trial % 3];
    memcpy(p->fused, p->c, p->n_c * sizeof(float));
    memset(p->product, 0, p->n_c * sizeof(float));
    call.a = p->a, call.b = p->b;
    call.beta = 1.0f, call.c = p->fused;
    if (self->gemm(&call) != DS_OK)
        return false;
    call.beta = 0.0f, call.c = p->product;
    if (self->gemm(&call) != DS_OK)
        return false;
    for (size_t i = 0; i < call.m; i++)
        self->add(call.n, p->c + i * call.ldc, p->product + i * call.ldc);
    return memcmp(p->c, p->fused, p->n_c * sizeof(float)) == 0;
}

bool ds_kernels_fuse(const ds_kernels *self, char ta, char tb, size_t m, size_t n, size_t k)
{
    if (k == 0 || k > FUSE_MAX_K)
        return false; /* k = 0 leaves c alone, but c + 0 turns -0 into 0 */
    if (m == 0 || n == 0 || self->product != NULL)
        return true; /* by the definition of own products: FUSE_MAX_K is one chain */
    ds_gemm call = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k};
    call.lda = ds_stride_for(ta == 'N' ? k : m);
    call.ldb = ds_stride_for(tb == 'N' ? n : k);
    call.ldc = ds_stride_for(n);
    ds_auto(ds_probe) p =
        kernels_probe((ta == 'N' ? m : k) * call.lda, (tb == 'N' ? k : n) * call.ldb, m * call.ldc);
    if (p == NULL)
        return false;
    /* Small shapes show little at a time: at least FUSE_ELEMENTS sums are compared. */
    size_t trials = FUSE_TRIALS + (m * n < FUSE_ELEMENTS ? FUSE_ELEMENTS / (m * n) : 0);
    bool same = true;
    for (size_t t = 0; t < trials && same; t++)
        same = kernels_fuse_trial(self, call, p, t);
    return same;
}
