/* RMSprop (Tieleman & Hinton, Coursera lecture 6.5, 2012; centered: Graves, arXiv:1308.0850) as
 * torch.optim.RMSprop writes it:
 *   d = g + decay w,  s <- alpha s + (1 - alpha) d^2,  centered: a <- alpha a + (1 - alpha) d,
 *   e = d / (sqrt(s - a^2) + eps),  momentum: b <- momentum b + e, w <- w - lr b;  else w - lr e.
 * s - a^2 is a variance: what rounding makes negative counts as 0. Cost: reads w, g, s, writes w, s
 * once; the same for a and b where they are in use. */
#include <math.h>
#include <stddef.h>

#include "descent/optim.h"
#include "descent/simd.h"

typedef struct rmsprop_options {
    double alpha, eps, momentum, weight_decay;
    bool centered;
} rmsprop_options;

static const ds_option rmsprop_table[] = {
    {.name = "alpha",
     .type = DS_OPTION_REAL,
     .offset = offsetof(rmsprop_options, alpha),
     .fallback = "0.99",
     .max = DS_BELOW_1,
     .help = "decay of the squared gradient's running mean"},
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(rmsprop_options, eps),
     .fallback = "1e-8",
     .min = 1e-30,
     .max = 1,
     .help = "added to the denominator"},
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(rmsprop_options, momentum),
     .fallback = "0",
     .max = 1,
     .help = "part of the last direction that is kept; 0: none"},
    {.name = "centered",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(rmsprop_options, centered),
     .fallback = "false",
     .help = "divide by the deviation, not by the root of the mean square"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(rmsprop_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

enum { RMSPROP_SQUARE, RMSPROP_MEAN, RMSPROP_MOMENTUM, RMSPROP_CHUNK = 512 };

typedef struct rmsprop_rates {
    float alpha, take, eps, momentum, decay, scale;
} rmsprop_rates;

/* d, s and the variance of up to RMSPROP_CHUNK elements. */
DS_SIMD static void rmsprop_square(size_t n, const rmsprop_rates *rates, const float *restrict w,
                                   const float *restrict g, float *restrict s, float *restrict d)
{
    const rmsprop_rates r = *rates;
    for (size_t i = 0; i < n; i++) {
        d[i] = g[i] * r.scale + r.decay * w[i];
        s[i] = r.alpha * s[i] + r.take * (d[i] * d[i]);
    }
}

DS_SIMD static void rmsprop_center(size_t n, const rmsprop_rates *rates, const float *restrict d,
                                   float *restrict a, const float *restrict s, float *restrict v)
{
    const rmsprop_rates r = *rates;
    for (size_t i = 0; i < n; i++) {
        a[i] = r.alpha * a[i] + r.take * d[i];
        const float x = s[i] - a[i] * a[i];
        v[i] = x < 0 ? 0 : x;
    }
}

DS_SIMD static void rmsprop_plain(size_t n, float lr, float eps, const float *restrict d,
                                  const float *restrict v, float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= lr * (d[i] / (sqrtf(v[i]) + eps));
}

DS_SIMD static void rmsprop_heavy(size_t n, float lr, const rmsprop_rates *rates,
                                  const float *restrict d, const float *restrict v,
                                  float *restrict b, float *restrict w)
{
    const rmsprop_rates r = *rates;
    for (size_t i = 0; i < n; i++) {
        b[i] = r.momentum * b[i] + d[i] / (sqrtf(v[i]) + r.eps);
        w[i] -= lr * b[i];
    }
}

static void rmsprop_step(const void *options, const ds_update *u)
{
    const rmsprop_options *o = options;
    const rmsprop_rates rates = {
        .alpha = (float)o->alpha,
        .take = (float)(1 - o->alpha),
        .eps = (float)o->eps,
        .momentum = (float)o->momentum,
        .decay = (float)o->weight_decay,
        .scale = u->scale,
    };
    float d[RMSPROP_CHUNK], variance[RMSPROP_CHUNK];
    for (size_t i = 0; i < u->n; i += RMSPROP_CHUNK) {
        const size_t n = u->n - i < RMSPROP_CHUNK ? u->n - i : RMSPROP_CHUNK;
        float *s = u->slot[RMSPROP_SQUARE] + i;
        const float *v = s;
        rmsprop_square(n, &rates, u->w + i, u->g + i, s, d);
        if (o->centered) {
            rmsprop_center(n, &rates, d, u->slot[RMSPROP_MEAN] + i, s, variance);
            v = variance;
        }
        if (o->momentum > 0)
            rmsprop_heavy(n, (float)u->lr, &rates, d, v, u->slot[RMSPROP_MOMENTUM] + i, u->w + i);
        else
            rmsprop_plain(n, (float)u->lr, rates.eps, d, v, u->w + i);
    }
}

static bool rmsprop_uses(const void *options, size_t slot, const ds_matrix *matrix)
{
    (void)matrix;
    const rmsprop_options *o = options;
    return slot == RMSPROP_SQUARE || (slot == RMSPROP_MEAN ? o->centered : o->momentum > 0);
}

extern const ds_optim_ops ds_optim_rmsprop;
const ds_optim_ops ds_optim_rmsprop = {
    .name = "rmsprop",
    .help = "gradient over the root of its running mean square",
    .options = rmsprop_table,
    .options_size = sizeof(rmsprop_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 3,
    .slot_name = {"square_avg", "grad_avg", "momentum_buffer"},
    .uses = rmsprop_uses,
    .step = rmsprop_step,
};
