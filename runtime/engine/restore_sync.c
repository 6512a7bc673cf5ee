/* The strategy's own state out of a checkpoint. The file names its blocks; the strategy says which
 * it has a use for, since a run may go on with other replicas or another way to synchronise. */
#include <stdio.h>
#include <string.h>

#include "trainer_parts.h"

static const char restore_group[] = "/sync/";

/* R of the run that wrote the file; 0 where replicas shaped nothing. */
static int restore_then_replicas(const ds_checkpoint *file)
{
    const ds_attr *attr = ds_checkpoint_attr(file, "replicas");
    return attr != NULL && attr->kind == DS_ATTR_INT ? (int)attr->integer : 0;
}

ds_status restore_replicas(ds_trainer *self, const ds_checkpoint *file, const ds_trainer_spec *spec)
{
    static const char key[] = "sync.replicas";
    int then = restore_then_replicas(file), ranks = ds_world_size(self->world);
    bool said = false;
    for (size_t i = 0; i < spec->n_set; i++)
        said |= strncmp(spec->set[i], key, sizeof key - 1) == 0;
    if (said || then == 0 || !ds_plan_replicated(self->config))
        return DS_OK;
    if (self->config->sync.replicas == 0)
        self->config->sync.replicas = then;
    DS_CHECK(self->config->sync.replicas >= ranks, DS_ERR_CHECKPOINT,
             "the checkpoint is of a run with %d replica%s, which %d ranks cannot share; start at "
             "most %d rank%s, or say --set sync.replicas=%d (other bits follow)",
             then, then == 1 ? "" : "s", ranks, then, then == 1 ? "" : "s", ranks);
    return DS_OK;
}

/* The name of the block that entry i begins: /sync/NAME/<first trainable tensor>. */
static bool restore_name(const ds_trainer *self, const ds_checkpoint *file, size_t i, size_t room,
                         char *name)
{
    const ds_layout *layout = ds_model_layout(self->model);
    const char *path = ds_checkpoint_tensor(file, i).path;
    size_t p = 0, head = sizeof restore_group - 1, all = strlen(path);
    while (p < layout->n_params && !layout->param[p].trainable)
        p++;
    if (p == layout->n_params || strncmp(path, restore_group, head) != 0)
        return false;
    size_t tail = strlen(layout->param[p].name) + 1;
    if (all <= head + tail || path[all - tail] != '/' ||
        strcmp(path + all - tail + 1, layout->param[p].name) != 0)
        return false;
    snprintf(name, room, "%.*s", (int)(all - tail - head), path + head);
    return true;
}

static ds_status restore_state(ds_trainer *self, const ds_checkpoint *file, const char *name,
                               bool *used)
{
    char group[512];
    ds_sync_saved saved = {name, restore_then_replicas(file)};
    snprintf(group, sizeof group, "%s%s", restore_group, name);
    memset(self->staging, 0, ds_model_layout(self->model)->n_floats * sizeof *self->staging);
    DS_TRY(
        ds_agree(self->world, restore_block(self, file, group, RESTORE_TRAINABLE, self->staging)));
    return ds_sync_load_state(self->sync, &saved, self->staging, used);
}

static void restore_numbers(ds_trainer *self, const ds_checkpoint *file)
{
    static const char prefix[] = "sync_";
    for (size_t i = 0; i < ds_checkpoint_n_attrs(file); i++) {
        const ds_attr *attr = ds_checkpoint_attr_at(file, i);
        if (attr->kind != DS_ATTR_REAL || strncmp(attr->name, prefix, sizeof prefix - 1) != 0)
            continue;
        ds_sync_number number = {attr->name + sizeof prefix - 1, attr->real};
        ds_sync_load_number(self->sync, &number);
    }
}

/* Does the config ask for another way to synchronise than the file's? */
static ds_status restore_other_way(const ds_trainer *self, const ds_checkpoint *file, bool *other)
{
    static const char *const replicas_apart[] = {"sync.replicas="};
    restore_keys keys;
    DS_TRY(restore_differences(self, file, 1, replicas_apart, &keys));
    int replicas = ds_plan_replicated(self->config) ? self->plan->replicas : 0;
    *other = strstr(keys.text, "sync.") != NULL || restore_then_replicas(file) != replicas;
    return DS_OK;
}

/* All that the strategy keeps must be in a file of the same way to synchronise. */
static ds_status restore_whole(const ds_trainer *self, const ds_checkpoint *file)
{
    const ds_layout *layout = ds_model_layout(self->model);
    const char *name;
    for (size_t i = 0; (name = ds_sync_state_at(self->sync, i)) != NULL; i++)
        for (size_t p = 0; p < layout->n_params; p++) {
            char path[512];
            snprintf(path, sizeof path, "%s%s/%s", restore_group, name, layout->param[p].name);
            DS_CHECK(!layout->param[p].trainable ||
                         ds_checkpoint_find(file, path) < ds_checkpoint_n(file),
                     DS_ERR_CHECKPOINT, "the checkpoint has no %s, which sync.strategy %s needs",
                     path, self->config->sync.strategy);
        }
    return DS_OK;
}

static void restore_say_other(const ds_trainer *self, int then, size_t left)
{
    char rest[96] = "";
    if (left > 0)
        snprintf(rest, sizeof rest, "; %zu block%s of what it kept %s no use here", left,
                 left == 1 ? "" : "s", left == 1 ? "finds" : "find");
    ds_log(DS_LOG_WARN,
           "the way to synchronise is not the checkpoint's (%d replica%s now, %d then): other bits "
           "follow%s",
           self->plan->replicas, self->plan->replicas == 1 ? "" : "s", then, rest);
}

ds_status restore_sync(ds_trainer *self, const ds_checkpoint *file)
{
    bool other = false;
    size_t left = 0;
    restore_numbers(self, file); /* they tell which blocks there must be */
    ds_status mine = restore_other_way(self, file, &other);
    if (mine == DS_OK && !other)
        mine = restore_whole(self, file);
    DS_TRY(ds_agree(self->world, mine));
    for (size_t i = 0; i < ds_checkpoint_n(file); i++) {
        char name[400];
        bool used = false;
        if (!restore_name(self, file, i, sizeof name, name))
            continue;
        DS_TRY(restore_state(self, file, name, &used));
        left += !used;
    }
    if (other && ds_world_rank(self->world) == 0)
        restore_say_other(self, restore_then_replicas(file), left);
    return DS_OK;
}
