/* The plan for people: who works, who waits, what memory and wire a step takes, before anything is
 * started. Figures are for direct messages; ranks of one host share the parameters and send
 * nothing. */
#include <inttypes.h>
#include <string.h>

#include "descent/plan.h"

typedef struct report_row {
    size_t parameters, gradients, optimizer, exchange, activations;
    double idle;
    uint64_t sent;
} report_row;

static const char *plan_report_bytes(double bytes, char text[32])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    for (; bytes >= 1024 && u < 4; u++)
        bytes /= 1024;
    snprintf(text, 32, "%.*f %s", u == 0 || bytes >= 100 ? 0 : 1, bytes, unit[u]);
    return text;
}

static size_t plan_report_most_shards(const ds_plan *plan)
{
    size_t most = 0;
    for (int r = 0; r < plan->ranks; r++) {
        size_t n = (size_t)(ds_plan_shard_begin(plan, r + 1) - ds_plan_shard_begin(plan, r));
        most = n > most ? n : most;
    }
    return most;
}

/* Slices from all foreign nodes, or replicas: of two buckets, of all where sending overlaps
 * computing. */
static size_t plan_report_inbox(const ds_plan *plan, const ds_config *config, int rank)
{
    size_t most = 0, all = 0, ranks = (size_t)plan->ranks;
    size_t foreign = plan->n_nodes - (plan->node_begin[rank + 1] - plan->node_begin[rank]);
    bool overlap = config->sync.overlap != NULL && strcmp(config->sync.overlap, "false") != 0;
    if (ds_plan_local(config)) {
        overlap = false;
        if (config->sync.local_after.n == 0)
            foreign = (size_t)(plan->replicas - ds_plan_replica_begin(plan, rank + 1) +
                               ds_plan_replica_begin(plan, rank));
    }
    for (size_t b = 0; b < plan->n_buckets; b++) {
        const size_t *at = plan->bucket_begin + b * ranks + (size_t)rank;
        size_t floats = 0;
        for (size_t i = at[0]; i < at[1]; i++)
            floats += plan->slice[i].count;
        most = floats > most ? floats : most;
        all += floats;
    }
    return (overlap ? all : 2 * most) * foreign * sizeof(float);
}

static void plan_report_local(const ds_plan *plan, const ds_config *config, const ds_layout *layout,
                              int rank, report_row *row)
{
    ds_plan_needs needs = ds_plan_local_needs(plan, config, (double)layout->n_floats, rank);
    row->parameters = (size_t)(needs.parameters * sizeof(float));
    row->gradients = (size_t)(needs.gradients * sizeof(float));
    row->optimizer = (size_t)(needs.optimizer * sizeof(float));
    row->sent = (uint64_t)ds_plan_local_wire(plan, config, rank);
}

static report_row plan_report_rank(const ds_plan *plan, const ds_config *config,
                                   const ds_layout *layout, const ds_model *model, int rank)
{
    size_t flat = layout->n_floats * sizeof(float);
    size_t shards = (size_t)(ds_plan_shard_begin(plan, rank + 1) - ds_plan_shard_begin(plan, rank));
    size_t pass = shards < (size_t)plan->pass_shards ? shards : (size_t)plan->pass_shards;
    size_t slots = ds_plan_slots(config);
    bool plain = strcmp(config->sync.strategy, "allreduce") == 0;
    report_row row = {.parameters = flat};
    row.gradients = flat * (plan->node_begin[rank + 1] - plan->node_begin[rank]);
    row.optimizer = slots * (plain ? flat : ds_plan_owned(plan, rank) * sizeof(float));
    row.exchange = plain ? 0 : plan_report_inbox(plan, config, rank);
    if (model != NULL)
        row.activations = ds_workspace_bytes(model, ds_plan_pass_rows(plan, rank), (int)pass, true);
    row.idle = 1 - (double)shards / (double)plan_report_most_shards(plan);
    if (config->sync.codec.ops != NULL) /* residuals and masters */
        row.exchange += row.gradients * (ds_plan_ahead(config) ? 2 : 1) +
                        ds_plan_owned(plan, rank) * sizeof(float);
    row.sent = ds_plan_wire_bytes(plan, config, rank);
    if (ds_plan_local(config))
        plan_report_local(plan, config, layout, rank, &row);
    return row;
}

static void plan_report_head(const ds_plan *plan, const ds_config *config, const ds_layout *layout,
                             FILE *out)
{
    char a[32], b[32];
    size_t trainable = 0;
    for (size_t p = 0; p < layout->n_params; p++)
        if (ds_param_learns(&layout->param[p]))
            trainable += ds_shape_elements(&layout->param[p].shape);
    fprintf(out, "plan %016" PRIx64 ": %d rank%s, %d shards a step, at most %d in a pass\n",
            plan->hash, plan->ranks, plan->ranks == 1 ? "" : "s", plan->shards, plan->pass_shards);
    fprintf(out, "model: %zu parameters (%zu trainable) in %zu tensors, %s\n",
            ds_layout_elements(layout), trainable, layout->n_params,
            plan_report_bytes(4.0 * (double)layout->n_floats, a));
    fprintf(out, "steps: %zu samples a step, %zu steps an epoch of %zu samples, ", plan->batch,
            plan->steps_per_epoch, plan->samples);
    if (plan->total_steps < INT64_MAX)
        fprintf(out, "%" PRId64 " steps in all\n", plan->total_steps);
    else
        fprintf(out, "until a stopping rule ends the run\n");
    fprintf(out, "sync: %s, %zu bucket%s of up to %s, %zu slices; most rows in a shard: %zu\n",
            config->sync.strategy, plan->n_buckets, plan->n_buckets == 1 ? "" : "s",
            plan_report_bytes((double)config->sync.bucket, b), plan->n_slices,
            ds_plan_shard_rows(plan));
    if (ds_plan_replicated(config))
        fprintf(out, "codec: %s; replicas: %d\n", config->sync.compress, plan->replicas);
    if (plan->ranks > 1)
        fprintf(out, "wire: %.0f bytes a sample, sent by all ranks together\n",
                ds_plan_wire_per_sample(plan, config));
    if (ds_plan_local(config))
        fprintf(out,
                "replicas: %d, each with parameters and optimizer of its own; they meet every "
                "%" PRId64 " step%s, bytes sent are the mean over steps%s\n",
                plan->replicas, config->sync.local_steps, config->sync.local_steps == 1 ? "" : "s",
                config->sync.local_after.n > 0 ? " after sync.local_after" : "");
}

static void plan_report_tensors(const ds_model *model, FILE *out)
{
    const ds_layout *layout = ds_model_layout(model);
    fprintf(out, "problem %s\n%-32s %-14s %12s\n", ds_model_problem(model)->name, "tensor", "shape",
            "parameters");
    for (size_t p = 0; p < layout->n_params; p++) {
        char shape[DS_SHAPE_TEXT];
        fprintf(out, "%-32s %-14s %12zu\n", layout->param[p].name,
                ds_shape_text(&layout->param[p].shape, shape),
                ds_shape_elements(&layout->param[p].shape));
    }
}

static void plan_report_layers(const ds_model *model, FILE *out)
{
    if (ds_model_problem(model) != NULL) {
        plan_report_tensors(model, out);
        return;
    }
    fprintf(out, "%-20s %-12s %-14s %-14s %12s\n", "layer", "kind", "input", "output",
            "parameters");
    for (size_t i = 0; i < ds_model_n_layers(model); i++) {
        const ds_layer *layer = ds_model_layer(model, i);
        char in[DS_SHAPE_TEXT], shape[DS_SHAPE_TEXT];
        size_t elements = 0;
        for (size_t p = layer->tied > 0; p < layer->n_params; p++)
            elements += ds_shape_elements(&layer->param[p]->shape);
        fprintf(out, "%-20s %-12s %-14s %-14s %12zu%s%s%s\n", layer->name, layer->ops->name,
                ds_shape_text(&layer->in, in), ds_shape_text(&layer->out, shape), elements,
                layer->n_params > 0 && !layer->trainable ? " frozen" : "",
                layer->tied > 0 ? " tied to " : "",
                layer->tied > 0 ? ds_model_layer(model, layer->tied - 1)->name : "");
    }
}

ds_status ds_plan_report(const ds_plan *self, const ds_config *config, const ds_layout *layout,
                         const ds_model *model, FILE *out)
{
    plan_report_head(self, config, layout, out);
    if (config->lr_note[0] != '\0')
        fprintf(out, "%s\n", config->lr_note);
    plan_report_layers(model, out);
    fprintf(out, "%5s  %-14s %6s %11s %11s %11s %11s %11s %11s %13s\n", "rank", "shards", "idle",
            "parameters", "gradients", "optimizer", "exchange", "activations", "memory",
            "sent a step");
    for (int r = 0; r < self->ranks; r++) {
        report_row row = plan_report_rank(self, config, layout, model, r);
        size_t all =
            row.parameters + row.gradients + row.optimizer + row.exchange + row.activations;
        char shards[32], text[7][32];
        snprintf(shards, sizeof shards, "[%d, %d)", ds_plan_shard_begin(self, r),
                 ds_plan_shard_begin(self, r + 1));
        fprintf(out, "%5d  %-14s %4.0f %% %11s %11s %11s %11s %11s %11s %13s\n", r, shards,
                100 * row.idle, plan_report_bytes((double)row.parameters, text[0]),
                plan_report_bytes((double)row.gradients, text[1]),
                plan_report_bytes((double)row.optimizer, text[2]),
                plan_report_bytes((double)row.exchange, text[3]),
                plan_report_bytes((double)row.activations, text[4]),
                plan_report_bytes((double)all, text[5]),
                plan_report_bytes((double)row.sent, text[6]));
    }
    if (self->ranks > 1)
        fprintf(out, "ranks of one host share the parameters and need no exchange memory\n");
    DS_CHECK(!ferror(out), DS_ERR_WRITE, "cannot write the plan's report");
    return DS_OK;
}
