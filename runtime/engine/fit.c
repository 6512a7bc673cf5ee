/* A whole run: steps, and at fixed points of them the log, evaluation, checkpoints and the decision
 * to stop. What happens at a step is a pure function of the step's number and of numbers all ranks
 * share; rank 0's clock and signals travel as a word within the step. The order at a step is log,
 * evaluation, checkpoint: a checkpoint knows what the evaluation of its step found. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "descent/clock.h"

#include "deadline.h"
#include "trainer_parts.h"

enum { WORD_GO, WORD_STOP, WORD_LEAVE, WORD_FAIL };

typedef struct fit {
    ds_trainer *trainer;
    const ds_fit_spec *spec;
    int64_t saved_step, evaluated_step; /* the last of each; -1: none */
    int64_t save_ns;                    /* what the last save took; 0: not known */
    int64_t mark_ns;                    /* start of the window of samples_per_s */
    size_t window;                      /* samples since then */
    double rate;
    deadline deadline; /* rank 0's */
    bool late;         /* it is the deadline that ends this run */
    ds_status pending; /* rank 0's own trouble, told with the next word */
    char why[1024];
} fit;

/* Rank 0's reports may fail alone: note it, the next word tells. */
static void fit_note(fit *self, ds_status status)
{
    if (status == DS_OK || self->pending != DS_OK)
        return;
    self->pending = status;
    snprintf(self->why, sizeof self->why, "%s", ds_last_error());
}

static ds_status fit_settle(fit *self)
{
    ds_status mine = self->pending == DS_OK ? DS_OK : DS_FAIL(self->pending, "%s", self->why);
    return ds_agree(self->trainer->world, mine);
}

/* A save that takes more than half of what is left would be cut off, and nothing gained. */
static bool fit_in_haste(const fit *self)
{
    int64_t end = self->spec->killed_ns == NULL ? 0 : *self->spec->killed_ns, now = ds_clock_ns();
    return end > now && self->save_ns > (end - now) / 2;
}

static bool fit_evaluates_at(const ds_trainer *t, int64_t step)
{
    int64_t every = t->config->train.eval_every;
    if (t->config->train.eval_in_epochs)
        every *= (int64_t)t->plan->steps_per_epoch;
    return every > 0 && step % every == 0;
}

static int fit_word(fit *self)
{
    const ds_trainer *t = self->trainer;
    if (self->pending != DS_OK)
        return WORD_FAIL;
    if (self->spec->stop != NULL && *self->spec->stop != 0)
        return fit_in_haste(self) ? WORD_LEAVE : WORD_STOP;
    self->late = deadline_is_near(&self->deadline, fit_evaluates_at(t, t->step + 1));
    return self->late ? WORD_STOP : WORD_GO;
}

static void fit_pause(fit *self, int64_t since_ns)
{
    self->mark_ns += ds_clock_ns() - since_ns;
}

static ds_status fit_save(fit *self)
{
    ds_trainer *t = self->trainer;
    if (self->spec->dir == NULL || self->saved_step == t->step)
        return DS_OK;
    int64_t start = ds_clock_ns();
    char path[4096];
    DS_TRY(snapshot_write(t, self->spec->dir, sizeof path, path));
    self->saved_step = t->step;
    self->save_ns = ds_clock_ns() - start;
    fit_note(self, ds_report_checkpoint(self->spec->report, t->step, path));
    fit_pause(self, start);
    deadline_saved(&self->deadline, ds_clock_ns() - start);
    return DS_OK;
}

static ds_status fit_save_best(fit *self)
{
    DS_TRY(fit_save(self));
    if (self->spec->dir == NULL)
        return DS_OK;
    return ds_checkpoint_mark_best(self->trainer->world, self->spec->dir, self->trainer->step);
}

static ds_status fit_evaluate_split(fit *self, const char *split, ds_scores *scores)
{
    DS_TRY(ds_trainer_evaluate(self->trainer, split, scores));
    const ds_trainer *t = self->trainer;
    fit_note(self, ds_report_eval(self->spec->report, t->step, split, scores));
    DS_CHECK(isfinite(scores->loss) || t->config->train.skip_nan, DS_ERR_DIVERGED,
             "the %s loss after step %" PRId64 " is %g: the update of that step was too large, or "
             "the data hold huge values; lower optimizer.lr or clip gradients "
             "(optimizer.clip_norm)",
             split, t->step, ds_shown(scores->loss));
    return DS_OK;
}

static void fit_alarm_eval(fit *self, const char *split, double loss)
{
    ds_report *report = self->spec->report;
    fit_note(self, alarms_eval(&self->trainer->alarms, report, self->trainer->step, split, loss));
}

static bool fit_every(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

static ds_status fit_evaluate(fit *self, bool *best)
{
    ds_trainer *t = self->trainer;
    *best = false;
    if (self->evaluated_step == t->step)
        return DS_OK;
    int64_t start = ds_clock_ns();
    bool regular = fit_evaluates_at(t, t->step);
    self->evaluated_step = t->step;
    ds_scores scores;
    bool validation = evaluate_split(t, "validation") != NULL,
         test = evaluate_split(t, "test") != NULL;
    if (validation) {
        DS_TRY(fit_evaluate_split(self, "validation", &scores));
        *best = stopping_after_eval(&t->stopping, &t->config->stop, t->step, scores.loss);
        if (regular)
            rate_after_eval(t, scores.loss);
        if (regular)
            fit_alarm_eval(self, "validation", scores.loss);
    }
    if (test)
        DS_TRY(fit_evaluate_split(self, "test", &scores));
    if (test && !validation && regular)
        fit_alarm_eval(self, "test", scores.loss);
    if (!test && !validation && evaluate_split(t, "train") != NULL)
        DS_TRY(fit_evaluate_split(self, "train", &scores));
    fit_pause(self, start);
    deadline_evaluated(&self->deadline, ds_clock_ns() - start);
    return DS_OK;
}

static void fit_log(fit *self, const ds_outcome *outcome, double lr)
{
    ds_trainer *t = self->trainer;
    ds_report *report = self->spec->report;
    if (!outcome->finite || outcome->vetoed) {
        fit_note(self, outcome->finite ? ds_report_spike(report, t->step, &t->spike.verdict)
                                       : ds_report_skip(report, t->step, t->why));
        return;
    }
    alarms_loss(&t->alarms, outcome->loss);
    ds_report_beat(report, t->step, outcome->loss, self->rate);
    if (!fit_every(t->step, t->config->train.log_every))
        return;
    ds_step_facts facts = {.step = t->step,
                           .epoch = (double)t->step / (double)t->plan->steps_per_epoch,
                           .loss = outcome->loss,
                           .lr = lr,
                           .grad_norm = outcome->grad_norm,
                           .samples_per_s = self->rate};
    fit_note(self, ds_report_step(report, &facts));
    size_t n = 0;
    const ds_layer_facts *layer = layer_watch_facts(t, &n);
    if (report == NULL)
        return;
    if (t->config->train.log_layers)
        fit_note(self, ds_report_layers(report, t->step, n, layer));
    fit_note(self, alarms_line(&t->alarms, report, &facts, n, layer, t->plan->batch));
}

static ds_status fit_sharpness(fit *self)
{
    ds_trainer *t = self->trainer;
    ds_sharpness_facts facts;
    int64_t start = ds_clock_ns();
    if (!sharpness_due(t))
        return DS_OK;
    DS_TRY(sharpness_measure(t, &facts));
    fit_note(self, ds_report_sharpness(self->spec->report, t->step, &facts));
    fit_pause(self, start);
    return DS_OK;
}

/* samples/s since the last log line, without evaluations and checkpoints; where there is no log,
 * over a second. */
static void fit_measure(fit *self, size_t samples)
{
    int64_t now = ds_clock_ns();
    self->window += samples;
    self->rate = (double)self->window / ((double)(now - self->mark_ns) * 1e-9 + 1e-12);
    int64_t every = self->trainer->config->train.log_every;
    if (every > 0 ? self->trainer->step % every != 0 : now - self->mark_ns < 1000000000)
        return;
    self->mark_ns = now;
    self->window = 0;
}

static ds_status fit_step(fit *self, int *word)
{
    ds_trainer *t = self->trainer;
    size_t position;
    size_t samples = ds_plan_batch(t->plan, t->step, &position);
    bool logs = fit_every(t->step + 1, t->config->train.log_every);
    step_wish wish = {
        .word = fit_word(self), .norm = logs || t->config->stop.grad_norm > 0, .layers = logs};
    double lr = step_rate(t);
    ds_outcome outcome;
    DS_TRY(step_next(t, &wish, &outcome));
    *word = outcome.word;
    fit_measure(self, samples);
    fit_log(self, &outcome, lr);
    fit_note(self, trajectory_add(t, self->spec->report));
    return fit_sharpness(self);
}

static ds_status fit_after(fit *self)
{
    ds_trainer *t = self->trainer;
    const ds_checkpoint_config *checkpoint = &t->config->checkpoint;
    bool best = false, due = fit_every(t->step, checkpoint->every_steps);
    if (fit_evaluates_at(t, t->step) || ds_trainer_finished(t))
        DS_TRY(fit_evaluate(self, &best));
    if (best)
        DS_TRY(fit_save_best(self));
    if (due || ds_trainer_finished(t))
        DS_TRY(fit_save(self));
    if ((due || best) && self->spec->dir != NULL)
        return ds_checkpoint_prune(t->world, self->spec->dir, checkpoint->keep);
    return DS_OK;
}

static const char *fit_reason(const ds_trainer *t)
{
    if (t->stopping.reason[0] != '\0')
        return t->stopping.reason;
    int64_t max = t->config->train.max_steps;
    return max > 0 && t->step >= max ? "max_steps" : "epochs";
}

/* After TERM or INT mpirun leaves its ranks about a second, and a slow disk may take longer to
 * save: status.json says first what already stands. The caller's last word replaces it. */
static void fit_foretell(const fit *self)
{
    ds_watch_hush(self->trainer->world);
    int64_t stands = self->saved_step < 0 ? 0 : self->saved_step;
    const char *reason = stands == 0
                             ? "stopped as asked, saving; no checkpoint before this one"
                             : "stopped as asked, saving; the checkpoint of this step stands";
    ds_report_stopping(self->spec->report, ds_exit_code(DS_STOPPED), stands, reason);
}

static ds_status fit_leave(fit *self)
{
    int64_t stands = self->saved_step < 0 ? 0 : self->saved_step;
    ds_watch_hush(self->trainer->world);
    DS_TRY(fit_settle(self));
    return DS_FAIL(DS_STOPPED,
                   "stopped as asked at step %" PRId64 ", without saving it: a checkpoint takes "
                   "%.1f s, more than there was; --resume goes on from step %" PRId64,
                   self->trainer->step, (double)self->save_ns * 1e-9, stands);
}

static ds_status fit_stopped(fit *self)
{
    ds_trainer *t = self->trainer;
    fit_foretell(self);
    DS_TRY(fit_save(self));
    fit_foretell(self); /* mpirun's KILL may come from now on */
    if (self->spec->dir != NULL)
        DS_TRY(ds_checkpoint_prune(t->world, self->spec->dir, t->config->checkpoint.keep));
    DS_TRY(fit_settle(self));
    return DS_FAIL(DS_STOPPED, "stopped %s at step %" PRId64 "%s",
                   self->late ? "before the job's time is over" : "as asked", t->step,
                   self->spec->dir == NULL ? "" : "; go on with --resume");
}

/* A checkpoint holds the parameters and the optimizer's slots. */
static void fit_take_deadline(fit *self)
{
    const ds_trainer *t = self->trainer;
    size_t copies = 1 + t->config->optimizer->n_slots;
    if (self->spec->end_ns == 0 || ds_world_rank(t->world) != 0)
        return;
    deadline_start(&self->deadline, self->spec->end_ns, t->config->checkpoint.margin,
                   ds_layout_elements(ds_model_layout(t->model)) * copies * sizeof(float));
}

/* A kill may have fallen between a best checkpoint and its link. A run that goes on in another
 * folder has left its best behind. */
static ds_status fit_recall_best(const fit *self)
{
    const ds_trainer *t = self->trainer;
    if (self->spec->dir == NULL || t->loaded_step < 0 || t->stopping.best_step != t->loaded_step)
        return DS_OK;
    char path[4096];
    snprintf(path, sizeof path, "%s/checkpoints/step-%08" PRId64 ".h5", self->spec->dir,
             t->loaded_step);
    int there = access(path, F_OK) == 0; /* rank 0's view is all ranks' */
    DS_TRY(ds_world_broadcast(t->world, &there, sizeof there, 0));
    return there ? ds_checkpoint_mark_best(t->world, self->spec->dir, t->loaded_step) : DS_OK;
}

static ds_status fit_linear_gap(const fit *self)
{
    bool applies = false;
    ds_linear_gap gap;
    if (self->spec->report == NULL)
        return DS_OK;
    DS_TRY(linear_gap_find(self->trainer, &applies, &gap));
    return applies ? ds_report_linear_gap(self->spec->report, self->trainer->step, &gap) : DS_OK;
}

ds_status ds_trainer_fit(ds_trainer *self, const ds_fit_spec *spec, const char **reason)
{
    DS_CHECK(!self->inference && self->splits->train != NULL, DS_ERR_USAGE,
             "no training data to fit: give data.train");
    fit run = {.trainer = self,
               .spec = spec,
               .saved_step = self->loaded_step,
               .evaluated_step = -1,
               .mark_ns = ds_clock_ns()};
    fit_take_deadline(&run);
    DS_TRY(fit_recall_best(&run));
    if (self->step == 0 && (self->config->checkpoint.initial || self->initialised))
        DS_TRY(fit_save(&run));
    fit_note(&run, trajectory_add(self, spec->report));
    while (!ds_trainer_finished(self)) {
        int word = WORD_GO;
        DS_TRY(fit_step(&run, &word));
        if (word == WORD_FAIL)
            DS_TRY(fit_settle(&run));
        DS_TRY(fit_after(&run));
        if ((word == WORD_STOP || word == WORD_LEAVE) && !ds_trainer_finished(self))
            return word == WORD_STOP ? fit_stopped(&run) : fit_leave(&run);
    }
    uint64_t hash = 0;
    DS_TRY(fit_save(&run));
    if (spec->dir != NULL)
        DS_TRY(ds_checkpoint_prune(self->world, spec->dir, self->config->checkpoint.keep));
    DS_TRY(ds_agree(self->world, ds_trainer_hash(self, &hash)));
    ds_spent spent;
    DS_TRY(step_spent(self, &spent));
    *reason = fit_reason(self);
    fit_note(&run, fit_linear_gap(&run));
    fit_note(&run, ds_report_end(spec->report, self->step, *reason, hash, &spent));
    return fit_settle(&run);
}
