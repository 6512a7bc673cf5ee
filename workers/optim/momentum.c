/* Heavy-ball momentum (torch.optim.SGD with momentum; Polyak 1964):
 *   v <- momentum v + (1 - dampening) (g + decay w),  w <- w - lr v;  the first v is the gradient
 * undampened, as is each where momentum is 0. Cost: reads w, g, v, writes w, v once. */
#include <math.h>
#include <stddef.h>

#include "descent/optim.h"
#include "descent/simd.h"

typedef struct momentum_options {
    double momentum, dampening, weight_decay;
} momentum_options;

static const ds_option momentum_table[] = {
    {.name = "momentum",
     .type = DS_OPTION_REAL,
     .offset = offsetof(momentum_options, momentum),
     .fallback = "0.9",
     .max = 1,
     .help = "part of the last direction that is kept"},
    {.name = "dampening",
     .type = DS_OPTION_REAL,
     .offset = offsetof(momentum_options, dampening),
     .fallback = "0",
     .max = 1,
     .help = "part of a new gradient that is left out, from the second update on; with momentum 0 "
             "none"},
    {.name = "weight_decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(momentum_options, weight_decay),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "L2 penalty: this times w is added to the gradient"},
    {0},
};

typedef struct momentum_rates {
    float lr, keep, take, decay;
} momentum_rates;

DS_SIMD static void momentum_loop(const ds_update *u, const momentum_rates *rates)
{
    float *restrict w = u->w;
    float *restrict v = u->slot[0];
    const float *restrict g = u->g;
    const momentum_rates r = *rates;
    const float scale = u->scale;
    const size_t n = u->n;
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * scale + r.decay * w[i];
        v[i] = r.keep * v[i] + r.take * d;
        w[i] -= r.lr * v[i];
    }
}

static void momentum_step(const void *options, const ds_update *update)
{
    const momentum_options *o = options;
    const bool plain = update->t == 1 || !(o->momentum > 0); /* torch: no buffer, no dampening */
    const momentum_rates rates = {
        .lr = (float)update->lr,
        .keep = (float)o->momentum,
        .take = plain ? 1.0f : (float)(1 - o->dampening),
        .decay = (float)o->weight_decay,
    };
    momentum_loop(update, &rates);
}

extern const ds_optim_ops ds_optim_momentum;
const ds_optim_ops ds_optim_momentum = {
    .name = "momentum",
    .help = "gradient descent with heavy-ball momentum",
    .options = momentum_table,
    .options_size = sizeof(momentum_options),
    .reach = DS_REACH_ELEMENT,
    .n_slots = 1,
    .slot_name = {"momentum"},
    .step = momentum_step,
};
