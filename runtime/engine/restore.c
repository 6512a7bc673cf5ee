/* A checkpoint as a run: the way back from snapshot.c, on any number of ranks. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer_parts.h"

/* The tensor at `path` of exactly this shape and type into `out`. */
static ds_status restore_tensor(const ds_checkpoint *file, const char *path, ds_dtype type,
                                const ds_shape *shape, void *out)
{
    size_t i = ds_checkpoint_find(file, path);
    DS_CHECK(i < ds_checkpoint_n(file), DS_ERR_CHECKPOINT,
             "the checkpoint has no %s, which the model needs", path);
    ds_tensor_info info = ds_checkpoint_tensor(file, i);
    char found[DS_SHAPE_TEXT], expected[DS_SHAPE_TEXT];
    DS_CHECK(info.type == type && ds_shape_equal(&info.shape, shape), DS_ERR_CHECKPOINT,
             "%s has shape %s in the checkpoint, the model expects %s", path,
             ds_shape_text(&info.shape, found), ds_shape_text(shape, expected));
    return ds_checkpoint_read(file, i, out);
}

ds_status restore_block(const ds_trainer *self, const ds_checkpoint *file, const char *group,
                        int slot, float *flat)
{
    const ds_layout *layout = ds_model_layout(self->model);
    for (size_t i = 0; i < layout->n_params; i++) {
        const ds_param *param = &layout->param[i];
        if ((slot == RESTORE_TRAINABLE && !param->trainable) ||
            (slot >= 0 && !ds_plan_uses_slot(self->config, param, (size_t)slot)))
            continue;
        char path[512];
        snprintf(path, sizeof path, "%s/%s",
                 slot == RESTORE_PARAMETERS ? restore_group_of(param) : group, param->name);
        float *outside = malloc(ds_shape_elements(&param->shape) * sizeof *outside + 1);
        DS_CHECK(outside != NULL, DS_ERR_NOMEM, "out of memory for %s", path);
        ds_status status = restore_tensor(file, path, DS_F32, &param->shape, outside);
        if (status == DS_OK)
            ds_param_import(param, outside, flat);
        free(outside);
        DS_TRY(status);
    }
    return DS_OK;
}

/* A run that began without averaged weights has none in its file. */
static bool restore_has_means(const ds_trainer *self, const ds_checkpoint *file)
{
    const ds_layout *layout = ds_model_layout(self->model);
    bool any = false;
    for (size_t i = 0; self->config->ema > 0 && i < layout->n_params && !any; i++) {
        char path[512];
        snprintf(path, sizeof path, "/ema/%s", layout->param[i].name);
        any = ds_checkpoint_find(file, path) < ds_checkpoint_n(file);
    }
    return any;
}

ds_status restore_params(ds_trainer *self, const ds_checkpoint *file, float *flat)
{
    DS_TRY(restore_block(self, file, "/parameters", RESTORE_PARAMETERS, flat));
    if (!self->inference || !restore_has_means(self, file))
        return DS_OK;
    return restore_block(self, file, "/ema", (int)self->config->optimizer->n_slots, flat);
}

static ds_status restore_int(const ds_checkpoint *file, const char *name, int64_t *out)
{
    const ds_attr *attr = ds_checkpoint_attr(file, name);
    DS_CHECK(attr != NULL && attr->kind == DS_ATTR_INT, DS_ERR_CHECKPOINT,
             "the checkpoint has no integer /run/%s", name);
    *out = attr->integer;
    return DS_OK;
}

static ds_status restore_real(const ds_checkpoint *file, const char *name, double *out)
{
    const ds_attr *attr = ds_checkpoint_attr(file, name);
    DS_CHECK(attr != NULL && attr->kind == DS_ATTR_REAL, DS_ERR_CHECKPOINT,
             "the checkpoint has no real /run/%s", name);
    *out = attr->real;
    return DS_OK;
}

ds_status restore_text(const ds_checkpoint *file, const char *name, const char **out)
{
    const ds_attr *attr = ds_checkpoint_attr(file, name);
    DS_CHECK(attr != NULL && attr->kind == DS_ATTR_TEXT, DS_ERR_CHECKPOINT,
             "the checkpoint has no text /run/%s", name);
    *out = attr->text;
    return DS_OK;
}

static ds_status restore_names(ds_trainer *self, const ds_checkpoint *file, const char *attr_name,
                               name_list *out)
{
    const ds_attr *attr = ds_checkpoint_attr(file, attr_name);
    if (attr == NULL)
        return DS_OK;
    cJSON *list = cJSON_Parse(attr->kind == DS_ATTR_TEXT ? attr->text : "");
    size_t n = (size_t)cJSON_GetArraySize(list);
    const char **name = NULL;
    ds_status status = ds_arena_take(self->arena, n, sizeof *name, attr_name, &name);
    for (size_t i = 0; status == DS_OK && i < n; i++) {
        const cJSON *item = cJSON_GetArrayItem(list, (int)i);
        char *copy = NULL;
        status = ds_arena_text(self->arena, cJSON_IsString(item) ? item->valuestring : "", &copy);
        name[i] = copy;
    }
    cJSON_Delete(list);
    *out = (name_list){n, name};
    return status;
}

ds_status restore_data(ds_trainer *self, const ds_checkpoint *file)
{
    double scale = 1;
    float *mean = NULL, *std = NULL;
    ds_normalizer *kept = &self->kept;
    DS_TRY(restore_real(file, "input_scale", &scale));
    kept->scale = (float)scale;
    size_t i = ds_checkpoint_find(file, "/input/mean");
    if (i < ds_checkpoint_n(file)) {
        ds_shape shape = ds_checkpoint_tensor(file, i).shape;
        kept->n = ds_shape_elements(&shape);
        DS_TRY(ds_arena_take(self->arena, kept->n, sizeof *mean, "the normalisation", &mean));
        DS_TRY(ds_arena_take(self->arena, kept->n, sizeof *std, "the normalisation", &std));
        DS_TRY(restore_tensor(file, "/input/mean", DS_F32, &shape, mean));
        DS_TRY(restore_tensor(file, "/input/std", DS_F32, &shape, std));
    }
    kept->mean = mean;
    kept->std = std;
    for (int k = 0; k < DS_NAMES_KINDS; k++)
        DS_TRY(restore_names(self, file, names_attr[k], &self->names[k]));
    return DS_OK;
}

ds_status restore_config(const ds_checkpoint *file, ds_config **out)
{
    const char *text = NULL;
    DS_TRY(restore_text(file, "config", &text));
    return ds_config_create(text, "", 0, NULL, out);
}

ds_status restore_differences(const ds_trainer *self, const ds_checkpoint *file, size_t n_set,
                              const char *const *set, restore_keys *out)
{
    ds_auto(ds_config) then = NULL;
    DS_TRY(restore_config(file, &then));
    return ds_config_compare(then, self->config, n_set, set, sizeof out->text, out->text, &out->n);
}

ds_status restore_check(ds_trainer *self, const ds_checkpoint *file, const ds_trainer_spec *spec)
{
    const char *data = NULL;
    char identity[24];
    restore_keys keys;
    DS_TRY(restore_differences(self, file, spec->n_set, spec->set, &keys));
    DS_CHECK(keys.n == 0, DS_ERR_CHECKPOINT,
             "the config differs from the checkpoint's in what shapes the numbers: %s; restore it, "
             "or say so with --set",
             keys.text);
    DS_TRY(restore_text(file, "data", &data));
    snprintf(identity, sizeof identity, "%016" PRIx64, trainer_data_identity(self));
    DS_CHECK(strcmp(data, identity) == 0, DS_ERR_CHECKPOINT,
             "the training or validation data differ from the checkpoint's (identity %s, then %s)",
             identity, data);
    return restore_surroundings(self, file, spec);
}

static ds_status restore_stopping(ds_trainer *self, const ds_checkpoint *file)
{
    stopping *s = &self->stopping;
    const char *reason = NULL;
    DS_TRY(restore_real(file, "plateau_best", &s->plateau_best));
    DS_TRY(restore_int(file, "plateau_wait", &s->plateau_wait));
    DS_TRY(restore_real(file, "early_best", &s->early_best));
    DS_TRY(restore_real(file, "early_reference", &s->early_reference));
    DS_TRY(restore_int(file, "early_wait", &s->early_wait));
    DS_TRY(restore_int(file, "best_step", &s->best_step));
    DS_TRY(restore_text(file, "stop_reason", &reason));
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    return DS_OK;
}

/* A run that went over to a schedule with a state (by --set) begins it afresh. */
static ds_status restore_rate(ds_trainer *self, const ds_checkpoint *file)
{
    ds_lr_state *s = &self->lr_state;
    int64_t seen = 0;
    if (self->config->schedule->observe == NULL || ds_checkpoint_attr(file, "lr_scale") == NULL)
        return DS_OK;
    DS_TRY(restore_real(file, "lr_scale", &s->scale));
    DS_TRY(restore_real(file, "lr_best", &s->best));
    DS_TRY(restore_real(file, "lr_sum", &s->sum));
    DS_TRY(restore_int(file, "lr_count", &s->count));
    DS_TRY(restore_int(file, "lr_wait", &s->wait));
    DS_TRY(restore_int(file, "lr_cooldown", &s->cooldown));
    DS_TRY(restore_int(file, "lr_seen", &seen));
    s->seen = seen != 0;
    return DS_OK;
}

static ds_status restore_history(ds_trainer *self, const ds_checkpoint *file)
{
    history *h = &self->history;
    DS_TRY(restore_int(file, "history_stride", &h->stride));
    size_t i = ds_checkpoint_find(file, "/history/steps");
    if (i == ds_checkpoint_n(file))
        return DS_OK;
    ds_shape shape = ds_checkpoint_tensor(file, i).shape;
    DS_CHECK(shape.n == 1 && shape.dim[0] <= DS_HISTORY && h->stride > 0, DS_ERR_CHECKPOINT,
             "/history/steps does not hold a history of at most %d steps", DS_HISTORY);
    h->n = shape.dim[0];
    DS_TRY(restore_tensor(file, "/history/steps", DS_I64, &shape, h->step));
    return restore_tensor(file, "/history/loss", DS_F64, &shape, h->loss);
}

/* What this continuation adds to the run's story. */
static ds_status restore_lineage(ds_trainer *self, const ds_checkpoint *file,
                                 const ds_trainer_spec *spec)
{
    const char *then = NULL;
    DS_TRY(restore_text(file, "lineage", &then));
    cJSON *list = cJSON_Parse(then);
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "step", (double)self->step);
    cJSON_AddNumberToObject(item, "ranks", ds_world_size(self->world));
    if (spec->n_set > 0)
        cJSON_AddItemToObject(item, "set", cJSON_CreateStringArray(spec->set, (int)spec->n_set));
    cJSON_AddItemToArray(list, item);
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    DS_CHECK(text != NULL, DS_ERR_CHECKPOINT, "the checkpoint's /run/lineage is not a JSON list");
    ds_status status = ds_arena_text(self->arena, text, &self->lineage);
    cJSON_free(text);
    return status;
}

static ds_status restore_counters(ds_trainer *self, const ds_checkpoint *file,
                                  const ds_trainer_spec *spec)
{
    DS_TRY(restore_int(file, "step", &self->step));
    self->loaded_step = self->step;
    self->saved_step = self->step; /* clang refuses a chain through an _Atomic */
    DS_TRY(restore_stopping(self, file));
    DS_TRY(restore_rate(self, file));
    DS_TRY(restore_skips(self, file));
    restore_alarms(self, file);
    DS_TRY(restore_history(self, file));
    return restore_lineage(self, file, spec);
}

/* What an optimizer that drives remembers is of one objective, and laid out by its options: under a
 * config with others (--set) it begins afresh. */
static ds_status restore_drive(ds_trainer *self, const ds_checkpoint *file)
{
    static const char *const apart[] = {"train=", "stop=", "eval=", "lr="}; /* shape neither */
    const ds_optim_ops *optimizer = self->config->optimizer;
    size_t n_numbers = 0;
    double *numbers = drive_numbers(self, &n_numbers);
    const ds_shape shape = {.n = 1, .dim = {n_numbers}};
    restore_keys keys;
    DS_TRY(restore_differences(self, file, sizeof apart / sizeof *apart, apart, &keys));
    if (keys.n > 0) {
        drive_forget(self);
        return DS_OK;
    }
    for (size_t s = 0; s < optimizer->n_slots; s++) {
        char group[128];
        float *own = drive_slot(self, s);
        snprintf(group, sizeof group, "/optimizer/%s", optimizer->slot_name[s]);
        if (own != NULL)
            DS_TRY(restore_block(self, file, group, (int)s, own));
    }
    return n_numbers == 0 ? DS_OK
                          : restore_tensor(file, "/optimizer/numbers", DS_F64, &shape, numbers);
}

ds_status restore_run(ds_trainer *self, const ds_checkpoint *file, const ds_trainer_spec *spec)
{
    const ds_optim_ops *optimizer = self->config->optimizer;
    DS_TRY(ds_agree(self->world, restore_counters(self, file, spec)));
    size_t n_slots = optimizer->n_slots + restore_has_means(self, file);
    if (self->driver != NULL) {
        DS_TRY(ds_agree(self->world, restore_drive(self, file)));
        return restore_sync(self, file);
    }
    for (size_t s = 0; s < n_slots; s++) {
        char group[128] = "/ema";
        if (s < optimizer->n_slots)
            snprintf(group, sizeof group, "/optimizer/%s", optimizer->slot_name[s]);
        memset(self->staging, 0, ds_model_layout(self->model)->n_floats * sizeof(float));
        DS_TRY(ds_agree(self->world, restore_block(self, file, group, (int)s, self->staging)));
        DS_TRY(ds_sync_load_slot(self->sync, s, self->staging));
    }
    return restore_sync(self, file);
}

static ds_status restore_matching(ds_trainer *self, const ds_checkpoint *file, float *flat)
{
    const ds_layout *layout = ds_model_layout(self->model);
    size_t matched = 0;
    for (size_t i = 0; i < layout->n_params; i++) {
        const ds_param *param = &layout->param[i];
        char path[512];
        if (param->kind == DS_PARAM_FACTOR) /* of another run's optimizer */
            continue;
        snprintf(path, sizeof path, "/parameters/%s", param->name);
        float *outside = malloc(ds_shape_elements(&param->shape) * sizeof *outside + 1);
        DS_CHECK(outside != NULL, DS_ERR_NOMEM, "out of memory for %s", path);
        if (restore_tensor(file, path, DS_F32, &param->shape, outside) == DS_OK) {
            ds_param_import(param, outside, flat);
            matched++;
        } else if (ds_world_rank(self->world) == 0) {
            ds_log(DS_LOG_WARN, "%s keeps its initial values: %s", param->name, ds_last_error());
        }
        free(outside);
    }
    DS_CHECK(matched > 0, DS_ERR_CHECKPOINT,
             "no tensor of the checkpoint fits the model by name and shape");
    return DS_OK;
}

/* Name what the checkpoint has and the model has no place for. */
static void restore_name_rest(const ds_trainer *self, const ds_checkpoint *file)
{
    static const char group[] = "/parameters/";
    const ds_layout *layout = ds_model_layout(self->model);
    for (size_t i = 0; i < ds_checkpoint_n(file); i++) {
        const char *path = ds_checkpoint_tensor(file, i).path;
        bool known = strncmp(path, group, sizeof group - 1) != 0;
        for (size_t p = 0; !known && p < layout->n_params; p++)
            known = strcmp(path + sizeof group - 1, layout->param[p].name) == 0;
        if (!known)
            ds_log(DS_LOG_WARN, "%s of the checkpoint is not used: the model has no such tensor",
                   path + sizeof group - 1);
    }
}

static ds_status restore_from_path(ds_trainer *self, const char *path)
{
    ds_auto(ds_checkpoint) file = NULL;
    DS_TRY(ds_checkpoint_open(path, &file));
    memcpy(self->staging, ds_trainer_params(self),
           ds_model_layout(self->model)->n_floats * sizeof *self->staging);
    if (ds_world_rank(self->world) == 0)
        restore_name_rest(self, file);
    return restore_matching(self, file, self->staging);
}

ds_status ds_trainer_init_from(ds_trainer *self, const char *path)
{
    DS_CHECK(!self->inference, DS_ERR_USAGE,
             "this trainer was opened for inference: give its checkpoint there");
    DS_TRY(ds_agree(self->world, restore_from_path(self, path)));
    self->initialised = true;
    return ds_sync_load(self->sync, self->staging);
}
