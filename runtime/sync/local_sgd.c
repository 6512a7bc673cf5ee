/* Local SGD (McDonald et al. 2010; Stich, ICLR 2019): replicas train on their own and meet at their
 * mean, an outer step of rate 1 down the mean of their movements. Bytes: those of the exact
 * strategy, divided by sync.local_steps. */
#include "local.h"

static ds_status local_sgd_create(ds_sync *self)
{
    const ds_local_outer mean = {.optimizer = "sgd", .lr = 1};
    return ds_local_create(self, &mean);
}

extern const ds_sync_ops ds_sync_local_sgd;
const ds_sync_ops ds_sync_local_sgd = {
    .name = "local-sgd",
    .help = "replicas train alone and are averaged every sync.local_steps steps",
    .codecs = true,
    .create = local_sgd_create,
    .destroy = ds_local_destroy,
    .step = ds_local_step,
    .tensor_norms = ds_local_tensor_norms,
    .load = ds_local_load,
    .meet = ds_local_meet,
    .skipped = ds_local_skipped,
    .gather_slot = ds_local_gather_slot,
    .load_slot = ds_local_load_slot,
    .state_at = ds_local_state_at,
    .gather_state = ds_local_gather_state,
    .load_state = ds_local_load_state,
    .number_at = ds_local_number_at,
    .load_number = ds_local_load_number,
};
