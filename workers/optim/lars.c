/* LARS (You, Gitman & Ginsburg, "Large batch training of convolutional networks",
 * arXiv:1708.03888, algorithm 1): each tensor has a rate of its own,
 *   r = trust |w| / (|g| + decay |w| + eps),  v <- momentum v + lr r (g + decay w),  w <- w - v.
 * r is 1 where a norm is 0 (a bias that starts at 0 could never move) and, as the large-batch
 * recipes have it, for biases and gains (`adapt_bias`), which also do not decay then. Cost: reads w
 * and g twice, v once, writes w, v once. */
#include <stddef.h>

#include "descent/optim.h"
#include "descent/simd.h"

#include "tensor_norm.h"

typedef struct lars_options {
    double momentum, trust, eps, weight_decay;
    bool adapt_bias;
} lars_options;

static const ds_option lars_table[] = {
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(lars_options, momentum),
     .fallback = "0.9",
     .max = 1,
     .help = "part of the last direction that is kept"},
    {.name = "trust",
     .type = DS_OPTION_REAL,
     .offset = offsetof(lars_options, trust),
     .fallback = "0.001",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "a tensor's update over its size, before lr"},
    {.name = "eps",
     .type = DS_OPTION_REAL,
     .offset = offsetof(lars_options, eps),
     .fallback = "0",
     .max = 1,
     .help = "added to the denominator"},
    {.name = "adapt_bias",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(lars_options, adapt_bias),
     .fallback = "false",
     .help = "biases and gains have rates of their own and decay too"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(lars_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

DS_SIMD static void lars_loop(const ds_update *u, float keep, float rate, float decay)
{
    float *restrict w = u->w;
    float *restrict v = u->slot[0];
    const float *restrict g = u->g;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        v[i] = keep * v[i] + rate * (g[i] * scale + decay * w[i]);
        w[i] -= v[i];
    }
}

static void lars_step(const void *options, const ds_update *u)
{
    const lars_options *o = options;
    const bool adapt = u->matrix.dims > 1 || o->adapt_bias;
    const double decay = adapt ? o->weight_decay : 0;
    double ratio = 1;
    if (adapt) {
        const double w = tensor_norm(u->kernels, u->n, u->w);
        const double g = tensor_norm(u->kernels, u->n, u->g) * (double)u->scale;
        ratio = w > 0 && g > 0 ? o->trust * w / (g + decay * w + o->eps) : 1;
    }
    lars_loop(u, (float)o->momentum, (float)(u->lr * ratio), (float)decay);
}

extern const ds_optim_ops ds_optim_lars;
const ds_optim_ops ds_optim_lars = {
    .name = "lars",
    .help = "momentum with a rate for each tensor by its norm over its gradient's, for large "
            "batches",
    .options = lars_table,
    .options_size = sizeof(lars_options),
    .reach = DS_REACH_TENSOR,
    .n_slots = 1,
    .slot_name = {"momentum"},
    .step = lars_step,
};
