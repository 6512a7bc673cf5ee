/* A run as a checkpoint: parameters and optimizer state in their outside shapes, the input's
 * normalisation, the loss history, and as attributes of /run all that a resumed run needs to go on
 * bit for bit. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer_parts.h"

enum { SNAPSHOT_ATTRS = 64 };

typedef struct snapshot {
    ds_trainer *trainer;
    ds_arena *arena;
    ds_entry *entry;
    size_t n_entries;
    size_t group; /* whose block lies in staging: parameters 0, slots from 1, then the strategy's
                     state; SIZE_MAX: none */
    ds_attr attr[SNAPSHOT_ATTRS];
    size_t n_attrs;
} snapshot;

static const ds_param *snapshot_param(const snapshot *self, size_t which)
{
    const ds_layout *layout = ds_model_layout(self->trainer->model);
    return &layout->param[which % layout->n_params];
}

static ds_status snapshot_stage_param(void *context, size_t which, void *out)
{
    const snapshot *self = context;
    ds_param_export(snapshot_param(self, which), ds_trainer_params(self->trainer), out);
    return DS_OK;
}

static ds_status snapshot_stage_block(void *context, size_t which, void *out)
{
    snapshot *self = context;
    ds_trainer *t = self->trainer;
    size_t group = which / ds_model_layout(t->model)->n_params;
    size_t slots = ds_plan_slots(t->config);
    const float *own = t->driver != NULL && group <= slots ? drive_slot(t, group - 1) : NULL;
    if (own != NULL) {
        ds_param_export(snapshot_param(self, which), own, out);
        return DS_OK;
    }
    if (group != self->group && group <= slots)
        DS_TRY(ds_sync_gather_slot(t->sync, group - 1, t->staging));
    else if (group != self->group)
        DS_TRY(ds_sync_gather_state(t->sync, group - 1 - slots, t->staging));
    self->group = group;
    ds_param_export(snapshot_param(self, which), t->staging, out);
    return DS_OK;
}

static size_t snapshot_states(const ds_trainer *t)
{
    size_t n = 0;
    while (ds_sync_state_at(t->sync, n) != NULL)
        n++;
    return n;
}

static size_t snapshot_groups(const ds_trainer *t)
{
    return 1 + ds_plan_slots(t->config) + snapshot_states(t);
}

static ds_status snapshot_path(snapshot *self, size_t group, const ds_param *param, char **path)
{
    const char *name = param->name;
    const ds_trainer *t = self->trainer;
    const ds_optim_ops *optimizer = t->config->optimizer;
    if (group == 0)
        return ds_arena_printf(self->arena, path, "%s/%s", restore_group_of(param), name);
    if (group <= optimizer->n_slots)
        return ds_arena_printf(self->arena, path, "/optimizer/%s/%s",
                               optimizer->slot_name[group - 1], name);
    if (group <= ds_plan_slots(t->config))
        return ds_arena_printf(self->arena, path, "/ema/%s", name);
    const char *state = ds_sync_state_at(t->sync, group - 1 - ds_plan_slots(t->config));
    return ds_arena_printf(self->arena, path, "/sync/%s/%s", state, name);
}

static ds_status snapshot_tensors(snapshot *self)
{
    size_t n_params = ds_model_layout(self->trainer->model)->n_params;
    size_t n_groups = snapshot_groups(self->trainer);
    for (size_t i = 0; i < n_params * n_groups; i++) {
        const ds_param *param = snapshot_param(self, i);
        size_t group = i / n_params;
        char *path = NULL;
        if (group > 0 && !param->trainable)
            continue;
        if (group > 0 && group <= ds_plan_slots(self->trainer->config) &&
            !ds_plan_uses_slot(self->trainer->config, param, group - 1))
            continue;
        DS_TRY(snapshot_path(self, group, param, &path));
        ds_entry *entry = &self->entry[self->n_entries++];
        *entry = (ds_entry){.path = path, .type = DS_F32, .shape = param->shape, .context = self};
        entry->stage = group == 0 ? snapshot_stage_param : snapshot_stage_block;
        entry->which = i;
    }
    return DS_OK;
}

static void snapshot_vector(snapshot *self, const char *path, ds_dtype type, size_t n,
                            const void *data)
{
    if (n == 0)
        return;
    self->entry[self->n_entries++] =
        (ds_entry){.path = path, .type = type, .shape = {.n = 1, .dim = {n}}, .data = data};
}

static void snapshot_text(snapshot *self, const char *name, const char *text)
{
    self->attr[self->n_attrs++] = (ds_attr){.name = name, .kind = DS_ATTR_TEXT, .text = text};
}

static void snapshot_int(snapshot *self, const char *name, int64_t value)
{
    self->attr[self->n_attrs++] = (ds_attr){.name = name, .kind = DS_ATTR_INT, .integer = value};
}

static void snapshot_real(snapshot *self, const char *name, double value)
{
    self->attr[self->n_attrs++] = (ds_attr){.name = name, .kind = DS_ATTR_REAL, .real = value};
}

static ds_status snapshot_keep(snapshot *self, const char *name, char *text)
{
    char *kept = NULL;
    ds_status status =
        text == NULL ? DS_FAIL(DS_ERR_NOMEM, "out of memory for checkpoint attribute %s", name)
                     : ds_arena_text(self->arena, text, &kept);
    free(text);
    if (status == DS_OK)
        snapshot_text(self, name, kept);
    return status;
}

/* What the strategy counts, and the replicas that shape the numbers. */
static ds_status snapshot_sync(snapshot *self)
{
    const ds_trainer *t = self->trainer;
    ds_sync_number number;
    if (ds_plan_replicated(t->config))
        snapshot_int(self, "replicas", t->plan->replicas);
    for (size_t i = 0; ds_sync_number_at(t->sync, i, &number); i++) {
        char *name = NULL;
        DS_ASSERT(self->n_attrs < SNAPSHOT_ATTRS);
        DS_TRY(ds_arena_printf(self->arena, &name, "sync_%s", number.name));
        snapshot_real(self, name, number.value);
    }
    return DS_OK;
}

static ds_status snapshot_names(snapshot *self)
{
    for (int k = 0; k < DS_NAMES_KINDS; k++) {
        size_t n;
        const char *const *names = ds_trainer_names(self->trainer, (ds_names)k, &n);
        if (names == NULL)
            continue;
        cJSON *list = cJSON_CreateStringArray(names, (int)n);
        char *text = cJSON_PrintUnformatted(list);
        cJSON_Delete(list);
        DS_TRY(snapshot_keep(self, names_attr[k], text));
    }
    return DS_OK;
}

static void snapshot_stopping(snapshot *self)
{
    const stopping *s = &self->trainer->stopping;
    snapshot_real(self, "plateau_best", s->plateau_best);
    snapshot_int(self, "plateau_wait", s->plateau_wait);
    snapshot_real(self, "early_best", s->early_best);
    snapshot_real(self, "early_reference", s->early_reference);
    snapshot_int(self, "early_wait", s->early_wait);
    snapshot_int(self, "best_step", s->best_step);
    snapshot_text(self, "stop_reason", s->reason);
}

/* Of a schedule that watches the loss; others have none. */
static void snapshot_rate(snapshot *self)
{
    const ds_lr_state *s = &self->trainer->lr_state;
    if (self->trainer->config->schedule->observe == NULL)
        return;
    snapshot_real(self, "lr_scale", s->scale);
    snapshot_real(self, "lr_best", s->best);
    snapshot_real(self, "lr_sum", s->sum);
    snapshot_int(self, "lr_count", s->count);
    snapshot_int(self, "lr_wait", s->wait);
    snapshot_int(self, "lr_cooldown", s->cooldown);
    snapshot_int(self, "lr_seen", s->seen);
}

/* Of the spike guard and of steps that are not finite; runs without have none. */
static void snapshot_skips(snapshot *self)
{
    const ds_trainer *t = self->trainer;
    if (t->config->train.skip_nan)
        snapshot_int(self, "skips", t->skips);
    if (t->config->train.spike_z <= 0)
        return;
    snapshot_int(self, "spikes", t->spike.skipped);
    snapshot_vector(self, "/spike/loss", DS_F64, t->spike.n, t->spike.loss);
    snapshot_vector(self, "/spike/grad_norm", DS_F64, t->spike.n, t->spike.norm);
}

/* Rank 0's, which lays out the file's attributes. */
static ds_status snapshot_alarms(snapshot *self)
{
    const char *text = NULL;
    DS_TRY(alarms_text(&self->trainer->alarms, self->arena, &text));
    snapshot_text(self, "alarms", text);
    return DS_OK;
}

/* Which plug-in made the numbers. */
static ds_status snapshot_problem(snapshot *self)
{
    const ds_problem *problem = ds_model_problem(self->trainer->model);
    char *text = NULL;
    if (problem == NULL || problem->file == NULL)
        return DS_OK;
    snapshot_text(self, "plugin", problem->file);
    DS_TRY(ds_arena_printf(self->arena, &text, "%016" PRIx64, problem->identity));
    snapshot_text(self, "plugin_hash", text);
    return DS_OK;
}

static ds_status snapshot_run(snapshot *self)
{
    const ds_trainer *t = self->trainer;
    char *config = NULL, *text = NULL;
    uint64_t hash = 0;
    DS_TRY(ds_config_text(t->config, &config));
    DS_TRY(snapshot_keep(self, "config", config));
    DS_TRY(ds_trainer_hash(t, &hash));
    DS_TRY(ds_arena_printf(self->arena, &text, "%016" PRIx64, hash));
    snapshot_text(self, "params_hash", text);
    char numerics[512];
    ds_numerics_text(&t->numerics, sizeof numerics, numerics);
    DS_TRY(ds_arena_text(self->arena, numerics, &text));
    snapshot_text(self, "numerics", text);
    DS_TRY(ds_arena_printf(self->arena, &text, "%016" PRIx64, trainer_data_identity(t)));
    snapshot_text(self, "data", text);
    snapshot_text(self, "lineage", t->lineage);
    snapshot_int(self, "format", 1);
    snapshot_int(self, "seed", (int64_t)t->config->seed);
    snapshot_int(self, "step", t->step);
    snapshot_int(self, "epoch", t->step / (int64_t)t->plan->steps_per_epoch);
    snapshot_int(self, "epoch_step", t->step % (int64_t)t->plan->steps_per_epoch);
    snapshot_int(self, "history_stride", t->history.stride);
    snapshot_real(self, "input_scale", (double)t->splits->normalizer.scale);
    DS_TRY(snapshot_problem(self));
    snapshot_stopping(self);
    snapshot_rate(self);
    snapshot_skips(self);
    DS_TRY(snapshot_alarms(self));
    DS_TRY(snapshot_names(self));
    return snapshot_sync(self);
}

static ds_status snapshot_make(snapshot *self, ds_trainer *trainer)
{
    *self = (snapshot){.trainer = trainer, .group = SIZE_MAX};
    DS_TRY(ds_arena_create("a checkpoint", &self->arena));
    size_t tensors = ds_model_layout(trainer->model)->n_params * snapshot_groups(trainer);
    DS_TRY(ds_arena_take(self->arena, tensors + 8, sizeof *self->entry, "checkpoint entries",
                         &self->entry));
    DS_TRY(snapshot_tensors(self));
    const ds_normalizer *normalizer = &trainer->splits->normalizer;
    snapshot_vector(self, "/input/mean", DS_F32, normalizer->n, normalizer->mean);
    snapshot_vector(self, "/input/std", DS_F32, normalizer->n, normalizer->std);
    snapshot_vector(self, "/loss/class_weights", DS_F32, trainer->n_class_weights,
                    trainer->class_weight);
    size_t n_numbers = 0;
    const double *numbers = drive_numbers(trainer, &n_numbers);
    snapshot_vector(self, "/optimizer/numbers", DS_F64, n_numbers, numbers);
    snapshot_vector(self, "/history/steps", DS_I64, trainer->history.n, trainer->history.step);
    snapshot_vector(self, "/history/loss", DS_F64, trainer->history.n, trainer->history.loss);
    return snapshot_run(self);
}

static void snapshot_stands(void *context, int64_t step)
{
    ds_trainer *trainer = context;
    trainer->saved_step = step;
}

ds_status snapshot_write(ds_trainer *self, const char *dir, size_t room, char *path)
{
    snapshot s;
    ds_watch_note(self->world, DS_PHASE_CHECKPOINT, self->step);
    ds_status status = ds_agree(self->world, snapshot_make(&s, self));
    if (status == DS_OK) {
        ds_snapshot file = {.step = self->step,
                            .stands = snapshot_stands,
                            .context = self,
                            .n_entries = s.n_entries,
                            .entry = s.entry,
                            .n_attrs = s.n_attrs,
                            .attr = s.attr};
        status = ds_checkpoint_write(self->world, dir, &file, room, path);
    }
    if (status == DS_OK)
        self->saved_step = self->step; /* on all ranks */
    ds_arena_destroy(&s.arena);
    ds_watch_note(self->world, DS_PHASE_REPORT, self->step);
    return status;
}

ds_status ds_trainer_save(ds_trainer *self, const char *dir)
{
    DS_CHECK(!self->inference, DS_ERR_USAGE,
             "this trainer was opened for inference: it has nothing new to save");
    return snapshot_write(self, dir, 0, NULL);
}
