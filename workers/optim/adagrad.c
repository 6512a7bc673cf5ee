/* Adagrad (Duchi, Hazan & Singer, JMLR 2011) as torch.optim.Adagrad writes it:
 *   d = g + decay w,  s <- s + d^2,  w <- w - lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps).
 * The slot holds what was added to `initial`, so that it starts at 0 as all slots do. Cost: reads
 * w, g, s, writes w, s once. */
#include <math.h>
#include <stddef.h>

#include "descent/optim.h"
#include "descent/simd.h"

typedef struct adagrad_options {
    double lr_decay, eps, initial, weight_decay;
} adagrad_options;

static const ds_option adagrad_table[] = {
    {.name = "lr_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(adagrad_options, lr_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "update t has the rate lr / (1 + (t - 1) lr_decay)"},
    {.name = "initial",
     .type = DS_OPTION_REAL,
     .offset = offsetof(adagrad_options, initial),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "what the sum of squares starts from"},
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(adagrad_options, eps),
     .fallback = "1e-10",
     .min = 1e-30,
     .max = 1,
     .help = "added to the denominator"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(adagrad_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

DS_SIMD static void adagrad_loop(const ds_update *u, float lr, float initial, float eps,
                                 float decay)
{
    float *restrict w = u->w;
    float *restrict s = u->slot[0];
    const float *restrict g = u->g;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * scale + decay * w[i];
        s[i] += d * d;
        w[i] -= lr * (d / (sqrtf(initial + s[i]) + eps));
    }
}

static void adagrad_step(const void *options, const ds_update *update)
{
    const adagrad_options *o = options;
    const double lr = update->lr / (1 + (double)(update->t - 1) * o->lr_decay);
    adagrad_loop(update, (float)lr, (float)o->initial, (float)o->eps, (float)o->weight_decay);
}

extern const ds_optim_ops ds_optim_adagrad;
const ds_optim_ops ds_optim_adagrad = {
    .name = "adagrad",
    .help = "gradient over the root of all its squares so far",
    .options = adagrad_table,
    .options_size = sizeof(adagrad_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 1,
    .slot_name = {"sum"},
    .step = adagrad_step,
};
