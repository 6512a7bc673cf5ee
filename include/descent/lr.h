/* Learning-rate schedules. The rate of update t (0 for the first) is a pure function of t; one that
 * watches the loss has a state besides, which the checkpoint keeps. */
#ifndef DS_LR_H
#define DS_LR_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/option.h"

/* What a schedule that watches the loss remembers; all of it lives in the checkpoint. `scale` is a
 * factor of the rate; sum and count are of an epoch's training losses so far. */
typedef struct ds_lr_state {
    double scale, best, sum;
    int64_t wait, cooldown, count;
    bool seen; /* a loss: best holds one */
} ds_lr_state;
typedef enum ds_lr_watch {
    DS_LR_WATCH_AUTO,
    DS_LR_WATCH_TRAIN,
    DS_LR_WATCH_VALIDATION
} ds_lr_watch;

/* Common to all schedules, in `lr:` of the config beside the schedule's own options. */
typedef struct ds_lr_common {
    double base;              /* optimizer.lr */
    int64_t warmup_steps;     /* linear: update t < warmup_steps has base (t + 1) / warmup_steps */
    int64_t total_steps;      /* of the whole run, warm-up included; INT64_MAX: unknown */
    const ds_lr_state *state; /* NULL: as at the beginning */
} ds_lr_common;

typedef struct ds_lr_ops {
    const char *name;
    const char *help;
    const ds_option *options;
    size_t options_size;
    /* The rate of update t >= 0 counted from the end of the warm-up, of `total` such updates. */
    double (*rate)(const void *options, double base, int64_t t, int64_t total);
    bool needs_total; /* cannot run without a known total */
    /* Both or none. A new loss of the kind watched; base as in ds_lr_common. */
    void (*observe)(const void *options, double base, double loss, ds_lr_state *state);
    ds_lr_watch (*watches)(const void *options);
} ds_lr_ops;

DS_API const ds_lr_ops *ds_lr_at(size_t i); /* NULL past the end */
DS_API const ds_lr_ops *ds_lr_find(const char *name);
/* Local. Can this schedule run so? Errors: USAGE (a total is needed and unknown). */
DS_API ds_status ds_lr_check(const ds_lr_ops *ops, const ds_lr_common *common) DS_NODISCARD;
/* Local. The state before any loss. */
DS_API void ds_lr_reset(ds_lr_state *state);
/* Local. The rate of update t, warm-up included. */
DS_API double ds_lr_rate(const ds_lr_ops *ops, const void *options, const ds_lr_common *common,
                         int64_t t);

#endif
