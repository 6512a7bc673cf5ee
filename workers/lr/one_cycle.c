/* Up to the base rate and down far below its start, once (Smith & Topin, 2018;
 * torch.optim.lr_scheduler.OneCycleLR with max_lr = base, total_steps = total; the momentum is left
 * alone: cycle_momentum=False). */
#include <math.h>
#include <stddef.h>

#include "lr_parts.h"

typedef struct one_cycle_options {
    double rise, div, final_div;
    int shape;
} one_cycle_options;

static const ds_option one_cycle_table[] = {
    {.name = "rise",
     .type = DS_OPTION_REAL,
     .offset = offsetof(one_cycle_options, rise),
     .fallback = "0.3",
     .min = 0,
     .max = 1,
     .help = "the part of the run in which the rate rises (PyTorch's pct_start)"},
    {.name = "div",
     .type = DS_OPTION_REAL,
     .offset = offsetof(one_cycle_options, div),
     .fallback = "25",
     .min = 1,
     .max = HUGE_VAL,
     .help = "it starts at optimizer.lr / div"},
    {.name = "final_div",
     .type = DS_OPTION_REAL,
     .offset = offsetof(one_cycle_options, final_div),
     .fallback = "10000",
     .min = 1,
     .max = HUGE_VAL,
     .help = "and ends at its start / final_div"},
    {.name = "shape",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(one_cycle_options, shape),
     .choices = "cosine|linear",
     .help = "how it rises and falls"},
    {0},
};

static double one_cycle_rate(const void *options, double base, int64_t t, int64_t total)
{
    const one_cycle_options *o = options;
    const double start = base / o->div, end = start / o->final_div;
    /* As PyTorch's: the peak need not fall on an update. */
    const double peak = o->rise * (double)total - 1, last = (double)(total - 1);
    const double at = (double)(t < total ? t : total - 1);
    double from = base, to = end, part = last > peak ? (at - peak) / (last - peak) : 1;
    if (at <= peak) {
        from = start;
        to = base;
        part = peak > 0 ? at / peak : 1;
    }
    return o->shape == 1 ? from + (to - from) * part : ds_lr_half_wave(from, to, part);
}

extern const ds_lr_ops ds_lr_one_cycle;
const ds_lr_ops ds_lr_one_cycle = {
    .name = "one_cycle",
    .help = "up to the base rate and down far below its start, once",
    .options = one_cycle_table,
    .options_size = sizeof(one_cycle_options),
    .rate = one_cycle_rate,
    .needs_total = true,
};
