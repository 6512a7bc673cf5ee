/* Multi-head self-attention (Vaswani et al. 2017) without its projections: x is (T, 3 C), queries,
 * keys and values side by side; y (T, C): for each head softmax(q k^T / sqrt(d)) v, d = C / heads,
 * positions after a query masked when causal. A query block of 64 rows at a time sees only the keys
 * it may: no T x T matrix exists and nothing is kept; backward makes the weights again by the same
 * calls (Rabe and Staats 2021; Dao et al. 2022). 4 T^2 C flops forward, 10 backward, half of it
 * when causal. */
#include <math.h>
#include <string.h>

#include "descent/layer.h"

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

/* One head of one sample, and a block of its queries [from, to) that see keys [0, keys). */
typedef struct attention_part {
    size_t width, d, pitch; /* C, C / heads, 3 C */
    size_t from, to, keys;
    bool causal;
    float scale;
    const float *q, *k, *v; /* of the head: rows every `pitch` floats */
    float *p;               /* (ATTENTION_BLOCK, T): scores, then weights */
    size_t ldp;
} attention_part;

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
    self->out = (ds_shape){.n = 2, .dim = {self->in.dim[0], self->in.dim[1] / 3}};
    self->scratch = 2 * ATTENTION_BLOCK * ds_stride_for(self->in.dim[0]);
    return DS_OK;
}

static attention_part attention_head(const ds_layer *self, const ds_rows *rows, size_t r, size_t h)
{
    const attention_options *o = self->options;
    size_t width = self->out.dim[1], d = width / (size_t)o->heads;
    const float *x = rows->x + r * rows->x_stride + h * d;
    return (attention_part){.width = width,
                            .d = d,
                            .pitch = 3 * width,
                            .causal = o->causal,
                            .scale = (float)(1 / sqrt((double)d)),
                            .q = x,
                            .k = x + width,
                            .v = x + 2 * width,
                            .p = rows->scratch,
                            .ldp = ds_stride_for(self->in.dim[0])};
}

static bool attention_next(attention_part *part, size_t positions)
{
    part->from = part->to;
    part->to = part->from + ATTENTION_BLOCK < positions ? part->from + ATTENTION_BLOCK : positions;
    part->keys = part->causal ? part->to : positions;
    return part->from < positions;
}

/* Keys that query i of the block sees. */
static size_t attention_seen(const attention_part *part, size_t i)
{
    return part->causal ? part->from + i + 1 : part->keys;
}

/* p = softmax(q k^T / sqrt(d)) of the block, masked. */
static ds_status attention_weights(const attention_part *part, const ds_kernels *k)
{
    size_t n = part->to - part->from;
    DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                              .tb = 'T',
                              .m = n,
                              .n = part->keys,
                              .k = part->d,
                              .a = part->q + part->from * part->pitch,
                              .lda = part->pitch,
                              .b = part->k,
                              .ldb = part->pitch,
                              .beta = 0,
                              .c = part->p,
                              .ldc = part->ldp}));
    for (size_t i = 0; i < n; i++) {
        size_t seen = attention_seen(part, i);
        float *p = part->p + i * part->ldp;
        for (size_t j = 0; j < seen; j++)
            p[j] *= part->scale;
        k->softmax(1, seen, p, part->ldp, p, part->ldp);
        memset(p + seen, 0, (part->keys - seen) * sizeof *p);
    }
    return DS_OK;
}

static ds_status attention_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                   const ds_rows *rows)
{
    (void)params;
    const attention_options *o = self->options;
    size_t positions = self->in.dim[0];
    for (size_t r = 0; r < rows->n; r++)
        for (size_t h = 0; h < (size_t)o->heads; h++) {
            attention_part part = attention_head(self, rows, r, h);
            while (attention_next(&part, positions)) {
                DS_TRY(attention_weights(&part, k));
                float *y = rows->y + r * rows->y_stride + part.from * part.width + h * part.d;
                DS_TRY(k->gemm(&(ds_gemm){.ta = 'N',
                                          .tb = 'N',
                                          .m = part.to - part.from,
                                          .n = part.d,
                                          .k = part.keys,
                                          .a = part.p,
                                          .lda = part.ldp,
                                          .b = part.v,
                                          .ldb = part.pitch,
                                          .beta = 0,
                                          .c = y,
                                          .ldc = part.width}));
            }
        }
    return DS_OK;
}

/* ds = p (dp - sum_j p_j dp_j) scale, in dp's place. */
static void attention_slopes(const attention_part *part, float *dp)
{
    for (size_t i = 0; i < part->to - part->from; i++) {
        const float *p = part->p + i * part->ldp;
        float *ds = dp + i * part->ldp;
        double dot = 0;
        for (size_t j = 0; j < part->keys; j++)
            dot += (double)p[j] * (double)ds[j];
        for (size_t j = 0; j < part->keys; j++)
            ds[j] = p[j] * (ds[j] - (float)dot) * part->scale;
    }
}

/* c (m, n) = [c +] op(a) b. */
static ds_status attention_product(const ds_kernels *k, ds_gemm call, bool add)
{
    call.beta = add ? 1 : 0;
    return k->gemm(&call);
}

/* One block's share of dq (its rows), dk and dv (added). */
static ds_status attention_block_back(const attention_part *part, const ds_kernels *k,
                                      const float *dy, float *dx, float *dp)
{
    size_t n = part->to - part->from, at = part->from * part->pitch;
    const float *q = part->q + at;
    ds_gemm dv = {'T',         'N', part->keys,           part->d,    n, part->p, part->ldp, dy,
                  part->width, 0,   dx + 2 * part->width, part->pitch};
    DS_TRY(attention_product(k, dv, true));
    ds_gemm weights = {'N',         'T',     n,           part->keys, part->d, dy,
                       part->width, part->v, part->pitch, 0,          dp,      part->ldp};
    DS_TRY(attention_product(k, weights, false));
    attention_slopes(part, dp);
    ds_gemm dq = {'N',       'N',     n,           part->d, part->keys, dp,
                  part->ldp, part->k, part->pitch, 0,       dx + at,    part->pitch};
    DS_TRY(attention_product(k, dq, false));
    ds_gemm dk = {'T', 'N',         part->keys, part->d,          n,          dp, part->ldp,
                  q,   part->pitch, 0,          dx + part->width, part->pitch};
    return attention_product(k, dk, true);
}

static ds_status attention_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                    const ds_rows *rows)
{
    (void)params;
    const attention_options *o = self->options;
    size_t positions = self->in.dim[0], elements = ds_shape_elements(&self->in);
    for (size_t r = 0; r < rows->n; r++) {
        float *dx = rows->dx + r * rows->x_stride;
        memset(dx, 0, elements * sizeof *dx);
        for (size_t h = 0; h < (size_t)o->heads; h++) {
            attention_part part = attention_head(self, rows, r, h);
            const float *dy = rows->dy + r * rows->y_stride + h * part.d;
            while (attention_next(&part, positions)) {
                DS_TRY(attention_weights(&part, k));
                DS_TRY(attention_block_back(&part, k, dy + part.from * part.width, dx + h * part.d,
                                            rows->scratch + ATTENTION_BLOCK * part.ldp));
            }
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
    .in_dims = 2,
    .prepare = attention_prepare,
    .forward = attention_forward,
    .backward = attention_backward,
};
