/* Running a race. Each run is one rank's, on a world of its own: bits do not depend on the number
 * of ranks, so all ranks can run side by side. Only a strategy whose replicas are its ranks keeps
 * them together. The measure of a run is its loss over all training data, the same for every batch:
 * of a function at each step, of others at so many points of the run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "race.h"

enum { RACE_EDITS = 6, RACE_EDIT = 256, RACE_SMALL = 10000 };

/* ---- axes ----------------------------------------------------------------------------------- */

/* The next value of a list, cut at its commas, into text; false past the end. */
static bool race_next(const char **list, size_t room, char *text)
{
    const char *from = *list;
    if (from == NULL)
        return false;
    size_t n = strcspn(from, ",");
    snprintf(text, room, "%.*s", (int)n, from);
    *list = from[n] == ',' ? from + n + 1 : NULL;
    return true;
}

static ds_status race_known(const char *name)
{
    const char *names[64], *closest;
    size_t n = 0;
    if (ds_optim_find(name) != NULL)
        return DS_OK;
    for (; n < 64 && ds_optim_at(n) != NULL; n++)
        names[n] = ds_optim_at(n)->name;
    closest = ds_closest(name, n, names);
    return DS_FAIL(DS_ERR_USAGE, "race: unknown optimizer '%s'%s%s%s; descent list optimizers",
                   name, closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
                   closest == NULL ? "" : "')");
}

static ds_status race_number(const char *option, const char *text, double most, bool whole,
                             double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    DS_CHECK(*text != '\0' && *end == '\0' && *out > 0 && *out <= most &&
                 (!whole || *out == floor(*out)),
             DS_ERR_USAGE, "race: %s has '%s', expected %s above 0", option, text,
             whole ? "whole numbers" : "numbers");
    return DS_OK;
}

static ds_status race_add(race *self, const race_run *run)
{
    DS_CHECK(self->n < RACE_MOST, DS_ERR_USAGE, "race: more than %d runs; leave some values out",
             RACE_MOST);
    race_run *r = &self->run[self->n];
    char lr[32];
    *r = *run;
    int used = snprintf(r->name, sizeof r->name, "%s", r->optimizer);
    if (r->lr > 0)
        used += snprintf(r->name + used, sizeof r->name - (size_t)used, " lr %s",
                         ds_real_text(r->lr, lr));
    if (r->own_batch)
        snprintf(r->name + used, sizeof r->name - (size_t)used, " batch %lld", (long long)r->batch);
    for (size_t i = 0; i < self->n; i++)
        DS_CHECK(strcmp(self->run[i].name, r->name) != 0, DS_ERR_USAGE, "race: %s is there twice",
                 r->name);
    self->n++;
    return DS_OK;
}

/* All batches of one optimizer at one rate. */
static ds_status race_add_batches(race *self, race_run run)
{
    const char *list = self->batches;
    char text[64];
    double value;
    if (list == NULL)
        return race_add(self, &run);
    run.own_batch = true;
    while (race_next(&list, sizeof text, text)) {
        DS_TRY(race_number("--batch", text, 1e9, true, &value));
        run.batch = (int64_t)value;
        DS_TRY(race_add(self, &run));
    }
    return DS_OK;
}

static bool race_drives(const char *optimizer)
{
    return ds_optim_find(optimizer)->reach == DS_REACH_MODEL;
}

/* One that drives has no rate. */
static ds_status race_add_rates(race *self, race_run run)
{
    const char *list = self->rates;
    char text[64];
    const bool drives = race_drives(run.optimizer);
    run.lr = drives ? 0 : self->lr;
    if (list == NULL || drives)
        return race_add_batches(self, run);
    run.own_lr = true;
    while (race_next(&list, sizeof text, text)) {
        DS_TRY(race_number("--lr", text, 1e30, false, &run.lr));
        DS_TRY(race_add_batches(self, run));
    }
    return DS_OK;
}

/* Rates are judged though none of the optimizers may want one. */
static ds_status race_rates_good(const race *self)
{
    const char *list = self->rates;
    char text[64];
    double rate = 0;
    while (race_next(&list, sizeof text, text))
        DS_TRY(race_number("--lr", text, 1e30, false, &rate));
    return DS_OK;
}

ds_status race_plan(race *self, const ds_config *config)
{
    const char *list = self->optimizers != NULL ? self->optimizers : config->optimizer->name;
    race_run run = {.batch = config->batch.size * config->batch.accumulate};
    snprintf(self->optimizer, sizeof self->optimizer, "%s", config->optimizer->name);
    self->lr = config->lr;
    self->clip_norm = config->clip_norm;
    self->together = ds_plan_replicated(config);
    DS_CHECK(config->data.train != NULL || config->problem != NULL, DS_ERR_USAGE,
             "race: the config has no training data");
    DS_CHECK(self->steps > 0 || config->train.epochs > 0 || config->train.max_steps > 0,
             DS_ERR_USAGE, "race: the config has no end; give --steps");
    DS_TRY(race_rates_good(self));
    while (race_next(&list, sizeof run.optimizer, run.optimizer)) {
        DS_TRY(race_known(run.optimizer));
        DS_TRY(race_add_rates(self, run));
    }
    return DS_OK;
}

/* ---- one run -------------------------------------------------------------------------------- */

static size_t race_edits(const race *self, const race_run *run, char edit[][RACE_EDIT],
                         const char **set)
{
    char lr[32], clip[32];
    size_t n = 0;
    bool own = strcmp(run->optimizer, self->optimizer) == 0, drives = race_drives(run->optimizer);
    ds_real_text(run->lr, lr);
    if (drives) { /* rates and schedules are for the other optimizers */
        snprintf(edit[n++], RACE_EDIT, "lr=null");
        if (own)
            snprintf(edit[n++], RACE_EDIT, "optimizer.lr=null");
        else
            snprintf(edit[n++], RACE_EDIT, "optimizer={name: %s}", run->optimizer);
    } else if (!own)
        snprintf(edit[n++], RACE_EDIT, "optimizer={name: %s, lr: %s, clip_norm: %s}",
                 run->optimizer, lr, ds_real_text(self->clip_norm, clip));
    else if (run->own_lr)
        snprintf(edit[n++], RACE_EDIT, "optimizer.lr=%s", lr);
    if (run->own_batch)
        snprintf(edit[n++], RACE_EDIT, "batch={size: %lld}", (long long)run->batch);
    if (self->steps > 0) {
        snprintf(edit[n++], RACE_EDIT, "train.max_steps=%.0f", self->steps);
        snprintf(edit[n++], RACE_EDIT, "train.epochs=0");
    }
    snprintf(edit[n++], RACE_EDIT, "train.on_nan=stop");
    memcpy(set, self->set.item, self->set.n * sizeof *set);
    for (size_t i = 0; i < n; i++)
        set[self->set.n + i] = edit[i];
    return self->set.n + n;
}

static void race_place(const ds_trainer *trainer, double w[2])
{
    const ds_layout *layout = ds_model_layout(ds_trainer_model(trainer));
    const float *flat = ds_trainer_params(trainer);
    float outside[2];
    size_t n = 0;
    w[0] = w[1] = 0;
    if (ds_layout_elements(layout) != 2)
        return;
    for (size_t p = 0; p < layout->n_params; p++) {
        size_t count = layout->param[p].rows * layout->param[p].cols;
        ds_param_export(&layout->param[p], flat, outside);
        for (size_t i = 0; i < count; i++)
            w[n++] = (double)outside[i];
    }
}

/* Every stride-th measure is kept; when there is no room every second one goes. */
static void race_keep(race_run *r, int64_t step, double loss, const double w[2])
{
    if (r->measures++ % r->stride != 0)
        return;
    if (r->n == RACE_POINTS) {
        for (size_t i = 0; i < RACE_POINTS / 2; i++) {
            r->step[i] = r->step[2 * i];
            r->loss[i] = r->loss[2 * i];
            memcpy(r->w[i], r->w[2 * i], sizeof r->w[i]);
        }
        r->n = RACE_POINTS / 2;
        r->stride *= 2;
    }
    r->step[r->n] = step;
    r->loss[r->n] = loss;
    memcpy(r->w[r->n++], w, 2 * sizeof *w);
}

static void race_diverges(race_run *r, int64_t step, const char *why)
{
    r->diverged = true;
    snprintf(r->why, sizeof r->why, "diverged at step %lld%s%.*s", (long long)step,
             why[0] == '\0' ? "" : ": ", RACE_WHY - 60, why);
}

static ds_status race_measure(const race *self, ds_trainer *trainer, race_run *r)
{
    ds_scores scores;
    double w[2];
    int64_t step = ds_trainer_steps(trainer);
    DS_TRY(ds_trainer_evaluate(trainer, "train", &scores));
    race_place(trainer, w);
    if (step == 0)
        r->first = r->best = scores.loss;
    r->last = scores.loss;
    if (!isfinite(scores.loss)) {
        race_diverges(r, step, "the loss is not finite");
        return DS_OK;
    }
    if (scores.loss < r->best) {
        r->best = scores.loss;
        r->best_step = step;
    }
    if (r->reached < 0 && scores.loss <= self->target)
        r->reached = step;
    race_keep(r, step, scores.loss, w);
    return DS_OK;
}

/* So many steps between two measures: a function's loss costs nothing. */
static int64_t race_interval(const race *self, const ds_trainer *trainer)
{
    const ds_problem *problem = ds_model_problem(ds_trainer_model(trainer));
    const ds_plan *plan = ds_trainer_plan(trainer);
    size_t points = self->points > 0 ? self->points : plan->samples <= RACE_SMALL ? 50 : 10;
    int64_t interval = plan->total_steps / (int64_t)points;
    return interval < 1 || (problem != NULL && !problem->reads_data) ? 1 : interval;
}

static ds_status race_steps(const race *self, ds_trainer *trainer, race_run *r)
{
    const ds_plan *plan = ds_trainer_plan(trainer);
    int64_t interval = race_interval(self, trainer);
    DS_TRY(race_measure(self, trainer, r));
    while (!ds_trainer_finished(trainer) && !r->diverged) {
        ds_outcome outcome;
        size_t position;
        int64_t step = ds_trainer_steps(trainer);
        ds_status st = ds_trainer_step(trainer, &outcome);
        if (st != DS_OK && st != DS_ERR_DIVERGED)
            return st;
        r->steps = step + 1;
        r->samples += (int64_t)ds_plan_batch(plan, step, &position);
        if (st == DS_ERR_DIVERGED)
            race_diverges(r, step + 1,
                          race_drives(r->optimizer) ? "the loss is not finite or has no lower bound"
                                                    : "loss or gradient is not finite");
        else if (r->steps % interval == 0 || ds_trainer_finished(trainer))
            DS_TRY(race_measure(self, trainer, r));
    }
    /* A run that ends far above its start is on its way to infinity. */
    double rise = r->last - r->first;
    if (!r->diverged && rise > 3 * fabs(r->first) && rise > 0)
        race_diverges(r, r->steps, "the loss has grown to more than four times the first");
    return DS_OK;
}

/* "w0" and "w1", or "weight" and "bias". */
static void race_name_axes(race *self, const ds_layout *layout)
{
    size_t n = 0;
    self->plane = ds_layout_elements(layout) == 2;
    for (size_t p = 0; p < layout->n_params && self->plane; p++) {
        const ds_param *param = &layout->param[p];
        const char *slash = strrchr(param->name, '/'),
                   *own = slash == NULL ? param->name : slash + 1;
        size_t count = param->rows * param->cols;
        for (size_t i = 0; i < count; i++, n++)
            snprintf(self->axis[n], sizeof self->axis[n], count > 1 ? "%.40s%u" : "%.40s", own,
                     (unsigned)i);
    }
}

static ds_status race_one(ds_world *world, race *self, race_run *r)
{
    char edit[RACE_EDITS][RACE_EDIT];
    const char *set[DS_ARGS_MAX + RACE_EDITS];
    ds_auto(ds_trainer) trainer = NULL;
    r->reached = -1;
    r->stride = 1;
    ds_trainer_spec spec = {.config = self->text,
                            .path = self->path,
                            .n_set = race_edits(self, r, edit, set),
                            .set = set};
    ds_status st = ds_trainer_open(world, &spec, &trainer);
    if (st != DS_OK)
        return ds_fail_prefix(st, "%s: ", r->name);
    DS_CHECK(ds_trainer_plan(trainer)->total_steps < INT64_MAX, DS_ERR_USAGE,
             "race: %s has no end; give --steps", r->name);
    race_name_axes(self, ds_model_layout(ds_trainer_model(trainer)));
    st = race_steps(self, trainer, r);
    return st == DS_OK ? st : ds_fail_prefix(st, "%s: ", r->name);
}

static ds_status race_mine(ds_world *world, race *self)
{
    int size = ds_world_size(world), rank = ds_world_rank(world);
    for (size_t i = 0; i < self->n; i++) {
        if (self->together) {
            DS_TRY(race_one(world, self, &self->run[i]));
            continue;
        }
        if ((int)(i % (size_t)size) != rank)
            continue;
        ds_auto(ds_world) alone = NULL;
        DS_TRY(ds_world_self(&alone));
        DS_TRY(race_one(alone, self, &self->run[i]));
    }
    return DS_OK;
}

/* ---- the outcome ---------------------------------------------------------------------------- */

/* The lowest loss reached anywhere; where no target was given it is 1 % of the way above that. */
static void race_judge(race *self)
{
    double least = (double)INFINITY, first = 0;
    self->best = self->n;
    for (size_t i = 0; i < self->n; i++) {
        const race_run *r = &self->run[i];
        if (r->diverged)
            continue;
        if (self->best == self->n || r->last < self->run[self->best].last)
            self->best = i;
        least = r->best < least ? r->best : least;
        first = r->first;
    }
    if (!isnan(self->target) || self->best == self->n)
        return;
    self->target = least + 0.01 * (first - least);
    for (size_t i = 0; i < self->n; i++) {
        race_run *r = &self->run[i];
        for (size_t k = 0; k < r->n && r->reached < 0; k++)
            if (r->loss[k] <= self->target)
                r->reached = r->step[k];
    }
}

ds_status race_all(ds_world *world, race *self)
{
    size_t size = (size_t)ds_world_size(world);
    DS_TRY(ds_agree(world, race_mine(world, self)));
    for (size_t i = 0; i < self->n && !self->together; i++)
        DS_TRY(ds_world_broadcast(world, &self->run[i], sizeof self->run[i], (int)(i % size)));
    race_judge(self);
    return DS_OK;
}
