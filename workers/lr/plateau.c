/* Down by a factor when the loss no longer falls (torch.optim.lr_scheduler.ReduceLROnPlateau, mode
 * min). It sees the validation loss at each regular evaluation, or the mean training loss of each
 * epoch: numbers that all ranks share, so they decide alike. */
#include <math.h>
#include <stddef.h>

#include "lr_parts.h"

typedef struct plateau_options {
    double factor, threshold, min;
    int64_t patience, cooldown;
    int threshold_mode, watch;
} plateau_options;

static const ds_option plateau_table[] = {
    {.name = "factor",
     .type = DS_OPTION_REAL,
     .offset = offsetof(plateau_options, factor),
     .fallback = "0.1",
     .min = DS_ABOVE_0,
     .max = DS_BELOW_1,
     .help = "of each reduction"},
    {.name = "patience",
     .type = DS_OPTION_INT,
     .offset = offsetof(plateau_options, patience),
     .fallback = "10",
     .max = (double)INT64_MAX,
     .help = "losses in a row without a better one that are borne"},
    {.name = "threshold",
     .type = DS_OPTION_REAL,
     .offset = offsetof(plateau_options, threshold),
     .fallback = "0.0001",
     .max = HUGE_VAL,
     .help = "a better loss is lower by this"},
    {.name = "threshold_mode",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(plateau_options, threshold_mode),
     .choices = "rel|abs",
     .help = "threshold as a part of the best loss, or as it is"},
    {.name = "cooldown",
     .type = DS_OPTION_INT,
     .offset = offsetof(plateau_options, cooldown),
     .max = (double)INT64_MAX,
     .help = "losses after a reduction that count for nothing"},
    {.name = "min",
     .type = DS_OPTION_REAL,
     .offset = offsetof(plateau_options, min),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "the rate falls no lower"},
    {.name = "watch",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(plateau_options, watch),
     .choices = "auto|train|validation",
     .help = "which loss: the epochs' or the evaluations'; auto: validation where there is one"},
    {0},
};

static double plateau_rate(const void *options, double base, int64_t t, int64_t total)
{
    (void)options, (void)t, (void)total;
    return base;
}

static bool plateau_better(const plateau_options *o, double loss, double best)
{
    return loss < (o->threshold_mode == 1 ? best - o->threshold : best * (1 - o->threshold));
}

static void plateau_observe(const void *options, double base, double loss, ds_lr_state *s)
{
    const plateau_options *o = options;
    if (!s->seen || plateau_better(o, loss, s->best)) {
        s->best = loss;
        s->wait = 0;
        s->seen = true;
    } else {
        s->wait++;
    }
    if (s->cooldown > 0) {
        s->cooldown--;
        s->wait = 0;
    }
    if (s->wait <= o->patience)
        return;
    s->cooldown = o->cooldown;
    s->wait = 0;
    const double now = base * s->scale, next = now * o->factor > o->min ? now * o->factor : o->min;
    if (now - next > 1e-8) /* PyTorch's eps */
        s->scale = next / base;
}

static ds_lr_watch plateau_watches(const void *options)
{
    const plateau_options *o = options;
    return (ds_lr_watch)o->watch;
}

extern const ds_lr_ops ds_lr_plateau;
const ds_lr_ops ds_lr_plateau = {
    .name = "plateau",
    .help = "times factor when the loss no longer falls; it looks once the warm-up is over",
    .options = plateau_table,
    .options_size = sizeof(plateau_options),
    .rate = plateau_rate,
    .observe = plateau_observe,
    .watches = plateau_watches,
};
