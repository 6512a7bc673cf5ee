/* What a checkpoint was computed with, against what goes on with it: numerics and a plug-in's file.
 * Others are said, and refused under compute.strict. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "trainer_parts.h"

/* Keys of the config's numerics that --set does not cover, where the numerics are none the less the
 * same, as native products are in any number of threads: no bit moves. */
static ds_status restore_numerics_keys(const ds_trainer *self, const ds_checkpoint *file,
                                       const ds_trainer_spec *spec)
{
    ds_auto(ds_config) then = NULL;
    restore_keys keys;
    DS_TRY(restore_config(file, &then));
    DS_TRY(ds_config_compare_numerics(then, self->config, spec->n_set, spec->set, sizeof keys.text,
                                      keys.text, &keys.n));
    if (keys.n == 0)
        return DS_OK;
    DS_CHECK(!self->config->compute.strict, DS_ERR_CHECKPOINT,
             "the config differs from the checkpoint's in %s, and compute.strict is true; restore "
             "it, or say so with --set",
             keys.text);
    if (ds_world_rank(self->world) == 0)
        ds_log(DS_LOG_WARN,
               "the config differs from the checkpoint's in %s; the bits stay those of an "
               "undisturbed run",
               keys.text);
    return DS_OK;
}

/* Numbers made under other numerics go on with other bits: say so, or refuse. */
static ds_status restore_numerics(const ds_trainer *self, const ds_checkpoint *file,
                                  const ds_trainer_spec *spec)
{
    const char *then = NULL;
    char now[512];
    DS_TRY(restore_text(file, "numerics", &then));
    ds_numerics_text(&self->numerics, sizeof now, now);
    if (strcmp(then, now) == 0)
        return restore_numerics_keys(self, file, spec);
    DS_CHECK(!self->config->compute.strict, DS_ERR_CHECKPOINT,
             "the checkpoint was made with %s; this run has %s, and compute.strict is true", then,
             now);
    if (ds_world_rank(self->world) == 0)
        ds_log(DS_LOG_WARN,
               "the bits will differ from an undisturbed run: the checkpoint was made with %s; "
               "this run has %s",
               then, now);
    return DS_OK;
}

/* The same of a plug-in that is another file now. */
static ds_status restore_plugin(const ds_trainer *self, const ds_checkpoint *file)
{
    const ds_problem *problem = ds_model_problem(self->model);
    const char *then = NULL, *path = "";
    char now[24];
    if (problem == NULL || problem->file == NULL || ds_checkpoint_attr(file, "plugin_hash") == NULL)
        return DS_OK;
    DS_TRY(restore_text(file, "plugin_hash", &then));
    DS_TRY(restore_text(file, "plugin", &path));
    snprintf(now, sizeof now, "%016" PRIx64, problem->identity);
    if (strcmp(then, now) == 0)
        return DS_OK;
    DS_CHECK(!self->config->compute.strict, DS_ERR_CHECKPOINT,
             "the plug-in has changed: %s has hash %s, the checkpoint was made with %s of hash %s, "
             "and compute.strict is true",
             problem->file, now, path, then);
    if (ds_world_rank(self->world) == 0)
        ds_log(
            DS_LOG_WARN,
            "the plug-in has changed: %s has hash %s, the checkpoint was made with %s of hash %s; "
            "the numbers may differ from an undisturbed run's",
            problem->file, now, path, then);
    return DS_OK;
}

ds_status restore_surroundings(const ds_trainer *self, const ds_checkpoint *file,
                               const ds_trainer_spec *spec)
{
    DS_TRY(restore_plugin(self, file));
    return restore_numerics(self, file, spec);
}
