/* The native product, after Goto and van de Geijn (2008) and BLIS (Van Zee, van de Geijn 2015): a
 * block of a is packed in tiles that stay in the second-level cache, b goes by panels of 32
 * columns, a tile of c lies in registers. An element of c is the sum, in order, of chains of at
 * most 256 fused multiply-adds in the order of k, each from zero: its bits depend on no block size,
 * no height or width of the product, and no instruction set, so that unlike CPUs agree.
 * 2 m n k flops; packing reads a once and b once for each block of a. Where it would not pay, a
 * and b are read as they lie. While a panel is computed with AVX-512, the next one comes into the
 * second-level cache. */
#include "native_call.h"
#include "native_pool.h"
#include "native_race.h"
#include "native_room.h"

enum {
    NATIVE_ALONE = 100000, /* multiply-adds a thread at least */
    NATIVE_FEW = 4,        /* tiles that take b as it lies */
    NATIVE_NEAR = 16384,   /* floats from b's first to its last: so near it serves any number, */
    NATIVE_CLOSE = 128,    /* with rows so close */
    NATIVE_COLD = 8192,    /* floats of an a that may still lie in a near cache */
    NATIVE_SLIM = 128,  /* columns at most that take such an a as it lies; half for larger ones */
    NATIVE_BRIEF = 128, /* of k, where a is turned: each is a far row, and nothing fetches them */
    NATIVE_CLASH = 512, /* floats between rows that fall on too few sets of a cache */
};

/* ---- tiles ----------------------------------------------------------------------------------- */

static size_t native_pack(const ds_native_call *call, const ds_operand *side, size_t row,
                          size_t rows, size_t width, float *dst)
{
    const ds_native_part part = {row, rows, call->depth, call->n};
    if (call->bf16 != NULL && call->bf16->pack != NULL && side->pack == ds_native_pack_plain)
        return call->bf16->pack(side->source, &part, width, dst);
    side->pack(side, row, rows, call->depth, call->n, width, dst);
    return call->bf16 != NULL ? call->bf16->convert(call->n, width, dst) : call->n;
}

/* All tiles of a turned matrix at once; the steps each takes. */
static size_t native_pack_turned(const ds_native_call *call, const ds_native_matrix *m)
{
    const ds_native_part part = {call->row, call->rows, call->depth, call->n};
    size_t steps = call->n;
    if (call->bf16 != NULL && call->bf16->tiles != NULL)
        return call->bf16->tiles(m, &part, call->tiles, call->room->a);
    ds_native_copy_tiles(m, &part, call->tiles, call->room->a);
    for (size_t t = 0; t < call->tiles && call->bf16 != NULL; t++)
        steps = call->bf16->convert(call->n, NATIVE_HEIGHT, call->room->a + t * call->isa->tile);
    return steps;
}

static void native_pack_tile(ds_native_call *call, size_t t)
{
    size_t from = call->begin[t], rows = call->begin[t + 1] - from;
    call->steps = native_pack(call, call->product->a, call->row + from, rows, NATIVE_HEIGHT,
                              call->room->a + t * call->isa->tile);
}

/* Columns [j, j + w) of a tile's rows from the room's tile into c, column by column's place. */
static void native_scatter(const ds_native_call *call, size_t row, size_t rows, size_t j, size_t w,
                           const float *bias)
{
    const ds_product *p = call->product;
    bool add = call->depth > 0 || p->beta != 0.0f;
    size_t span = p->span > 0 ? p->span : p->n;
    for (size_t r = 0; r < rows; r++) {
        const float *sum = call->room->c + r * NATIVE_WIDTH;
        for (size_t i = 0; i < w;) {
            size_t at = (j + i) % span, run = span - at < w - i ? span - at : w - i;
            float *c = p->c + (row + r) * p->ldc + (j + i) / span * p->skip + at;
            for (size_t q = 0; q < run; q++)
                c[q] = add ? c[q] + sum[i + q] : sum[i + q];
            for (size_t q = 0; q < run && bias != NULL; q++)
                c[q] += bias[i + q];
            i += run;
        }
    }
}

/* Where the tiles of a are read: the first one's, and from row to row, where they lie. */
static size_t native_look(const ds_native_call *call, const float **first, size_t *lda)
{
    *first = call->room->a;
    *lda = NATIVE_HEIGHT;
    if (!call->lies)
        return 0;
    const ds_native_matrix *m = call->product->a->source;
    size_t row = call->turned ? 1 : m->ld, step = call->turned ? m->ld : 1;
    *first = m->data + call->row * row + call->depth * step;
    *lda = m->ld;
    return row;
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

/* Columns [j, j + w), w <= 32, of all rows; job: their panel of b. The first panel packs a tile by
 * tile, what it packs next on its way from memory. */
static void native_panel(ds_native_call *call, size_t j, size_t w, ds_native_job job)
{
    const ds_product *p = call->product;
    bool add = call->depth > 0 || p->beta != 0.0f, narrow = w <= NATIVE_WIDTH / 2;
    const ds_native_tiles *tiles =
        call->lies && !call->turned ? &call->isa->by_rows : &call->isa->by_steps;
    ds_native_tile *const *tile = narrow ? tiles->narrow : tiles->wide;
    size_t span = p->span > 0 ? p->span : p->n, at = j % span;
    bool straight = (w == NATIVE_WIDTH || w == NATIVE_WIDTH / 2) && at + w <= span;
    bool first = j == call->first_column, packs = first && !call->turned && !call->lies;
    bool fetches = packs || (first && call->lies && !call->turned && p->m * p->k > NATIVE_COLD);
    bool ends = call->bias != NULL && call->depth + call->n == p->k;
    const float *bias = ends ? call->bias + j : NULL;
    const float *a = NULL;
    const size_t row = native_look(call, &a, &job.lda);
    float *c = p->c + call->row * p->ldc + j / span * p->skip + at;
    job.ldc = straight ? p->ldc : NATIVE_WIDTH;
    job.add = straight && add;
    job.bias = straight ? bias : NULL;
    for (size_t t = 0; t < call->tiles; t++) {
        size_t from = call->begin[t], rows = call->begin[t + 1] - from;
        if (packs)
            native_pack_tile(call, t);
        if (fetches)
            job.fetch[1] = ds_native_fetch_tile(call, t);
        job.k = call->steps;
        job.a = call->lies ? a + from * row : a + t * call->isa->tile;
        job.c = straight ? c + from * p->ldc : call->room->c;
        tile[rows - 1](&job);
        if (!straight)
            native_scatter(call, call->row + from, rows, j, w, bias);
    }
}

/* Rows of b so near that they are as good as a panel. */
static bool native_near(const ds_native_call *call)
{
    return call->n * call->ldb <= NATIVE_NEAR && call->ldb <= NATIVE_CLOSE;
}

/* More tiles than a few earn that a far b is copied together: shared memory lies on small pages,
 * and each tile would walk them all (128 rows by 1024 x 1024 on 2 ranks: 5 % of a step). */
static void native_block(ds_native_call *call)
{
    ds_native_fetch fetch[2] = {{.pace = 0}, {.pace = 0}};
    call->steps = call->n;
    if (call->turned && !call->lies) {
        call->steps = native_pack_turned(call, call->product->a->source);
        fetch[1] = ds_native_fetch_turned(call);
    }
    for (size_t j = call->first_column; j < call->end_column; j += NATIVE_WIDTH) {
        size_t w = call->end_column - j < NATIVE_WIDTH ? call->end_column - j : NATIVE_WIDTH;
        bool in_place = call->b_rows != NULL && w == NATIVE_WIDTH &&
                        (call->tiles < NATIVE_FEW || native_near(call));
        const ds_native_job job = {.b = in_place ? call->b_rows + call->depth * call->ldb + j
                                                 : call->room->b,
                                   .ldb = in_place ? call->ldb : NATIVE_WIDTH,
                                   .flush = call->bf16 != NULL,
                                   .fetch = fetch};
        if (!in_place)
            native_pack(call, call->product->b, j, w, NATIVE_WIDTH, call->room->b);
        fetch[0] = ds_native_fetch_b(call, j);
        native_panel(call, j, w, job);
    }
}

/* Packing costs a third of a panel's multiply-adds: a few panels do not earn it back. 64 x 32 x 64
 * on a Zen 5: 190 GFLOP/s packed, 255 as it lies; 1024 x 10 x 784 cold: 75 and 104. */
static bool native_lies(const ds_native_call *call, const ds_native_matrix *a)
{
    const ds_product *p = call->product;
    size_t most = p->m * p->k <= NATIVE_COLD ? NATIVE_SLIM : NATIVE_SLIM / 2;
    return a != NULL && call->bf16 == NULL && call->isa->by_rows.wide[0] != NULL && p->n <= most &&
           a->ld % NATIVE_CLASH != 0 && (!a->turned || p->k <= NATIVE_BRIEF);
}

static void native_run(ds_native_call *call)
{
    const ds_product *p = call->product;
    const ds_native_matrix *a = p->a->pack == ds_native_pack_plain ? p->a->source : NULL;
    size_t fit = (NATIVE_ROOM - NATIVE_TILE) / call->isa->tile + 1;
    size_t most = fit * call->isa->max_rows, m = call->end_row - call->first_row;
    call->turned = a != NULL && a->turned;
    call->lies = native_lies(call, a);
    size_t blocks = (m + most - 1) / most;
    for (size_t i = 0; i < blocks; i++) {
        call->row = call->first_row + i * m / blocks;
        call->rows = call->first_row + (i + 1) * m / blocks - call->row;
        call->tiles = (call->rows + call->isa->max_rows - 1) / call->isa->max_rows;
        ds_native_begins(call->rows, call->tiles, call->begin);
        for (call->depth = 0; call->depth < p->k; call->depth += NATIVE_DEPTH) {
            call->n = p->k - call->depth < NATIVE_DEPTH ? p->k - call->depth : NATIVE_DEPTH;
            native_block(call);
        }
    }
}

/* The tiles of this CPU, within the bound on the instruction set. */
static void native_choose(ds_native_call *call, bool bf16)
{
    call->bf16 = bf16 ? ds_bf16_best() : NULL;
    call->isa = bf16 ? call->bf16->isa : &ds_native_plain;
#if defined(__x86_64__)
    int isa = ds_cpu_isa() < ds_isa_bound() ? ds_cpu_isa() : ds_isa_bound();
    if (isa > 0 && !bf16)
        call->isa = isa > 1 ? &ds_native_avx512 : &ds_native_avx2;
#endif
}

/* One part: a range of columns in whole panels, or of rows. */
typedef struct native_parts {
    ds_native_call call;
    int n;
    _Atomic bool failed;
} native_parts;

static void native_part(void *context, int i)
{
    native_parts *parts = context;
    ds_native_call call = parts->call;
    const ds_product *p = call.product;
    size_t n = (size_t)parts->n, k = (size_t)i, panels = (p->n + NATIVE_WIDTH - 1) / NATIVE_WIDTH;
    if (ds_native_take_room(&call.room) != DS_OK) {
        parts->failed = true; /* all write the same */
        return;
    }
    if (panels >= n) {
        call.first_column = panels * k / n * NATIVE_WIDTH;
        size_t end = panels * (k + 1) / n * NATIVE_WIDTH;
        call.end_column = end < p->n ? end : p->n;
    } else {
        call.first_row = p->m * k / n;
        call.end_row = p->m * (k + 1) / n;
    }
    native_run(&call);
}

/* As many parts as threads, while each has enough to do. */
static ds_status native_share(const ds_native_call *call)
{
    const ds_product *p = call->product;
    double work = (double)p->m * (double)p->n * (double)p->k;
    native_parts parts = {.call = *call, .n = ds_pool_threads()};
    if (work < (double)parts.n * NATIVE_ALONE)
        parts.n = work < 2 * NATIVE_ALONE ? 1 : (int)(work / NATIVE_ALONE);
    if ((p->n + NATIVE_WIDTH - 1) / NATIVE_WIDTH < (size_t)parts.n && p->m < (size_t)parts.n)
        parts.n = 1;
    ds_pool_run(parts.n, native_part, &parts);
    DS_CHECK(!parts.failed, DS_ERR_NOMEM, "no memory for the blocks of matrix products");
    return DS_OK;
}

static ds_status native_product(const ds_product *product, ds_native_call *call, bool bf16)
{
    DS_ASSERT(product->beta == 0.0f || product->beta == 1.0f);
    DS_ASSERT(product->m > 0 && product->n > 0 && product->k > 0);
    call->product = product;
    call->end_row = product->m;
    call->end_column = product->n;
    native_choose(call, bf16);
    if (ds_pool_threads() > 1)
        return native_share(call);
    DS_TRY(ds_native_take_room(&call->room));
    native_run(call);
    return DS_OK;
}

ds_status ds_product_native(const ds_product *product)
{
    return native_product(product, &(ds_native_call){.b_rows = NULL}, false);
}

ds_status ds_product_bf16(const ds_product *product)
{
    return native_product(product, &(ds_native_call){.b_rows = NULL}, true);
}

static ds_status native_gemm(const ds_gemm *g, const float *bias, bool bf16)
{
    DS_TRY(ds_gemm_check(g));
    if (ds_gemm_empty(g))
        return DS_OK;
    ds_native_matrix ma = {g->a, g->lda, g->ta == 'T'}, mb = {g->b, g->ldb, g->tb == 'N'};
    ds_operand a = {ds_native_pack_plain, &ma}, b = {ds_native_pack_plain, &mb};
    ds_product product = ds_gemm_product(g, &a, &b);
    ds_native_call call = {
        .b_rows = g->tb == 'N' && !bf16 ? g->b : NULL, .ldb = g->ldb, .bias = bias};
    return native_product(&product, &call, bf16);
}

ds_status ds_gemm_native(const ds_gemm *g)
{
    return native_gemm(g, NULL, false);
}

ds_status ds_gemm_bf16(const ds_gemm *g)
{
    return native_gemm(g, NULL, true);
}

ds_status ds_affine_native(const ds_gemm *g, const float *bias)
{
    return native_gemm(g, bias, false);
}

ds_status ds_affine_bf16(const ds_gemm *g, const float *bias)
{
    return native_gemm(g, bias, true);
}
