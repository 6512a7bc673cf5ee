/* The losses that a schedule watches: validation at each regular evaluation, or the mean over the
 * steps of an epoch, added up in their order. All ranks have the same numbers and decide alike. */
#include <math.h>

#include "trainer_parts.h"

ds_status rate_create(ds_trainer *self)
{
    const ds_config *c = self->config;
    ds_lr_reset(&self->lr_state);
    self->lr_watch = DS_LR_WATCH_AUTO;
    if (c->schedule->watches == NULL || self->inference)
        return DS_OK;
    bool validation = self->splits->validation != NULL;
    self->lr_watch = c->schedule->watches(c->schedule_options);
    if (self->lr_watch == DS_LR_WATCH_AUTO)
        self->lr_watch = validation ? DS_LR_WATCH_VALIDATION : DS_LR_WATCH_TRAIN;
    DS_CHECK(self->lr_watch != DS_LR_WATCH_VALIDATION || validation, DS_ERR_USAGE,
             "lr.watch: validation needs validation data: set data.validation, or lr.watch: train");
    DS_CHECK(self->lr_watch != DS_LR_WATCH_VALIDATION || c->train.eval_every > 0, DS_ERR_USAGE,
             "lr.watch: validation needs regular evaluations: set train.eval_every, or lr.watch: "
             "train");
    return DS_OK;
}

static void rate_observe(ds_trainer *self, const char *what, double loss)
{
    const ds_config *c = self->config;
    double before = self->lr_state.scale;
    c->schedule->observe(c->schedule_options, c->lr, loss, &self->lr_state);
    if (self->lr_state.scale < before && ds_world_rank(self->world) == 0)
        ds_log(DS_LOG_INFO, "the %s loss stands still: learning rate %.6g from step %lld on", what,
               c->lr * self->lr_state.scale, (long long)self->step + 1);
}

void rate_after_step(ds_trainer *self, double loss)
{
    ds_lr_state *s = &self->lr_state;
    if (self->lr_watch != DS_LR_WATCH_TRAIN)
        return;
    if (isfinite(loss)) {
        s->sum += loss;
        s->count++;
    }
    if (self->step % (int64_t)self->plan->steps_per_epoch != 0 || s->count == 0)
        return;
    double mean = s->sum / (double)s->count;
    s->sum = 0;
    s->count = 0;
    if (self->step > self->config->warmup_steps)
        rate_observe(self, "training", mean);
}

void rate_after_eval(ds_trainer *self, double loss)
{
    if (self->lr_watch == DS_LR_WATCH_VALIDATION && self->step > self->config->warmup_steps)
        rate_observe(self, "validation", loss);
}
