/* Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
 * https://kellerjordan.github.io/posts/muon; the update of its muon.py):
 *   b <- momentum b + (1 - momentum) g,  d = (1 - momentum) g + momentum b (nesterov) or b,
 *   w <- (1 - lr decay) w - lr sqrt(max(1, out / in)) orthogonal(d).
 * orthogonal(d) is d with all singular values near 1, by `newton_schulz` steps of
 *   X <- a X + (b A + c A A) X,  A = X X^T,  from X = d / |d|, along the shorter side.
 * Here in float32, where the reference takes bf16. A convolution's filters are rows. Vectors
 * (biases, gains) are updated by Adam, as the reference has it, at lr * adam_lr_scale; heads and
 * embeddings too where a group says `as_vector: true`.
 * Cost of an (m, n) matrix, m <= n: 4 m^2 n + 2 m^3 operations a Newton-Schulz step. */
#include <string.h>

#include "descent/shape.h"
#include "descent/simd.h"

#include "moments.h"
#include "tensor_norm.h"

typedef struct muon_options {
    ds_moments_options adam; /* beta1, beta2, eps; weight_decay is both's */
    double momentum, adam_lr_scale;
    int64_t newton_schulz;
    bool nesterov;
} muon_options;

static const ds_option muon_table[] = {
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(muon_options, momentum),
     .fallback = "0.95",
     .max = DS_BELOW_1,
     .help = "decay of the gradient's running mean"},
    {.name = "nesterov",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(muon_options, nesterov),
     .fallback = "true",
     .help = "look ahead by one more step of the momentum"},
    {.name = "newton_schulz",
     .type = DS_OPTION_INT,
     .offset = offsetof(muon_options, newton_schulz),
     .fallback = "5",
     .min = 1,
     .max = 100,
     .help = "steps towards the orthogonal matrix"},
    {.name = "adam_lr_scale",
     .type = DS_OPTION_REAL,
     .offset = offsetof(muon_options, adam_lr_scale),
     .fallback = "0.015",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "rate of vectors (biases, gains), by Adam, as a part of lr"},
    {.name = "beta1",
     .type = DS_OPTION_REAL,
     .offset = offsetof(muon_options, adam.beta1),
     .fallback = "0.9",
     .max = DS_BELOW_1,
     .help = "Adam's decay of the gradient's running mean"},
    {.name = "beta2",
     .type = DS_OPTION_REAL,
     .offset = offsetof(muon_options, adam.beta2),
     .fallback = "0.95",
     .max = DS_BELOW_1,
     .help = "Adam's decay of the squared gradient's running mean"},
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(muon_options, adam.eps),
     .fallback = "1e-10",
     .min = 1e-30,
     .max = 1,
     .help = "added to Adam's denominator"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(muon_options, adam.weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "decoupled: w shrinks by lr times this in each update"},
    {0},
};

/* d as X in the scratch, X first; the momentum on the way. */
DS_SIMD static void muon_momentum(const ds_update *u, float keep, float take, float look)
{
    float *restrict b = u->slot[0];
    float *restrict x = u->scratch;
    const float *restrict g = u->g;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * scale;
        b[i] = keep * b[i] + take * d;
        x[i] = b[i] + look * (d - b[i]);
    }
}

DS_SIMD static void muon_scale(size_t n, float factor, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

/* y = fx x + fy y. */
DS_SIMD static void muon_mix(size_t n, float fx, const float *restrict x, float fy,
                             float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fx * x[i] + fy * y[i];
}

DS_SIMD static void muon_move(size_t n, float keep, float rate, const float *restrict x,
                              float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = keep * w[i] - rate * x[i];
}

/* Scratch: X and Y as the tensor lies, then A and B, (short, short). */
typedef struct muon_room {
    size_t shorter, side; /* rows and columns of A and B, their stride */
    float *x, *y, *a, *b;
} muon_room;

static muon_room muon_lay_out(const ds_matrix *m, float *scratch)
{
    muon_room room = {.shorter = m->rows < m->cols ? m->rows : m->cols};
    const size_t n = m->rows * m->stride;
    room.side = ds_stride_for(room.shorter);
    room.x = scratch;
    room.y = scratch + n;
    room.a = scratch + 2 * n;
    room.b = room.a + room.shorter * room.side;
    return room;
}

static size_t muon_scratch(const void *options, const ds_matrix *m)
{
    (void)options;
    if (m->dims < 2)
        return 0;
    const muon_room room = muon_lay_out(m, NULL);
    return 2 * (m->rows * m->stride + room.shorter * room.side);
}

static double muon_cost(const void *options, const ds_matrix *m)
{
    const muon_options *o = options;
    const double floats = (double)m->rows * (double)m->stride;
    const double shorter = (double)(m->rows < m->cols ? m->rows : m->cols);
    return m->dims < 2 ? floats : floats * (4 + (double)o->newton_schulz * shorter);
}

/* A product that fails must not pass as an update: NaN stops the run at the next step. */
static void muon_product(const ds_update *u, const ds_gemm *call)
{
    if (u->kernels->gemm(call) != DS_OK)
        u->w[0] = NAN;
}

/* One step: A = X X^T (or X^T X), B = b A + c A A, X <- a X + B X (or X B). X and Y change places.
 */
static void muon_newton_schulz(const ds_update *u, muon_room *room)
{
    const ds_matrix *m = &u->matrix;
    const bool wide = m->rows <= m->cols;
    const size_t k = room->shorter, n = m->rows * m->stride;
    const size_t longer = wide ? m->cols : m->rows;
    muon_product(u, &(ds_gemm){.ta = wide ? 'N' : 'T',
                               .tb = wide ? 'T' : 'N',
                               .m = k,
                               .n = k,
                               .k = longer,
                               .a = room->x,
                               .lda = m->stride,
                               .b = room->x,
                               .ldb = m->stride,
                               .c = room->a,
                               .ldc = room->side});
    muon_product(u, &(ds_gemm){.ta = 'N',
                               .tb = 'N',
                               .m = k,
                               .n = k,
                               .k = k,
                               .a = room->a,
                               .lda = room->side,
                               .b = room->a,
                               .ldb = room->side,
                               .c = room->b,
                               .ldc = room->side});
    muon_mix(k * room->side, -4.7750f, room->a, 2.0315f, room->b);
    muon_product(u, &(ds_gemm){.ta = 'N',
                               .tb = 'N',
                               .m = m->rows,
                               .n = m->cols,
                               .k = k,
                               .a = wide ? room->b : room->x,
                               .lda = wide ? room->side : m->stride,
                               .b = wide ? room->x : room->b,
                               .ldb = wide ? m->stride : room->side,
                               .c = room->y,
                               .ldc = m->stride});
    muon_mix(n, 3.4445f, room->x, 1.0f, room->y);
    float *x = room->x;
    room->x = room->y;
    room->y = x;
}

static void muon_matrix(const muon_options *o, const ds_update *u)
{
    const ds_matrix *m = &u->matrix;
    muon_room room = muon_lay_out(m, u->scratch);
    const double keep = o->momentum;
    memset(room.y, 0, (muon_scratch(o, m) - u->n) * sizeof(float)); /* padding */
    muon_momentum(u, (float)keep, (float)(1 - keep), o->nesterov ? (float)(1 - keep) : 0.0f);
    muon_scale(u->n, (float)(1 / (tensor_norm(u->kernels, u->n, room.x) + 1e-7)), room.x);
    for (int64_t i = 0; i < o->newton_schulz; i++)
        muon_newton_schulz(u, &room);
    const double out = (double)(m->transposed ? m->cols : m->rows);
    const double in = (double)(m->transposed ? m->rows : m->cols);
    const double factor = out > in ? sqrt(out / in) : 1;
    muon_move(u->n, (float)(1 - u->lr * o->adam.weight_decay), (float)(u->lr * factor), room.x,
              u->w);
}

static void muon_step(const void *options, const ds_update *u)
{
    const muon_options *o = options;
    if (u->matrix.dims > 1) {
        muon_matrix(o, u);
        return;
    }
    ds_update vector = *u;
    vector.lr = u->lr * o->adam_lr_scale;
    ds_moments_step(&o->adam, &vector, 0, o->adam.weight_decay);
}

static bool muon_uses(const void *options, size_t slot, const ds_matrix *matrix)
{
    (void)options;
    return slot == 0 || matrix->dims < 2;
}

extern const ds_optim_ops ds_optim_muon;
const ds_optim_ops ds_optim_muon = {
    .name = "muon",
    .help = "momentum made orthogonal by Newton-Schulz for matrices, Adam for vectors",
    .options = muon_table,
    .options_size = sizeof(muon_options),
    .reach = DS_REACH_TENSOR,
    .n_slots = 2,
    .slot_name = {"momentum", "exp_avg_sq"},
    .uses = muon_uses,
    .scratch = muon_scratch,
    .cost = muon_cost,
    .step = muon_step,
};
