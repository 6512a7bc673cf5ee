/* Multi-head self-attention (Vaswani et al. 2017) without its projections: x is (T, 3 C), queries,
 * keys and values side by side; y (T, C): for each head softmax(q k^T / sqrt(d)) v, d = C / heads,
 * positions after a query masked when causal. A query block of 64 rows at a time sees only the keys
 * it may: no T x T matrix exists. Kept are a row's largest score and the sum of its exponentials;
 * backward makes the weights again from them, and a row's sum of p dp is dy y (Rabe and Staats
 * 2021; Dao et al. 2022). A head's rows lie 3 C floats apart, which is bad for caches: they are
 * copied together first. 4 T^2 C flops forward, 10 backward, half of it when causal; 3 + 4 T C
 * floats copied. */
#include <math.h>

#include "descent/layer.h"
#include "descent/simd.h"

#include "attention_rows.h"

enum { ATTENTION_BLOCK = 64 };

typedef struct attention_options {
    int64_t heads;
    bool causal;
} attention_options;

static const ds_option options[] = {
    {.name = "heads",
     .type = DS_OPTION_INT,
     .offset = offsetof(attention_options, heads),
     .fallback = "1",
     .min = 1,
     .max = 65536,
     .help = "independent parts of the width"},
    {.name = "causal",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(attention_options, causal),
     .fallback = "true",
     .help = "a position sees itself and those before it"},
    {.name = NULL},
};

/* One head of one sample, its rows side by side, and a block of its queries [from, to) that see
 * keys [0, keys). */
typedef struct attention_head {
    size_t positions, width, d; /* T, C, C / heads */
    bool causal;
    float scale;       /* 1 / sqrt d */
    float *q, *k, *v;  /* (T, d) */
    float *dy;         /* (T, d), forward: (ATTENTION_BLOCK, d) of y */
    float *dx;         /* backward: dq, its rows 3 C apart, dk and dv C and 2 C floats further on */
    float *p, *dp;     /* (ATTENTION_BLOCK, T): scores, then weights; their gradients */
    float *top, *over; /* (T) kept: a row's largest score, 1 / the sum of its exponentials */
    float *dot;        /* (T): dy y */
    size_t ldp;
    size_t from, to, keys;
} attention_head;

static ds_status attention_prepare(ds_layer *self, ds_layer_builder *builder)
{
    (void)builder;
    const attention_options *o = self->options;
    char text[DS_SHAPE_TEXT];
    size_t heads = (size_t)o->heads;
    DS_CHECK(self->in.n == 2 && self->in.dim[1] % (3 * heads) == 0, DS_ERR_USAGE,
             "layer '%s': its input has shape %s, expected [positions, 3 x width] with queries, "
             "keys and values of %zu heads; put `dense: {units: 3 x width, positionwise: true}` "
             "before it",
             self->name, ds_shape_text(&self->in, text), heads);
    size_t positions = self->in.dim[0], width = self->in.dim[1] / 3;
    self->out = (ds_shape){.n = 2, .dim = {positions, width}};
    self->kept = 2 * heads * positions;
    self->scratch = 2 * ATTENTION_BLOCK * ds_stride_for(positions) +
                    4 * ds_stride_for(positions * (width / heads)) + ds_stride_for(positions);
    return DS_OK;
}

/* ---- a head's rows ------------------------------------------------------------------------------
 */

/* Where head h of row r lies, its rows gathered. */
static attention_head attention_open(const ds_layer *self, const ds_rows *rows, size_t r, size_t h)
{
    const attention_options *o = self->options;
    size_t positions = self->in.dim[0], width = self->out.dim[1], d = width / (size_t)o->heads;
    size_t ldp = ds_stride_for(positions), part = ds_stride_for(positions * d);
    float *kept = rows->kept + r * rows->kept_stride + 2 * h * positions;
    float *room = rows->scratch + 2 * ATTENTION_BLOCK * ldp;
    attention_head head = {.positions = positions,
                           .width = width,
                           .d = d,
                           .causal = o->causal,
                           .scale = (float)(1 / sqrt((double)d)),
                           .q = room,
                           .k = room + part,
                           .v = room + 2 * part,
                           .dy = room + 3 * part,
                           .dot = room + 4 * part,
                           .p = rows->scratch,
                           .dp = rows->scratch + ATTENTION_BLOCK * ldp,
                           .top = kept,
                           .over = kept + positions,
                           .ldp = ldp};
    const float *x = rows->x + r * rows->x_stride + h * d;
    attention_move(positions, d, x, 3 * width, head.q);
    attention_move(positions, d, x + width, 3 * width, head.k);
    attention_move(positions, d, x + 2 * width, 3 * width, head.v);
    return head;
}

static void attention_block(attention_head *head, size_t block)
{
    head->from = block * ATTENTION_BLOCK;
    head->to = head->from + ATTENTION_BLOCK < head->positions ? head->from + ATTENTION_BLOCK
                                                              : head->positions;
    head->keys = head->causal ? head->to : head->positions;
}

/* How many keys query i sees. */
DS_SIMD_INLINE size_t attention_sees(const attention_head *head, size_t i)
{
    return head->causal ? i + 1 : head->keys;
}

static size_t attention_blocks(const attention_head *head)
{
    return (head->positions + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK;
}

/* ---- weights ------------------------------------------------------------------------------------
 */

/* Each row's largest score; what it does not see is masked. A loop of its own: more rows than one
 * are then under way. */
DS_SIMD static void attention_tops(const attention_head *head)
{
    for (size_t i = head->from; i < head->to; i++) {
        float *p = head->p + (i - head->from) * head->ldp;
        head->top[i] = lanes_top(attention_whole(attention_sees(head, i), p), p);
    }
}

/* p = 2^((s - top) c) of rows [from, to), masked by attention_tops, c = scale log2(e); keeps 1 /
 * the sum. */
DS_SIMD static void attention_softmax(const attention_head *head)
{
    const float c = head->scale * 1.44269504f;
    for (size_t i = head->from; i < head->to; i++) {
        float *p = head->p + (i - head->from) * head->ldp, lane[LANES] = {0};
        size_t n = attention_lanes(attention_sees(head, i));
        const float top = head->top[i];
        for (size_t j = 0; j < n; j += LANES)
            for (size_t l = 0; l < LANES; l++) {
                float e = attention_power((p[j + l] - top) * c);
                p[j + l] = e;
                lane[l] += e;
            }
        attention_clear(n, head->keys, p);
        head->over[i] = 1 / lanes_sum(lane);
    }
}

/* p again, from what was kept, and ds = p (dp - dot) scale in dp's place. */
DS_SIMD static void attention_slopes(const attention_head *head)
{
    const float scale = head->scale, c = scale * 1.44269504f;
    for (size_t i = head->from; i < head->to; i++) {
        float *restrict p = head->p + (i - head->from) * head->ldp;
        float *restrict ds = head->dp + (i - head->from) * head->ldp;
        size_t n = attention_whole(attention_sees(head, i), p);
        const float top = head->top[i], over = head->over[i], dot = head->dot[i];
        for (size_t j = 0; j < n; j++) {
            float e = attention_power((p[j] - top) * c) * over;
            p[j] = e;
            ds[j] = e * (ds[j] - dot) * scale;
        }
        attention_clear(n, head->keys, p);
        attention_clear(n, head->keys, ds);
    }
}

/* c (m, n) = op(a) op(b) + beta c. */
static ds_status attention_product(const ds_kernels *k, ds_gemm call, size_t m, size_t n,
                                   size_t depth)
{
    call.m = m;
    call.n = n;
    call.k = depth;
    return k->gemm(&call);
}

/* The block's scores q k^T. */
static ds_status attention_scores(const attention_head *head, const ds_kernels *k)
{
    const ds_gemm s = {.ta = 'N',
                       .tb = 'T',
                       .a = head->q + head->from * head->d,
                       .lda = head->d,
                       .b = head->k,
                       .ldb = head->d,
                       .c = head->p,
                       .ldc = head->ldp};
    return attention_product(k, s, head->to - head->from, head->keys, head->d);
}

/* ---- forward ------------------------------------------------------------------------------------
 */

/* y = rows of o (n, d) times 1 / their sums. */
DS_SIMD static void attention_put(size_t n, size_t d, const float *o, const float *over,
                                  float *restrict y, size_t pitch)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++)
            y[i * pitch + j] = o[i * d + j] * over[i];
}

static ds_status attention_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)params;
    const attention_options *o = self->options;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t h = 0; h < (size_t)o->heads; h++) {
            attention_head head = attention_open(self, rows, r, h);
            float *y = rows->y + r * rows->y_stride + h * head.d;
            for (size_t b = 0; b < attention_blocks(&head); b++) {
                attention_block(&head, b);
                size_t n = head.to - head.from;
                DS_TRY(attention_scores(&head, k));
                attention_tops(&head);
                attention_softmax(&head);
                const ds_gemm pv = {.ta = 'N',
                                    .tb = 'N',
                                    .a = head.p,
                                    .lda = head.ldp,
                                    .b = head.v,
                                    .ldb = head.d,
                                    .c = head.dy,
                                    .ldc = head.d};
                DS_TRY(attention_product(k, pv, n, head.d, head.keys));
                attention_put(n, head.d, head.dy, head.over + head.from, y + head.from * head.width,
                              head.width);
            }
        }
    return DS_OK;
}

/* ---- backward -----------------------------------------------------------------------------------
 */

/* dot = sum of dy y, a row each. */
DS_SIMD static void attention_dots(const attention_head *head, const float *y)
{
    size_t d = head->d, whole = d - d % LANES;
    for (size_t i = 0; i < head->positions; i++, y += head->width) {
        const float *dy = head->dy + i * d;
        float lane[LANES] = {0};
        for (size_t j = 0; j < whole; j += LANES) {
            __builtin_prefetch(y + ATTENTION_AHEAD * head->width + j);
            for (size_t l = 0; l < LANES; l++)
                lane[l] += dy[j + l] * y[j + l];
        }
        for (size_t j = whole; j < d; j++)
            lane[j - whole] += dy[j] * y[j];
        head->dot[i] = lanes_sum(lane);
    }
}

/* One block's dq and its share of dk and dv (the last block, which sees all keys, comes first and
 * sets them). */
static ds_status attention_block_back(const attention_head *head, const ds_kernels *k)
{
    size_t n = head->to - head->from, d = head->d, at = head->from * d, pitch = 3 * head->width;
    float beta = head->to == head->positions ? 0 : 1;
    const ds_gemm dp = {.ta = 'N',
                        .tb = 'T',
                        .a = head->dy + at,
                        .lda = d,
                        .b = head->v,
                        .ldb = d,
                        .c = head->dp,
                        .ldc = head->ldp};
    const ds_gemm dv = {.ta = 'T',
                        .tb = 'N',
                        .a = head->p,
                        .lda = head->ldp,
                        .b = head->dy + at,
                        .ldb = d,
                        .beta = beta,
                        .c = head->dx + 2 * head->width,
                        .ldc = pitch};
    const ds_gemm dk = {.ta = 'T',
                        .tb = 'N',
                        .a = head->dp,
                        .lda = head->ldp,
                        .b = head->q + at,
                        .ldb = d,
                        .beta = beta,
                        .c = head->dx + head->width,
                        .ldc = pitch};
    const ds_gemm dq = {.ta = 'N',
                        .tb = 'N',
                        .a = head->dp,
                        .lda = head->ldp,
                        .b = head->k,
                        .ldb = d,
                        .c = head->dx + head->from * pitch,
                        .ldc = pitch};
    DS_TRY(attention_scores(head, k));
    DS_TRY(attention_product(k, dp, n, head->keys, d));
    attention_slopes(head);
    DS_TRY(attention_product(k, dv, head->keys, d, n));
    DS_TRY(attention_product(k, dk, head->keys, d, n));
    return attention_product(k, dq, n, d, head->keys);
}

static ds_status attention_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                    const ds_rows *rows)
{
    (void)params;
    const attention_options *o = self->options;
    for (size_t r = 0; r < rows->n; r++)
        for (size_t h = 0; h < (size_t)o->heads; h++) {
            attention_head head = attention_open(self, rows, r, h);
            size_t d = head.d, width = head.width, at = r * rows->y_stride + h * d;
            head.dx = rows->dx + r * rows->x_stride + h * d;
            attention_move(head.positions, d, rows->dy + at, width, head.dy);
            attention_dots(&head, rows->y + at);
            for (size_t b = attention_blocks(&head); b-- > 0;) {
                attention_block(&head, b);
                DS_TRY(attention_block_back(&head, k));
            }
        }
    return DS_OK;
}

extern const ds_layer_ops ds_layer_attention;
const ds_layer_ops ds_layer_attention = {
    .name = "attention",
    .help = "multi-head self-attention over queries, keys and values side by side (Vaswani 2017)",
    .options = options,
    .options_size = sizeof(attention_options),
    .reads_y = true,
    .in_dims = 2,
    .prepare = attention_prepare,
    .forward = attention_forward,
    .backward = attention_backward,
};
