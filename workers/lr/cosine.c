/* Half a cosine wave from the base rate down to `min` (Loshchilov & Hutter, ICLR 2017;
 * torch.optim.lr_scheduler.CosineAnnealingLR with T_max = total). */
#include <math.h>
#include <stddef.h>

#include "lr_parts.h"

typedef struct cosine_options {
    double min;
} cosine_options;

static const ds_option cosine_table[] = {
    {.name = "min",
     .type = DS_OPTION_REAL,
     .offset = offsetof(cosine_options, min),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "the rate it ends at"},
    {0},
};

static double cosine_rate(const void *options, double base, int64_t t, int64_t total)
{
    const cosine_options *o = options;
    const double part = t < total ? (double)t / (double)total : 1;
    return ds_lr_half_wave(base, o->min, part);
}

extern const ds_lr_ops ds_lr_cosine;
const ds_lr_ops ds_lr_cosine = {
    .name = "cosine",
    .help = "down to min along half a cosine wave over the run",
    .options = cosine_table,
    .options_size = sizeof(cosine_options),
    .rate = cosine_rate,
    .needs_total = true,
};
