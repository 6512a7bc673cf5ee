/* A factor an update (torch.optim.lr_scheduler.ExponentialLR, stepped each update): base gamma^t.
 * Above 1 the rate grows: the sweep of `descent lr-find`. */
#include <math.h>
#include <stddef.h>

#include "descent/lr.h"
#include "descent/power.h"

typedef struct exponential_options {
    double gamma, min;
} exponential_options;

static const ds_option exponential_table[] = {
    {.name = "gamma",
     .type = DS_OPTION_REAL,
     .offset = offsetof(exponential_options, gamma),
     .min = 1e-9,
     .max = 10,
     .flags = DS_OPTION_REQUIRED,
     .help = "factor of each update"},
    {.name = "min",
     .type = DS_OPTION_REAL,
     .offset = offsetof(exponential_options, min),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "the rate falls no lower"},
    {0},
};

static double exponential_rate(const void *options, double base, int64_t t, int64_t total)
{
    (void)total;
    const exponential_options *o = options;
    double rate = base * ds_power(o->gamma, t);
    return rate > o->min ? rate : o->min;
}

extern const ds_lr_ops ds_lr_exponential;
const ds_lr_ops ds_lr_exponential = {
    .name = "exponential",
    .help = "times gamma every update",
    .options = exponential_table,
    .options_size = sizeof(exponential_options),
    .rate = exponential_rate,
};
