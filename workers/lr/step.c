/* Steps down (torch.optim.lr_scheduler.StepLR): base gamma^floor(t / step_size). */
#include <stddef.h>

#include "descent/lr.h"
#include "descent/power.h"

typedef struct step_options {
    int64_t step_size;
    double gamma;
} step_options;

static const ds_option step_table[] = {
    {.name = "step_size",
     .type = DS_OPTION_INT,
     .offset = offsetof(step_options, step_size),
     .min = 1,
     .max = (double)INT64_MAX,
     .flags = DS_OPTION_REQUIRED,
     .help = "updates between two drops of the rate"},
    {.name = "gamma",
     .type = DS_OPTION_REAL,
     .offset = offsetof(step_options, gamma),
     .fallback = "0.1",
     .min = 1e-9,
     .max = 1,
     .help = "factor of each drop"},
    {0},
};

static double step_rate(const void *options, double base, int64_t t, int64_t total)
{
    (void)total;
    const step_options *o = options;
    return base * ds_power(o->gamma, t / o->step_size);
}

extern const ds_lr_ops ds_lr_step;
const ds_lr_ops ds_lr_step = {
    .name = "step",
    .help = "times gamma every step_size updates",
    .options = step_table,
    .options_size = sizeof(step_options),
    .rate = step_rate,
};
