/* Half a cosine wave from the base rate to `min`, again and again, each `factor` times as long
 * (Loshchilov & Hutter, ICLR 2017; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts with T_0 =
 * period, T_mult = factor, stepped each update). */
#include <math.h>
#include <stddef.h>

#include "lr_parts.h"

typedef struct warm_restarts_options {
    int64_t period, factor;
    double min;
} warm_restarts_options;

static const ds_option warm_restarts_table[] = {
    {.name = "period",
     .type = DS_OPTION_INT,
     .offset = offsetof(warm_restarts_options, period),
     .min = 1,
     .max = (double)INT64_MAX,
     .flags = DS_OPTION_REQUIRED,
     .help = "updates to the first restart"},
    {.name = "factor",
     .type = DS_OPTION_INT,
     .offset = offsetof(warm_restarts_options, factor),
     .fallback = "1",
     .min = 1,
     .max = 1e9,
     .help = "each period is so many times as long as the one before"},
    {.name = "min",
     .type = DS_OPTION_REAL,
     .offset = offsetof(warm_restarts_options, min),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "the rate before a restart"},
    {0},
};

static double warm_restarts_rate(const void *options, double base, int64_t t, int64_t total)
{
    (void)total;
    const warm_restarts_options *o = options;
    int64_t period = o->period;
    if (o->factor == 1)
        t %= period;
    while (t >= period) {
        t -= period;
        period = period > INT64_MAX / o->factor ? INT64_MAX : period * o->factor;
    }
    return ds_lr_half_wave(base, o->min, (double)t / (double)period);
}

extern const ds_lr_ops ds_lr_warm_restarts;
const ds_lr_ops ds_lr_warm_restarts = {
    .name = "warm_restarts",
    .help = "down to min along half a cosine wave, again and again",
    .options = warm_restarts_table,
    .options_size = sizeof(warm_restarts_options),
    .rate = warm_restarts_rate,
};
