/* Stochastic gradient descent (torch.optim.SGD): w <- w - lr (g + decay w).
 * Cost: reads w and g, writes w once. */
#include <math.h>
#include <stddef.h>

#include "descent/optim.h"
#include "descent/simd.h"

typedef struct sgd_options {
    double weight_decay;
} sgd_options;

static const ds_option sgd_table[] = {
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(sgd_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

DS_SIMD static void sgd_loop(const ds_update *u, float lr, float decay)
{
    float *restrict w = u->w;
    const float *restrict g = u->g;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++)
        w[i] -= lr * (g[i] * scale + decay * w[i]);
}

static void sgd_step(const void *options, const ds_update *update)
{
    const sgd_options *o = options;
    sgd_loop(update, (float)update->lr, (float)o->weight_decay);
}

extern const ds_optim_ops ds_optim_sgd;
const ds_optim_ops ds_optim_sgd = {
    .name = "sgd",
    .help = "stochastic gradient descent without momentum",
    .options = sgd_table,
    .options_size = sizeof(sgd_options),
    .reach = DS_REACH_ELEMENT,
    .step = sgd_step,
};
