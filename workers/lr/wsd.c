/* Warm-up (lr.warmup_steps), stable, decay (Hu et al., MiniCPM, 2024; the shape 1 - sqrt: Hagele et
 * al., 2024). In the last `decay` of the updates after the warm-up, x of it done:
 * min + (base - min) f(x), f = 1 - x, 1 - sqrt(x) or (1 + cos(pi x)) / 2. */
#include <math.h>
#include <stddef.h>

#include "lr_parts.h"

typedef struct wsd_options {
    double decay, min;
    int shape;
} wsd_options;

static const ds_option wsd_table[] = {
    {.name = "decay",
     .type = DS_OPTION_REAL,
     .offset = offsetof(wsd_options, decay),
     .fallback = "0.2",
     .min = 0,
     .max = 1,
     .help = "the part of the run in which the rate falls, at its end"},
    {.name = "min",
     .type = DS_OPTION_REAL,
     .offset = offsetof(wsd_options, min),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "the rate it ends at"},
    {.name = "shape",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(wsd_options, shape),
     .choices = "linear|sqrt|cosine",
     .help = "how it falls; sqrt: as 1 - sqrt(x)"},
    {0},
};

static double wsd_rate(const void *options, double base, int64_t t, int64_t total)
{
    const wsd_options *o = options;
    const double length = o->decay * (double)total, since = (double)(t - total) + length;
    if (since <= 0 || length <= 0)
        return base;
    const double x = since < length ? since / length : 1;
    if (o->shape == 2)
        return ds_lr_half_wave(base, o->min, x);
    return o->min + (base - o->min) * (1 - (o->shape == 1 ? sqrt(x) : x));
}

extern const ds_lr_ops ds_lr_wsd;
const ds_lr_ops ds_lr_wsd = {
    .name = "wsd",
    .help = "warm-up, stable, decay: the base rate until the last part of the run",
    .options = wsd_table,
    .options_size = sizeof(wsd_options),
    .rate = wsd_rate,
    .needs_total = true,
};
