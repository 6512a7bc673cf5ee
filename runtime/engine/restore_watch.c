/* What the spike guard, the count of skipped steps and the alarms know, out of a checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "trainer_parts.h"

/* The newest of a series that fit. */
static ds_status restore_watch_series(const ds_checkpoint *file, const char *path, size_t room,
                                      double *out, size_t *n)
{
    size_t i = ds_checkpoint_find(file, path);
    *n = 0;
    if (i == ds_checkpoint_n(file))
        return DS_OK;
    ds_tensor_info info = ds_checkpoint_tensor(file, i);
    DS_CHECK(info.type == DS_F64 && info.shape.n == 1, DS_ERR_CHECKPOINT,
             "%s is no series of doubles in the checkpoint", path);
    size_t all = info.shape.dim[0];
    double *saved = malloc(all * sizeof *saved + 1);
    DS_CHECK(saved != NULL, DS_ERR_NOMEM, "out of memory for %s", path);
    ds_status st = ds_checkpoint_read(file, i, saved);
    *n = all < room ? all : room;
    if (st == DS_OK)
        memcpy(out, saved + all - *n, *n * sizeof *out);
    free(saved);
    return st;
}

/* Files of older versions have none. */
void restore_alarms(ds_trainer *self, const ds_checkpoint *file)
{
    const ds_attr *attr = ds_checkpoint_attr(file, "alarms");
    if (attr != NULL && attr->kind == DS_ATTR_TEXT)
        alarms_restore(&self->alarms, attr->text);
}

/* A run that went over to the guard, or to skipping (by --set), begins it afresh. */
ds_status restore_skips(ds_trainer *self, const ds_checkpoint *file)
{
    const ds_train_config *train = &self->config->train;
    spike_guard *s = &self->spike;
    size_t n = 0;
    if (train->skip_nan && ds_checkpoint_attr(file, "skips") != NULL)
        self->skips = ds_checkpoint_attr(file, "skips")->integer;
    if (train->spike_z <= 0 || ds_checkpoint_attr(file, "spikes") == NULL)
        return DS_OK;
    s->skipped = ds_checkpoint_attr(file, "spikes")->integer;
    DS_TRY(restore_watch_series(file, "/spike/loss", (size_t)train->spike_window, s->loss, &s->n));
    DS_TRY(
        restore_watch_series(file, "/spike/grad_norm", (size_t)train->spike_window, s->norm, &n));
    DS_CHECK(n == s->n, DS_ERR_CHECKPOINT, "/spike/loss has %zu steps, /spike/grad_norm %zu", s->n,
             n);
    return DS_OK;
}
