/* The table of schedules, made from lr.list, and the warm-up they share. */
#include <string.h>

#include "descent/power.h"

#include "lr_parts.h"

#define X(name) extern const ds_lr_ops ds_lr_##name;
#include "lr.list"
#undef X

static const ds_lr_ops *const lr_table[] = {
#define X(name) &ds_lr_##name,
#include "lr.list"
#undef X
};

const ds_lr_ops *ds_lr_at(size_t i)
{
    return i < sizeof lr_table / sizeof *lr_table ? lr_table[i] : NULL;
}

const ds_lr_ops *ds_lr_find(const char *name)
{
    for (size_t i = 0; ds_lr_at(i); i++)
        if (strcmp(lr_table[i]->name, name) == 0)
            return lr_table[i];
    return NULL;
}

/* Every rank finds the rate by itself. */
double ds_lr_half_wave(double from, double to, double part)
{
    return to + (from - to) * (1 + ds_cos_turns(part / 2)) / 2;
}

void ds_lr_reset(ds_lr_state *state)
{
    *state = (ds_lr_state){.scale = 1};
}

ds_status ds_lr_check(const ds_lr_ops *ops, const ds_lr_common *common)
{
    DS_CHECK(!ops->needs_total || common->total_steps < INT64_MAX, DS_ERR_USAGE,
             "lr.schedule %s needs the length of the run, found no limit; set train.epochs or "
             "train.max_steps",
             ops->name);
    return DS_OK;
}

double ds_lr_rate(const ds_lr_ops *ops, const void *options, const ds_lr_common *common, int64_t t)
{
    const int64_t warmup = common->warmup_steps;
    if (t < warmup)
        return common->base * ((double)(t + 1) / (double)warmup);
    int64_t total = common->total_steps;
    if (total < INT64_MAX)
        total = total > warmup ? total - warmup : 1;
    double rate = ops->rate(options, common->base, t - warmup, total);
    return common->state == NULL ? rate : rate * common->state->scale;
}
