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
    NATIVE_STRETCH = 16,     /* of k between two looks at what to fetch */
    NATIVE_WIDTH = 32,       /* columns of a panel of b: dst[p * 32 + j] */
    NATIVE_HEIGHT = 16,      /* floats a step of k takes in a panel of a: dst[p * 16 + i] */
    NATIVE_MAX_ROWS = 14,    /* rows of c that any tile computes at a time */
    NATIVE_TILE = NATIVE_DEPTH * NATIVE_HEIGHT + 16, /* floats of a packed tile, no two in one set
                                                        of a cache */
    NATIVE_PAIRS_TILE = NATIVE_DEPTH / 2 * NATIVE_HEIGHT + 16 /* of pairs in one float each */
};

/* Memory that the next panel will read, which tiles of 512 bits fetch into the second-level cache
 * line by line while they compute: `rows` rows of `width` floats, `pitch` apart. */
typedef struct ds_native_fetch {
    const float *at;
    size_t width, pitch, rows;
    size_t column; /* of the row at hand, where the next line begins */
    size_t pace;   /* lines a NATIVE_STRETCH of k; 0: nothing to fetch */
} ds_native_fetch;

/* c (rows, width) = [c +] a b [+ bias] over k <= NATIVE_DEPTH: b rows every ldb floats, a steps of
 * k every lda, for tiles by rows rows every lda. The chain starts from zero; c is added at the end,
 * then the bias to each row. */
typedef struct ds_native_job {
    size_t k;
    const float *a, *b;
    size_t lda, ldb;
    float *c;
    size_t ldc;
    bool add;
    const float *bias; /* (width); NULL: none */
    bool flush;        /* of a chain, what comes out below 2^-126 is zero: products of bfloat16 */
    ds_native_fetch *fetch; /* two: of b, of a */
} ds_native_job;
typedef void ds_native_tile(const ds_native_job *job);

/* Tiles of r rows at index r - 1, of 32 and of 16 columns. */
typedef struct ds_native_tiles {
    ds_native_tile *wide[NATIVE_MAX_ROWS], *narrow[NATIVE_MAX_ROWS];
} ds_native_tiles;

/* What one instruction set has: a by steps of k, as it is packed, or by rows (NULL: no such). */
typedef struct ds_native_isa {
    size_t max_rows;
    size_t tile; /* floats from one packed tile of a to the next */
    ds_native_tiles by_steps, by_rows;
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
