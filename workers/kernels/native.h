/* The inside of the native product: how packed panels look, and the tiles that compute them. */
#ifndef DS_NATIVE_H
#define DS_NATIVE_H

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "descent/kernels.h"

enum {
    NATIVE_AHEAD = 32,       /* rows of a panel of b fetched ahead of a tile */
    NATIVE_ROWS_AHEAD = 8,   /* whole rows of a turned a fetched ahead of packing */
    NATIVE_DEPTH = DS_CHAIN, /* of k at a time */
    NATIVE_STRETCH = 8,      /* of k between two looks at what to fetch */
    NATIVE_WIDTH = 32,       /* columns of a panel of b: dst[p * 32 + j] */
    NATIVE_HEIGHT = 16,      /* floats a step of k takes in a panel of a: dst[p * 16 + i] */
    NATIVE_MAX_ROWS = 14     /* rows of c that any tile computes at a time */
};

/* Memory that the next panel will read, which tiles of 512 bits fetch into the second-level cache
 * line by line while they compute: `rows` rows of `width` floats, `pitch` apart. */
typedef struct ds_native_fetch {
    const float *at;
    size_t width, pitch, rows;
    size_t column; /* of the row at hand, where the next line begins */
    size_t pace;   /* lines a NATIVE_STRETCH of k; 0: nothing to fetch */
} ds_native_fetch;

/* c (rows, width) = [c +] a b [+ bias] over k <= NATIVE_DEPTH: a packed, b rows every ldb floats.
 * The chain starts from zero; c is added at the end, then the bias to each row. */
typedef struct ds_native_job {
    size_t k;
    const float *a, *b;
    size_t ldb;
    float *c;
    size_t ldc;
    bool add;
    const float *bias; /* (width); NULL: none */
    bool flush;        /* of a chain, what comes out below 2^-126 is zero: products of bfloat16 */
    ds_native_fetch *fetch; /* two: of b, of a */
} ds_native_job;
typedef void ds_native_tile(const ds_native_job *job);

/* What one instruction set has: tiles of r rows at index r - 1, of 32 and of 16 columns. */
typedef struct ds_native_isa {
    size_t max_rows;
    ds_native_tile *wide[NATIVE_MAX_ROWS], *narrow[NATIVE_MAX_ROWS];
} ds_native_isa;

#if defined(__x86_64__)
extern const ds_native_isa ds_native_avx512, ds_native_avx2;
extern const ds_native_isa ds_native_dot; /* AVX512_BF16, of pairs */
#endif
extern const ds_native_isa ds_native_plain;

/* Around a chain: vdpbf16ps flushes to zero whatever the CPU was told, so the other tiles tell it.
 * c is added as ever. The barriers hold arithmetic on what memory holds between them. */
static inline unsigned ds_native_flush(bool flush)
{
    unsigned before = 0;
#if defined(__x86_64__)
    if (flush) {
        before = _mm_getcsr();
        _mm_setcsr(before | _MM_FLUSH_ZERO_ON);
        __asm__ volatile("" ::: "memory");
    }
#else
    (void)flush;
#endif
    return before;
}

static inline void ds_native_keep(bool flush, unsigned before)
{
#if defined(__x86_64__)
    if (flush) {
        __asm__ volatile("" ::: "memory");
        _mm_setcsr(before);
        __asm__ volatile("" ::: "memory");
    }
#else
    (void)flush, (void)before;
#endif
}

/* Unrolls a loop of constant length whole, so that an array of accumulators lies in registers. */
#if defined(__clang__)
#define NATIVE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NATIVE_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
