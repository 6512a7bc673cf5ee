/* K-FAC (Martens, Grosse 2015; convolutions and positions: KFC, Grosse, Martens 2016): the Fisher
 * matrix's part of each dense or convolutional layer is taken as A (x) G, A the mean over samples
 * of a a^T of its inputs, summed over positions (a convolution's: the inputs that a point sees), G
 * the mean over samples and positions of g g^T of its outputs' gradients (those of the data's own
 * targets, the empirical Fisher). Groups of a convolution have A and G of their own. A and G are
 * statistics (param.h): they travel through the exact tree, move in every `period`-th update by 1 -
 * min(1 - 1/k, decay) at the k-th time, and are saved. With pi^2 = mean of A's diagonal / mean of
 * G's:
 *   U = (G + sqrt(damping) / pi I)^-1 dW (A + pi sqrt(damping) I)^-1
 *   v <- momentum v + min(1, sqrt(kl_clip / (lr^2 sum of U dW))) U + decay w,  w <- w - lr v
 * A bias is a matrix of its own with A = [positions]; other tensors take U = dW: momentum. The clip
 * is each tensor's own, for its owner sees no other's. The first update has no factors yet and
 * leaves these tensors as they are. Cost: two products an update, inverses of n^3 operations in
 * each period.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "descent/inverse.h"
#include "descent/optim.h"
#include "descent/simd.h"

enum { KFAC_LANES = 16 };

typedef struct kfac_options {
    double damping, decay, momentum, kl_clip, weight_decay;
    int64_t period;
} kfac_options;

static const ds_option kfac_table[] = {
    {.name = "damping",
     .type = DS_OPTION_REAL,
     .offset = offsetof(kfac_options, damping),
     .fallback = "0.001",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "added to the Fisher matrix's diagonal"},
    {.name = "decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(kfac_options, decay),
     .fallback = "0.95",
     .max = DS_BELOW_1,
     .help = "part of the factors that is kept when they move"},
    {.name = "period",
     .type = DS_OPTION_INT,
     .offset = offsetof(kfac_options, period),
     .fallback = "10",
     .min = 1,
     .max = 1000000,
     .help = "updates from one move of the factors, and their inverses, to the next"},
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(kfac_options, momentum),
     .fallback = "0.9",
     .max = 1,
     .help = "part of the last direction that is kept"},
    {.name = "kl_clip",
     .type = DS_OPTION_REAL,
     .offset = offsetof(kfac_options, kl_clip),
     .fallback = "0.001",
     .max = HUGE_VAL,
     .help = "most that lr^2 times a tensor's direction along its gradient may be; 0: any"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(kfac_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "this times w is added to the direction"},
    {0},
};

/* ---- factors ----------------------------------------------------------------------------------
 */

static double kfac_keep(const void *options, int64_t t)
{
    const kfac_options *o = options;
    if (t % o->period != 0)
        return 1;
    const double k = (double)(t / o->period + 1), grown = 1 - 1 / k;
    return grown < o->decay ? grown : o->decay;
}

static double kfac_mean_diagonal(size_t n, const float *factor, size_t stride)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)factor[i * stride + i];
    return sum / (double)n;
}

static bool kfac_invert_one(size_t n, const float *factor, size_t stride, double diagonal,
                            double times, double *room, float *out)
{
    double *a = room;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            a[i * n + j] = (double)factor[i * stride + j];
        a[i * n + i] += diagonal;
    }
    if (!ds_inverse(n, a, room + n * n))
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            out[i * stride + j] = (float)(a[i * n + j] * times);
    return true;
}

static size_t kfac_room(size_t n)
{
    return n * n + ds_inverse_room(n);
}

static bool kfac_invert(const void *options, const ds_factor *input, const ds_factor *output,
                        double *room)
{
    const kfac_options *o = options;
    const bool bias = input->n == 0;
    const double a =
        bias ? input->ones : kfac_mean_diagonal(input->n, input->factor, input->stride);
    const double g = kfac_mean_diagonal(output->n, output->factor, output->stride);
    if (!(a > 0) || !(g > 0)) /* nothing seen yet, or a dead layer: no gradient either */
        return false;
    const double pi = sqrt(a / g), root = sqrt(o->damping);
    const double times = bias ? 1 / (a + pi * root) : 1;
    return kfac_invert_one(output->n, output->factor, output->stride, root / pi, times, room,
                           output->inverse) &&
           (bias || kfac_invert_one(input->n, input->factor, input->stride, pi * root, 1, room,
                                    input->inverse));
}

/* ---- an update --------------------------------------------------------------------------------
 */

DS_SIMD static void kfac_scaled(size_t n, float scale, const float *restrict g, float *restrict out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = g[i] * scale;
}

DS_SIMD static double kfac_dot(size_t n, const float *restrict a, const float *restrict b)
{
    double lane[KFAC_LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + KFAC_LANES <= n; i += KFAC_LANES)
        for (size_t k = 0; k < KFAC_LANES; k++)
            lane[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        lane[0] += (double)a[i] * (double)b[i];
    for (size_t k = 0; k < KFAC_LANES; k++)
        sum += lane[k];
    return sum;
}

/* v = keep v + (times d + decay w), w -= lr v. */
typedef struct kfac_rates {
    float keep, times, decay, lr;
} kfac_rates;

DS_SIMD static void kfac_move(size_t n, kfac_rates r, const float *restrict d, float *restrict v,
                              float *restrict w)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = r.keep * v[i] + (r.times * d[i] + r.decay * w[i]);
        w[i] -= r.lr * v[i];
    }
}

/* A product that fails must not pass as an update: NaN stops the run at the next step. */
static void kfac_product(const ds_update *u, ds_gemm call)
{
    call.ta = call.tb = 'N';
    call.ldc = u->matrix.stride;
    if (u->kernels->gemm(&call) != DS_OK)
        u->w[0] = NAN;
}

/* scratch = rows' inverse (g scale) columns' inverse, group by group; padding stays zero. */
static void kfac_precondition(const ds_update *u)
{
    const ds_factor *rows = &u->factors->side[0], *cols = &u->factors->side[1];
    const size_t stride = u->matrix.stride, height = rows->n > 0 ? rows->n : 1;
    /* groups part the outputs: a weight's rows, a bias's columns */
    const size_t step = rows->n > 0 ? rows->n * stride : cols->n;
    float *x = u->scratch, *y = u->scratch + u->n;
    memset(y, 0, u->n * sizeof *y);
    kfac_scaled(u->n, u->scale, u->g, x);
    if (rows->n == 0)
        memcpy(y, x, u->n * sizeof *y);
    for (size_t g = 0; g < u->factors->groups; g++, x += step, y += step) {
        if (rows->n > 0)
            kfac_product(u, (ds_gemm){.m = height,
                                      .n = cols->n,
                                      .k = height,
                                      .a = rows->inverse + g * height * rows->stride,
                                      .lda = rows->stride,
                                      .b = x,
                                      .ldb = stride,
                                      .c = y});
        kfac_product(u, (ds_gemm){.m = height,
                                  .n = cols->n,
                                  .k = cols->n,
                                  .a = y,
                                  .lda = stride,
                                  .b = cols->inverse + g * cols->n * cols->stride,
                                  .ldb = cols->stride,
                                  .c = x});
    }
}

static void kfac_step(const void *options, const ds_update *u)
{
    const kfac_options *o = options;
    kfac_rates rates = {(float)o->momentum, 1, (float)o->weight_decay, (float)u->lr};
    if (u->factors != NULL && !u->factors->ready)
        return;
    if (u->factors == NULL) {
        kfac_scaled(u->n, u->scale, u->g, u->scratch);
    } else {
        kfac_precondition(u);
        const double along = (double)u->scale * kfac_dot(u->n, u->scratch, u->g);
        const double most = o->kl_clip / (u->lr * u->lr * along);
        if (o->kl_clip > 0 && along > 0 && most < 1)
            rates.times = (float)sqrt(most);
    }
    kfac_move(u->n, rates, u->scratch, u->slot[0], u->w);
}

static size_t kfac_scratch(const void *options, const ds_matrix *m)
{
    (void)options;
    return 2 * m->rows * m->stride;
}

/* An inverse's operations, in double, take about four times those of a product. */
static double kfac_cost(const void *options, const ds_matrix *m)
{
    const kfac_options *o = options;
    const double rows = m->rows > 1 ? (double)m->rows : 0, cols = (double)m->cols;
    const double inverses = 4 * (rows * rows * rows + cols * cols * cols) / (double)o->period;
    return (double)m->rows * (double)m->stride * (3 + 2 * (rows + cols)) + inverses;
}

extern const ds_optim_ops ds_optim_kfac;
const ds_optim_ops ds_optim_kfac = {
    .name = "kfac",
    .help = "dense and conv layers' gradients by the inverse of a factored Fisher matrix, then "
            "momentum",
    .options = kfac_table,
    .options_size = sizeof(kfac_options),
    .reach = DS_REACH_TENSOR,
    .n_slots = 1,
    .slot_name = {"momentum"},
    .step = kfac_step,
    .scratch = kfac_scratch,
    .cost = kfac_cost,
    .keep = kfac_keep,
    .room = kfac_room,
    .invert = kfac_invert,
};
