/* Lion (Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675, program 1):
 *   c = beta1 m + (1 - beta1) g,  w <- w - lr (sign(c) + decay w),  m <- beta2 m + (1 - beta2) g.
 * Every weight moves by lr: take a rate 3 to 10 times smaller than adamw's, and a decay as much
 * larger. Cost: reads w, g, m, writes w, m once. */
#include "descent/simd.h"

#include "moments.h"

static const ds_option lion_table[] = {
    DS_MOMENTS_OPTION_BETA1,
    {.name = "beta2",
     .type = DS_OPTION_REAL,
     .offset = offsetof(ds_moments_options, beta2),
     .fallback = "0.99",
     .max = DS_BELOW_1,
     .help = "decay of the running mean that is kept"},
    DS_MOMENTS_OPTION_BETAS,
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(ds_moments_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "decoupled: w shrinks by lr times this in each update"},
    {0},
};

typedef struct lion_rates {
    float lr, keep, beta1, take1, beta2, take2;
} lion_rates;

DS_SIMD static void lion_loop(const ds_update *u, const lion_rates *rates)
{
    float *restrict w = u->w;
    float *restrict m = u->slot[0];
    const float *restrict g = u->g;
    const lion_rates r = *rates;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * scale;
        const float c = r.beta1 * m[i] + r.take1 * d;
        const float up = c > 0 ? r.lr : 0.0f, down = c < 0 ? r.lr : 0.0f;
        w[i] = r.keep * w[i] - (up - down);
        m[i] = r.beta2 * m[i] + r.take2 * d;
    }
}

static void lion_step(const void *options, const ds_update *update)
{
    const ds_moments_options *o = options;
    const lion_rates rates = {
        .lr = (float)update->lr,
        .keep = (float)(1 - update->lr * o->weight_decay),
        .beta1 = (float)o->beta1,
        .take1 = (float)(1 - o->beta1),
        .beta2 = (float)o->beta2,
        .take2 = (float)(1 - o->beta2),
    };
    lion_loop(update, &rates);
}

extern const ds_optim_ops ds_optim_lion;
const ds_optim_ops ds_optim_lion = {
    .name = "lion",
    .help = "sign of an interpolated momentum; decoupled weight decay",
    .options = lion_table,
    .options_size = sizeof(ds_moments_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 1,
    .slot_name = {"exp_avg"},
    .step = lion_step,
    .check = ds_moments_check,
};
