/* What replicas that train on their own cost a rank: whole parameters and optimizer state each, and
 * one exchange of a block a replica every local_steps steps. */
#include "plan_parts.h"

bool ds_plan_local(const ds_config *config)
{
    return config->sync.local_steps > 0;
}

static double plan_local_slots(const ds_config *config)
{
    return config->optimizer != NULL ? (double)config->optimizer->n_slots : 0;
}

static bool plan_local_averaged(const ds_config *config)
{
    return config->sync.optimizer_state == DS_STATE_AVERAGE && plan_local_slots(config) > 0;
}

ds_plan_needs ds_plan_local_needs(const ds_plan *self, const ds_config *config, double flat,
                                  int rank)
{
    double slots = plan_local_slots(config), owned = (double)ds_plan_owned(self, rank);
    double k = ds_plan_replica_begin(self, rank + 1) - ds_plan_replica_begin(self, rank);
    double nodes = (double)(self->node_begin[rank + 1] - self->node_begin[rank]);
    bool post = config->sync.local_after.n > 0, outer = config->sync.outer_lr > 0;
    ds_plan_needs needs = {.parameters = flat * (1 + k), .gradients = flat * nodes};
    needs.optimizer = slots * flat * k + (outer ? owned : 0);
    if (post) { /* the exact steps' own, and the state's staging */
        needs.parameters += flat;
        needs.gradients += flat * k;
        needs.optimizer += slots * owned + flat;
    }
    if (plan_local_averaged(config))
        needs.optimizer += flat * (1 + k);
    return needs;
}

double ds_plan_local_wire(const ds_plan *self, const ds_config *config, int rank)
{
    const ds_codec none = {.ops = NULL}, *codec = &config->sync.codec;
    double k = ds_plan_replica_begin(self, rank + 1) - ds_plan_replica_begin(self, rank);
    double all = (double)ds_plan_slice_bytes(self, codec, -1);
    double mine = (double)ds_plan_slice_bytes(self, codec, rank);
    double floats = (double)ds_plan_slice_bytes(self, &none, -1), slots = plan_local_slots(config);
    double own = (double)ds_plan_slice_bytes(self, &none, rank), others = self->ranks - 1;
    double meeting = k * (all - mine) + others * mine;
    if (plan_local_averaged(config)) /* their state meets in full precision */
        meeting += slots * (k * (floats - own) + others * own);
    return meeting / (double)config->sync.local_steps;
}
