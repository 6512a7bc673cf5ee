/* DiLoCo (Douillard et al. 2023): replicas train on their own for sync.local_steps steps; the mean
 * of their movements is the gradient of an outer Nesterov step (torch.optim.SGD(nesterov=True)), of
 * rate sync.outer_lr and momentum sync.outer_momentum. Its state is sharded as the exact
 * strategy's. */
#include "descent/option.h"

#include "local.h"

static ds_status diloco_create(ds_sync *self)
{
    const ds_sync_config *config = &self->spec.config->sync;
    char momentum[32];
    const ds_local_outer outer = {.optimizer = "nesterov",
                                  .momentum = ds_real_text(config->outer_momentum, momentum),
                                  .lr = config->outer_lr};
    return ds_local_create(self, &outer);
}

extern const ds_sync_ops ds_sync_diloco;
const ds_sync_ops ds_sync_diloco = {
    .name = "diloco",
    .help = "replicas train alone; every sync.local_steps steps an outer Nesterov step",
    .codecs = true,
    .create = diloco_create,
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
