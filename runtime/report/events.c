/* Events of a run: each becomes a line of metrics.jsonl, and a line for people where it is worth
 * one. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descent/clock.h"
#include "descent/log.h"
#include "descent/option.h"

#include "report_parts.h"

struct ds_report {
    char *dir;
    FILE *metrics, *trajectory;
    int64_t from_step;
    progress progress;
    bool saved; /* metrics.jsonl knows the checkpoint that the run goes on from */
    int64_t start_ns, beat_ns;
    const volatile int *stop;
};

static bool events_stopping(const ds_report *self)
{
    return self->stop != NULL && *self->stop != 0;
}

ds_status ds_report_create(const ds_report_spec *spec, ds_report **out)
{
    ds_report *self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for the report");
    ds_auto(ds_report) guard = self;
    progress_open(&self->progress, spec->quiet, spec->total_steps);
    self->start_ns = ds_clock_ns();
    self->from_step = spec->from_step;
    if (spec->dir != NULL) {
        self->dir = strdup(spec->dir);
        DS_CHECK(self->dir != NULL, DS_ERR_NOMEM, "out of memory for the report");
        DS_TRY(metrics_open(spec->dir, spec->from_step, &self->metrics, &self->saved));
        self->stop = spec->stop;
        if (!events_stopping(self))
            DS_TRY(ds_status_file_write(spec->dir, "running", 0,
                                        spec->from_step < 0 ? 0 : spec->from_step, ""));
    }
    *out = ds_steal(guard);
    return DS_OK;
}

void ds_report_destroy(ds_report **report)
{
    ds_report *self = *report;
    if (self == NULL)
        return;
    if (self->metrics != NULL)
        fclose(self->metrics);
    if (self->trajectory != NULL)
        fclose(self->trajectory);
    progress_close(&self->progress);
    free(self->dir);
    free(self);
    *report = NULL;
}

static cJSON *event_new(const char *kind)
{
    cJSON *event = cJSON_CreateObject();
    cJSON_AddStringToObject(event, "event", kind);
    return event;
}

static void event_number(cJSON *event, const char *name, double value)
{
    cJSON_AddNumberToObject(event, name, value);
}

static ds_status event_write(ds_report *self, cJSON *event)
{
    if (self->metrics == NULL) {
        cJSON_Delete(event);
        return DS_OK;
    }
    return metrics_write(self->metrics, event);
}

ds_status ds_report_start(ds_report *self, const ds_run_facts *f)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("start");
    cJSON_AddStringToObject(e, "name", f->name);
    event_number(e, "ranks", f->ranks);
    event_number(e, "hosts", f->hosts);
    event_number(e, "shards", f->shards);
    event_number(e, "batch", (double)f->batch);
    event_number(e, "samples", (double)f->samples);
    event_number(e, "parameters", (double)f->parameters);
    event_number(e, "seed", (double)f->seed);
    if (f->total_steps != INT64_MAX)
        event_number(e, "total_steps", (double)f->total_steps);
    cJSON_AddStringToObject(e, "numerics", f->numerics);
    event_number(e, "time", ds_clock_wall_s());
    progress_say(&self->progress,
                 "%s: %zu parameters, %zu samples, batch %zu in %d shards, %d rank%s on %d host%s",
                 f->name, f->parameters, f->samples, f->batch, f->shards, f->ranks,
                 f->ranks == 1 ? "" : "s", f->hosts, f->hosts == 1 ? "" : "s");
    progress_say(&self->progress, "%s", f->numerics);
    if (f->lr_note[0] != '\0') {
        cJSON_AddStringToObject(e, "lr_note", f->lr_note);
        progress_say(&self->progress, "%s", f->lr_note);
    }
    return event_write(self, e);
}

ds_status ds_report_resume(ds_report *self, int64_t step, int ranks, const char *path)
{
    if (self == NULL)
        return DS_OK;
    if (!self->saved)
        DS_TRY(ds_report_checkpoint(self, step, path));
    cJSON *e = event_new("resume");
    event_number(e, "step", (double)step);
    event_number(e, "ranks", ranks);
    progress_say(&self->progress, "resumed at step %" PRId64 " on %d rank%s", step, ranks,
                 ranks == 1 ? "" : "s");
    return event_write(self, e);
}

ds_status ds_report_step(ds_report *self, const ds_step_facts *f)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("step");
    event_number(e, "step", (double)f->step);
    event_number(e, "epoch", f->epoch);
    event_number(e, "loss", f->loss);
    event_number(e, "lr", f->lr);
    event_number(e, "grad_norm", f->grad_norm);
    event_number(e, "samples_per_s", f->samples_per_s);
    return event_write(self, e);
}

ds_status ds_report_eval(ds_report *self, int64_t step, const char *split, const ds_scores *s)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("eval");
    event_number(e, "step", (double)step);
    cJSON_AddStringToObject(e, "split", split);
    event_number(e, "loss", s->loss);
    if (s->loss_only) {
        progress_say(&self->progress, "step %" PRId64 "  %s: loss %.6g", step, split,
                     ds_shown(s->loss));
    } else if (s->classes) {
        char bits[48] = "";
        event_number(e, "accuracy", s->accuracy);
        if (s->bits > 0) {
            event_number(e, "bits", s->bits);
            snprintf(bits, sizeof bits, " (%.4f bits a token)", s->bits);
        }
        progress_say(&self->progress, "step %" PRId64 "  %s: loss %.4f%s, accuracy %.2f %%", step,
                     split, ds_shown(s->loss), bits, 100 * s->accuracy);
    } else {
        event_number(e, "mae", s->mae);
        event_number(e, "r2", s->r2);
        progress_say(&self->progress, "step %" PRId64 "  %s: loss %.6g, MAE %.6g, R2 %.4f", step,
                     split, ds_shown(s->loss), ds_shown(s->mae), ds_shown(s->r2));
    }
    return event_write(self, e);
}

ds_status ds_report_checkpoint(ds_report *self, int64_t step, const char *path)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("checkpoint");
    event_number(e, "step", (double)step);
    cJSON_AddStringToObject(e, "path", path);
    return event_write(self, e);
}

ds_status ds_report_point(ds_report *self, int64_t step, const ds_trajectory *point)
{
    if (self == NULL || self->dir == NULL)
        return DS_OK;
    if (self->trajectory == NULL)
        DS_TRY(trajectory_open(self->dir, self->from_step, point, &self->trajectory));
    return step <= self->from_step ? DS_OK : trajectory_write(self->trajectory, step, point);
}

ds_status ds_report_skip(ds_report *self, int64_t step, const char *why)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("skip");
    event_number(e, "step", (double)step);
    cJSON_AddStringToObject(e, "reason", why);
    progress_say(&self->progress, "step %" PRId64 " skipped: %s", step, why);
    return event_write(self, e);
}

ds_status ds_report_layers(ds_report *self, int64_t step, size_t n, const ds_layer_facts *layer)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("layers");
    event_number(e, "step", (double)step);
    cJSON *list = cJSON_AddArrayToObject(e, "layers");
    for (size_t i = 0; i < n; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", layer[i].name);
        event_number(item, "grad_norm", layer[i].grad_norm);
        event_number(item, "weight_norm", layer[i].weight_norm);
        event_number(item, "update_ratio", layer[i].update_ratio);
        if (layer[i].units > 0)
            event_number(item, "dead", layer[i].dead);
        cJSON_AddItemToArray(list, item);
    }
    return event_write(self, e);
}

ds_status ds_report_spike(ds_report *self, int64_t step, const ds_spike_facts *f)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("spike");
    event_number(e, "step", (double)step);
    event_number(e, "loss", f->loss);
    event_number(e, "grad_norm", f->grad_norm);
    event_number(e, "z_loss", f->z_loss);
    event_number(e, "z_norm", f->z_norm);
    progress_say(&self->progress,
                 "step %" PRId64 " skipped, it stands out: loss %.4g (%.1f deviations), gradient "
                 "norm %.4g (%.1f)",
                 step, ds_shown(f->loss), ds_shown(f->z_loss), ds_shown(f->grad_norm),
                 ds_shown(f->z_norm));
    return event_write(self, e);
}

ds_status ds_report_sharpness(ds_report *self, int64_t step, const ds_sharpness_facts *f)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("sharpness");
    event_number(e, "step", (double)step);
    event_number(e, "sharpness", f->sharpness);
    event_number(e, "bound", f->bound);
    event_number(e, "iterations", (double)f->iterations);
    if (isnan(f->bound)) /* without a rate */
        progress_say(&self->progress, "step %" PRId64 "  sharpness %.4g", step, f->sharpness);
    else
        progress_say(&self->progress, "step %" PRId64 "  sharpness %.4g, 2/lr %.4g", step,
                     f->sharpness, f->bound);
    return event_write(self, e);
}

ds_status ds_report_warning(ds_report *self, int64_t step, const char *cause, const char *text)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("warning");
    event_number(e, "step", (double)step);
    cJSON_AddStringToObject(e, "cause", cause);
    cJSON_AddStringToObject(e, "text", text);
    return event_write(self, e);
}

ds_status ds_report_end(ds_report *self, int64_t step, const char *reason, uint64_t params_hash,
                        const ds_spent *spent)
{
    if (self == NULL)
        return DS_OK;
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, params_hash);
    double wall = (double)(ds_clock_ns() - self->start_ns) * 1e-9;
    cJSON *e = event_new("end");
    event_number(e, "step", (double)step);
    cJSON_AddStringToObject(e, "reason", reason);
    cJSON_AddStringToObject(e, "params_hash", hash);
    event_number(e, "wall_s", wall);
    event_number(e, "compute_s", spent->computing);
    event_number(e, "wait_s", spent->waiting);
    event_number(e, "hidden_s", spent->hidden);
    if (spent->ranks > 1)
        progress_say(&self->progress,
                     "steps took %.1f s: %.1f s computing (%.1f s of it while messages were under "
                     "way), %.1f s waiting for other ranks",
                     spent->computing + spent->waiting, spent->computing, spent->hidden,
                     spent->waiting);
    progress_say(&self->progress, "end at step %" PRId64 " (%s) after %.1f s, params_hash %s", step,
                 reason, wall, hash);
    return event_write(self, e);
}

ds_status ds_report_linear_gap(ds_report *self, int64_t step, const ds_linear_gap *gap)
{
    if (self == NULL)
        return DS_OK;
    cJSON *e = event_new("least_squares");
    event_number(e, "step", (double)step);
    event_number(e, "loss", gap->loss);
    event_number(e, "best_loss", gap->best_loss);
    event_number(e, "distance", gap->distance);
    progress_say(
        &self->progress,
        "closed-form least squares: loss %.8g, here %.8g; the weights differ by %.2e of their norm",
        gap->best_loss, gap->loss, gap->distance);
    return event_write(self, e);
}

void ds_report_beat(ds_report *self, int64_t step, double loss, double samples_per_s)
{
    if (self == NULL)
        return;
    progress_beat(&self->progress, step, loss, samples_per_s);
    int64_t now = ds_clock_ns();
    if (self->dir == NULL || now - self->beat_ns < 1000000000 || events_stopping(self))
        return;
    self->beat_ns = now;
    /* A missed heartbeat is no reason to stop a run: a full disk shows in metrics.jsonl and
     * checkpoints. */
    if (ds_status_file_is_open(self->dir) &&
        ds_status_file_write(self->dir, "running", 0, step, "") != DS_OK)
        ds_log(DS_LOG_DEBUG, "%s", ds_last_error());
}

void ds_report_stopping(ds_report *self, int code, int64_t step, const char *reason)
{
    if (self == NULL || self->dir == NULL)
        return;
    if (ds_status_file_write(self->dir, "resumable", code, step, reason) != DS_OK)
        ds_log(DS_LOG_WARN, "%s", ds_last_error());
}

void ds_report_close(ds_report *self, const char *state, int code, int64_t step, const char *reason)
{
    if (self == NULL)
        return;
    if (self->dir != NULL && ds_status_file_write(self->dir, state, code, step, reason) != DS_OK)
        ds_log(DS_LOG_WARN, "%s", ds_last_error());
    progress_finish(&self->progress, code == 0);
}
