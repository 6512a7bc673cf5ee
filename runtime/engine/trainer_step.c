/* THE step: gradients of this rank's shards, their sum and the update, and what to do when numbers
 * are not finite. */
#include <math.h>

#include "descent/clock.h"

#include "trainer_parts.h"

double step_rate(const ds_trainer *self)
{
    const ds_config *c = self->config;
    if (c->optimizer->reach == DS_REACH_MODEL)
        return (double)NAN;
    ds_lr_common common = {.base = c->lr,
                           .warmup_steps = c->warmup_steps,
                           .total_steps = self->plan->total_steps,
                           .state = &self->lr_state};
    return ds_lr_rate(c->schedule, c->schedule_options, &common, self->step);
}

static ds_status step_not_finite(ds_trainer *self, const batch_source *batch,
                                 const ds_outcome *outcome)
{
    DS_TRY(diagnose_step(self, batch, outcome->bad_shard, sizeof self->why, self->why));
    int64_t most = self->config->train.max_skips;
    self->skips++;
    DS_CHECK(!self->config->train.skip_nan || most == 0 || self->skips < most, DS_ERR_DIVERGED,
             "%lld steps in a row were not finite (train.max_skips), the last at %s; go on from an "
             "earlier checkpoint with a lower optimizer.lr or with optimizer.clip_norm",
             (long long)most, self->why);
    if (self->config->train.skip_nan) {
        ds_log(DS_LOG_WARN, "skipped %s", self->why);
        return DS_OK;
    }
    return DS_FAIL(DS_ERR_DIVERGED,
                   "not finite at %s; lower optimizer.lr, clip gradients (optimizer.clip_norm) or "
                   "set train.on_nan: skip",
                   self->why);
}

/* l1 sum |w| + l2/2 sum w^2 over a tensor, in double, row by row. */
static double step_penalty_of(const ds_param *param, const ds_rule *rule, const float *w)
{
    double sum = 0;
    for (size_t r = 0; r < param->rows; r++, w += param->stride)
        for (size_t c = 0; c < param->cols; c++) {
            const double x = (double)w[c];
            sum += rule->l1 * fabs(x) + 0.5 * rule->l2 * x * x;
        }
    return sum;
}

/* All ranks hold all parameters: each finds the same, nothing is sent. */
double step_penalty(const ds_trainer *self)
{
    const ds_layout *layout = ds_model_layout(self->model);
    double sum = 0;
    for (size_t p = 0; self->penalty != NULL && p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        const ds_rule *rule = &self->penalty[p];
        if (param->trainable && (rule->l1 > 0 || rule->l2 > 0))
            sum += step_penalty_of(param, rule, ds_trainer_params(self) + param->offset);
    }
    return sum;
}

ds_status step_spent(ds_trainer *self, ds_spent *out)
{
    int ranks = ds_world_size(self->world);
    double s[] = {(double)(self->stepped_ns - self->waited_ns), (double)self->waited_ns,
                  (double)ds_sync_hidden_ns(self->sync)};
    DS_TRY(ds_world_sum(self->world, s, 3));
    for (int i = 0; i < 3; i++)
        s[i] *= 1e-9 / ranks;
    *out = (ds_spent){s[0], s[1], s[2], ranks};
    return DS_OK;
}

/* Counters and the skip of what is not finite, or must not be. */
static ds_status step_settle(ds_trainer *self, const batch_source *batch, const ds_step *step,
                             ds_status mine, const ds_outcome *outcome)
{
    bool done = outcome->finite && !outcome->vetoed;
    if (!outcome->finite) {
        DS_TRY(ds_agree(self->world, mine));
        DS_TRY(step_not_finite(self, batch, outcome));
    }
    if (!done)
        DS_TRY(ds_sync_skipped(self->sync, step));
    if (outcome->finite)
        self->skips = 0;
    self->step++;
    if (done)
        history_add(&self->history, self->step, outcome->loss);
    rate_after_step(self, done ? outcome->loss : (double)NAN);
    return DS_OK;
}

static ds_status step_plain(ds_trainer *self, const batch_source *batch, const step_wish *wish,
                            ds_outcome *outcome)
{
    int64_t start = ds_clock_ns(), waited = ds_world_waited_ns(self->world);
    ds_watch_note(self->world, DS_PHASE_COMPUTING, self->step);
    /* A rank that fails alone goes on to the exchange with a bad shard, so that all learn of it
     * there. */
    ds_sync_begin(self->sync, self->step);
    ds_status mine = gradient_of_batch(self, batch);
    int first_shard = ds_plan_shard_begin(self->plan, ds_world_rank(self->world));
    if (mine != DS_OK)
        self->bad[first_shard] = true;
    ds_step step = {.t = self->step,
                    .samples = batch->n,
                    .weight = class_weights_of_batch(self, batch),
                    .lr = step_rate(self),
                    .loss = self->loss,
                    .bad = self->bad,
                    .word = wish->word,
                    .want_norm = wish->norm,
                    .veto = self->config->train.spike_z > 0 ? spike_veto : NULL,
                    .context = self};
    ds_watch_note(self->world, DS_PHASE_EXCHANGE, self->step);
    double penalty = step_penalty(self); /* of the parameters that the losses are of */
    DS_TRY(ds_sync_step(self->sync, &step, outcome));
    outcome->loss += penalty;
    if (!outcome->vetoed)
        stopping_after_step(&self->stopping, &self->config->stop, outcome);
    if (outcome->finite && self->stopping.reason[0] != '\0')
        DS_TRY(ds_sync_meet(self->sync, &step, outcome));
    self->stepped_ns += ds_clock_ns() - start;
    self->waited_ns += ds_world_waited_ns(self->world) - waited;
    ds_watch_note(self->world, DS_PHASE_REPORT, self->step);
    return step_settle(self, batch, &step, mine, outcome);
}

ds_status step_batch(ds_trainer *self, const batch_source *batch, const step_wish *wish,
                     ds_outcome *outcome)
{
    if (wish->layers)
        layer_watch_begin(self);
    if (self->driver != NULL)
        DS_TRY(drive_step(self, batch, wish, outcome));
    else
        DS_TRY(step_plain(self, batch, wish, outcome));
    return wish->layers ? layer_watch_end(self) : DS_OK;
}

ds_status step_next(ds_trainer *self, const step_wish *wish, ds_outcome *outcome)
{
    DS_CHECK(self->splits != NULL && self->splits->train != NULL, DS_ERR_USAGE,
             "no training data: give data.train in the config or samples from memory");
    batch_source batch = {0};
    batch.n = ds_plan_batch(self->plan, self->step, &batch.position);
    /* An optimizer that drives compares losses of different steps: their sums must not differ by
     * the samples' order. */
    uint64_t epoch = self->driver != NULL ? 0 : (uint64_t)self->step / self->plan->steps_per_epoch;
    batch.epoch = epoch;
    batch.order = ds_order_for(self->config->seed, epoch, self->splits->train->n);
    return step_batch(self, &batch, wish, outcome);
}

ds_status ds_trainer_step(ds_trainer *self, ds_outcome *outcome)
{
    DS_CHECK(!self->inference, DS_ERR_USAGE,
             "this trainer was opened for inference: it cannot train");
    step_wish wish = {.word = 0, .norm = true};
    return step_next(self, &wish, outcome);
}

ds_status ds_trainer_step_on(ds_trainer *self, size_t n, const float *x, const int32_t *label,
                             const float *value, ds_outcome *outcome)
{
    DS_CHECK(!self->inference, DS_ERR_USAGE,
             "this trainer was opened for inference: it cannot train");
    DS_CHECK(n > 0 && n <= self->plan->batch, DS_ERR_USAGE,
             "a batch of %zu samples; the plan takes 1 to %zu", n, self->plan->batch);
    bool classes = self->config->loss->target == DS_TARGET_CLASS;
    DS_CHECK(x != NULL && (classes ? label != NULL : value != NULL), DS_ERR_USAGE,
             "loss %s needs samples and %s", self->config->loss->name,
             classes ? "labels" : "values");
    size_t n_classes = ds_model_classes(self->model, self->config->loss->target);
    for (size_t i = 0; classes && i < n * self->positions; i++)
        DS_CHECK(label[i] >= 0 && (size_t)label[i] < n_classes, DS_ERR_DATA,
                 "label %d of sample %zu is out of range; expected 0 to %zu", label[i],
                 i / self->positions, n_classes - 1);
    batch_source batch = {
        .n = n, .x = x, .label = classes ? label : NULL, .value = classes ? NULL : value};
    step_wish wish = {.word = 0, .norm = true};
    return step_batch(self, &batch, &wish, outcome);
}
