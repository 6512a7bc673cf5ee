/* Learning-rate schedules. The rate of update t (0 for the first) is a pure function of t. */
#ifndef DS_LR_H
#define DS_LR_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/option.h"

/* Common to all schedules, in `lr:` of the config beside the schedule's own options. */
typedef struct ds_lr_common {
    double base;          /* optimizer.lr */
    int64_t warmup_steps; /* linear: update t < warmup_steps has base (t + 1) / warmup_steps */
    int64_t total_steps;  /* of the whole run, warm-up included; INT64_MAX: unknown */
} ds_lr_common;

typedef struct ds_lr_ops {
    const char *name;
    const char *help;
    const ds_option *options;
    size_t options_size;
    /* The rate of update t >= 0 counted from the end of the warm-up, of `total` such updates. */
    double (*rate)(const void *options, double base, int64_t t, int64_t total);
    bool needs_total; /* cannot run without a known total */
} ds_lr_ops;

DS_API const ds_lr_ops *ds_lr_at(size_t i); /* NULL past the end */
DS_API const ds_lr_ops *ds_lr_find(const char *name);
/* Local. Can this schedule run so? Errors: USAGE (a total is needed and unknown). */
DS_API ds_status ds_lr_check(const ds_lr_ops *ops, const ds_lr_common *common) DS_NODISCARD;
/* Local. The rate of update t, warm-up included. */
DS_API double ds_lr_rate(const ds_lr_ops *ops, const void *options, const ds_lr_common *common,
                         int64_t t);

#endif
