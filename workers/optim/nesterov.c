/* Nesterov's accelerated gradient as torch.optim.SGD(nesterov=True) writes it (Sutskever et al.,
 * ICML 2013):  d = g + decay w,  v <- momentum v + d,  w <- w - lr (d + momentum v).
 * Cost: reads w, g, v, writes w, v once. */
#include <math.h>
#include <stddef.h>

#include "descent/optim.h"
#include "descent/simd.h"

typedef struct nesterov_options {
    double momentum, weight_decay;
} nesterov_options;

static const ds_option nesterov_table[] = {
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(nesterov_options, momentum),
     .fallback = "0.9",
     .max = 1,
     .help = "part of the last direction that is kept"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(nesterov_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

DS_SIMD static void nesterov_loop(const ds_update *u, float lr, float keep, float decay)
{
    float *restrict w = u->w;
    float *restrict v = u->slot[0];
    const float *restrict g = u->g;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * scale + decay * w[i];
        v[i] = keep * v[i] + d;
        w[i] -= lr * (d + keep * v[i]);
    }
}

static void nesterov_step(const void *options, const ds_update *update)
{
    const nesterov_options *o = options;
    nesterov_loop(update, (float)update->lr, (float)o->momentum, (float)o->weight_decay);
}

extern const ds_optim_ops ds_optim_nesterov;
const ds_optim_ops ds_optim_nesterov = {
    .name = "nesterov",
    .help = "gradient descent with Nesterov's momentum",
    .options = nesterov_table,
    .options_size = sizeof(nesterov_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 1,
    .slot_name = {"momentum"},
    .step = nesterov_step,
};
