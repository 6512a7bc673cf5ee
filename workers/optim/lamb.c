/* LAMB (You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2 with phi
 * the identity):
 *   m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,
 *   u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay w,  w <- w - lr |w| / |u| u.
 * The ratio is 1 where a norm is 0. u is made twice, by blocks, so that no tensor of it is kept.
 * Cost: reads w, m, v twice, g once, writes w, m, v once. */
#include "descent/power.h"
#include "descent/simd.h"

#include "moments.h"
#include "tensor_norm.h"

static const ds_option lamb_table[] = {
    DS_MOMENTS_OPTION_BETA1,
    DS_MOMENTS_OPTION_BETA2,
    DS_MOMENTS_OPTION_BETAS,
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(ds_moments_options, eps),
     .fallback = "1e-6",
     .min = 1e-30,
     .max = 1,
     .help = "added to the denominator"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(ds_moments_options, weight_decay),
     .fallback = "0.01",
     .max = HUGE_VAL,
     .help = "this times w is added to the direction"},
    {0},
};

typedef struct lamb_rates {
    float beta1, take1, beta2, take2, first, root, eps, decay, scale;
} lamb_rates;

DS_SIMD static void lamb_moments(size_t n, const lamb_rates *rates, const float *restrict g,
                                 float *restrict m, float *restrict v)
{
    const lamb_rates r = *rates;
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * r.scale;
        m[i] = r.beta1 * m[i] + r.take1 * d;
        v[i] = r.beta2 * v[i] + r.take2 * (d * d);
    }
}

DS_SIMD static void lamb_direction(size_t n, const lamb_rates *rates, const float *restrict w,
                                   const float *restrict m, const float *restrict v,
                                   float *restrict u)
{
    const lamb_rates r = *rates;
    for (size_t i = 0; i < n; i++)
        u[i] = r.first * m[i] / (sqrtf(v[i]) * r.root + r.eps) + r.decay * w[i];
}

DS_SIMD static void lamb_move(size_t n, float rate, const float *restrict u, float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * u[i];
}

static size_t lamb_block(const ds_update *u, size_t i)
{
    return u->n - i < TENSOR_NORM_BLOCK ? u->n - i : TENSOR_NORM_BLOCK;
}

static void lamb_step(const void *options, const ds_update *u)
{
    const ds_moments_options *o = options;
    const lamb_rates rates = {
        .beta1 = (float)o->beta1,
        .take1 = (float)(1 - o->beta1),
        .beta2 = (float)o->beta2,
        .take2 = (float)(1 - o->beta2),
        .first = (float)(1 / (1 - ds_power(o->beta1, u->t))),
        .root = (float)(1 / sqrt(1 - ds_power(o->beta2, u->t))),
        .eps = (float)o->eps,
        .decay = (float)o->weight_decay,
        .scale = u->scale,
    };
    float d[TENSOR_NORM_BLOCK], *m = u->slot[0], *v = u->slot[1];
    const double size = tensor_norm(u->kernels, u->n, u->w);
    double squares = 0;
    for (size_t i = 0; i < u->n; i += TENSOR_NORM_BLOCK) {
        const size_t n = lamb_block(u, i);
        lamb_moments(n, &rates, u->g + i, m + i, v + i);
        lamb_direction(n, &rates, u->w + i, m + i, v + i, d);
        squares += u->kernels->squares(n, d);
    }
    const double ratio = size > 0 && squares > 0 ? size / sqrt(squares) : 1;
    for (size_t i = 0; i < u->n; i += TENSOR_NORM_BLOCK) {
        const size_t n = lamb_block(u, i);
        lamb_direction(n, &rates, u->w + i, m + i, v + i, d);
        lamb_move(n, (float)(u->lr * ratio), d, u->w + i);
    }
}

extern const ds_optim_ops ds_optim_lamb;
const ds_optim_ops ds_optim_lamb = {
    .name = "lamb",
    .help = "adaptive moments with a rate for each tensor by its norm, for large batches",
    .options = lamb_table,
    .options_size = sizeof(ds_moments_options),
    .reach = DS_REACH_TENSOR,
    .n_slots = 2,
    .slot_name = {"exp_avg", "exp_avg_sq"},
    .step = lamb_step,
    .check = ds_moments_check,
};
