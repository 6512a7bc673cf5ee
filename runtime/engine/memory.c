/* Will the plan fit this host? Asked before anything large is allocated: a host that overcommits
 * kills ranks instead of refusing. */
#include <inttypes.h>
#include <stdio.h>

#include "trainer_parts.h"

/* Bytes the host can still give, SIZE_MAX if it does not say. */
static size_t memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    if (file == NULL)
        return SIZE_MAX;
    char line[128];
    unsigned long kib = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "MemAvailable: %lu kB", &kib) == 1;
    fclose(file);
    return found ? (size_t)kib * 1024 : SIZE_MAX;
}

/* Parameters, staging, the sums of this rank's nodes, its part of the optimizer state, activations.
 * In double: a config may ask for more than a size_t holds. */
static double memory_needed(const ds_trainer *self)
{
    const ds_train_config *train = &self->config->train;
    const ds_plan *plan = self->plan;
    int rank = ds_world_rank(self->world);
    double block = (double)ds_model_layout(self->model)->n_floats * sizeof(float);
    double nodes = (double)(plan->node_begin[rank + 1] - plan->node_begin[rank]);
    bool drives = self->config->optimizer->reach == DS_REACH_MODEL; /* whole blocks a rank */
    double slots = (double)ds_plan_slots(self->config) / (drives ? 1 : plan->ranks);
    double rows = (double)ds_workspace_bytes(self->model, ds_plan_pass_rows(plan, rank),
                                             plan->pass_shards, true) +
                  (double)ds_workspace_bytes(self->model, evaluate_rows(self), 1, false);
    rows += train->log_layers ? block : 0;
    rows += train->sharpness_every.n > 0 ? block * (6 + nodes) : 0; /* sums of its own */
    if (self->config->sync.codec.ops != NULL)
        nodes += nodes * (ds_plan_ahead(self->config) ? 2 : 1) +
                 1.0 / plan->ranks; /* residuals, and the masters of its slices */
    if (!ds_plan_local(self->config))
        return block * (2 + nodes + slots) + rows;
    double floats = (double)ds_model_layout(self->model)->n_floats;
    ds_plan_needs needs = ds_plan_local_needs(plan, self->config, floats, rank);
    return block + sizeof(float) * (needs.parameters + needs.gradients + needs.optimizer) + rows;
}

ds_status memory_check(const ds_trainer *self)
{
    double needed = memory_needed(self) * ds_world_host_ranks(self->world);
    double there = (double)memory_available(), gib = 1024.0 * 1024 * 1024;
    DS_CHECK(needed <= there, DS_ERR_USAGE,
             "too little memory on %s: the plan needs %.1f GiB for %d rank%s, %.1f GiB are free; "
             "lower model sizes, batch.size or "
             "eval.batch, or use more hosts",
             ds_world_host(self->world), needed / gib, ds_world_host_ranks(self->world),
             ds_world_host_ranks(self->world) == 1 ? "" : "s", there / gib);
    return DS_OK;
}
