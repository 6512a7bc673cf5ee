/* One replica's step: the sum of its own shards' gradients along the step's tree, its norm, and the
 * config's optimizer over whole tensors with state of its own. Cost: reads the gradient three
 * times; nothing is sent. */
#include <math.h>
#include <string.h>

#include "descent/tree.h"

#include "local.h"

/* The sum over [lo, hi) of a replica's nodes, made in place of the leftmost; NULL: all are empty.
 */
static float *local_replica_sum(const ds_sync *self, const ds_replica *replica, int lo, int hi,
                                size_t samples, size_t *next)
{
    const ds_plan *plan = self->spec.plan;
    if (hi <= replica->lo || replica->hi <= lo)
        return NULL;
    const ds_node *node = &plan->node[*next];
    if (node->lo == lo && node->hi == hi) {
        long b = (long)samples, V = plan->shards;
        bool empty = ds_shard_begin(lo, b, V) == ds_shard_begin(hi, b, V);
        size_t mine = (*next)++ - plan->node_begin[self->rank];
        return empty ? NULL : self->partial[mine];
    }
    int split = ds_tree_split(lo, hi);
    float *left = local_replica_sum(self, replica, lo, split, samples, next);
    float *right = local_replica_sum(self, replica, split, hi, samples, next);
    if (left != NULL && right != NULL)
        self->spec.kernels->add(self->spec.layout->n_floats, left, right);
    return left != NULL ? left : right;
}

/* Squares in blocks of DS_BLOCK, blocks in order, tensors in order: as the exact sum's norm. */
static double local_replica_norm(const ds_sync *self, const ds_replica *replica)
{
    const ds_layout *layout = self->spec.layout;
    double total = 0;
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        size_t n = ds_param_learns(param) ? ds_param_floats(param) : 0;
        double tensor = 0;
        for (size_t at = 0; at < n; at += DS_BLOCK)
            tensor += self->spec.kernels->squares(n - at < DS_BLOCK ? n - at : DS_BLOCK,
                                                  replica->sum + param->offset + at);
        if (replica->tensor != NULL)
            replica->tensor[p] = sqrt(tensor) / replica->divisor;
        total += tensor;
    }
    return sqrt(total);
}

void ds_replica_reduce(ds_sync *self, ds_replica *replica, const ds_step *step)
{
    size_t next = replica->node_begin;
    int V = self->spec.plan->shards;
    long b = (long)step->samples;
    replica->samples =
        (size_t)(ds_shard_begin(replica->hi, b, V) - ds_shard_begin(replica->lo, b, V));
    replica->divisor = ds_sync_divisor(self, step, replica->lo, replica->hi);
    replica->sum = local_replica_sum(self, replica, 0, V, step->samples, &next);
    replica->norm = 0;
    if (replica->tensor != NULL)
        memset(replica->tensor, 0, self->spec.layout->n_params * sizeof *replica->tensor);
    if (replica->sum != NULL)
        replica->norm = local_replica_norm(self, replica) / replica->divisor;
}

ds_status ds_replica_rules(ds_sync *self, ds_local *local)
{
    const ds_layout *layout = self->spec.layout;
    const ds_optim_ops *optimizer = self->spec.config->optimizer;
    size_t most = 0;
    DS_TRY(ds_arena_take(self->arena, layout->n_params, sizeof *local->rule, "sync", &local->rule));
    for (size_t p = 0; p < layout->n_params; p++) {
        ds_rule *rule = &local->rule[p];
        *rule = ds_plan_rule(self->spec.config, &layout->param[p]);
        bool asks = optimizer->scratch != NULL && ds_param_learns(&layout->param[p]);
        size_t n = asks ? optimizer->scratch(rule->options, &rule->matrix) : 0;
        most = n > most ? n : most;
    }
    return ds_arena_take(self->arena, most, sizeof(float), "optimizer scratch", &local->scratch);
}

/* One tensor of the replica; `scale` makes the sum the mean, clipped. */
static void local_replica_tensor(const ds_sync *self, const ds_replica *replica, size_t p,
                                 ds_update update)
{
    const ds_local *local = self->state;
    const ds_optim_ops *optimizer = self->spec.config->optimizer;
    const ds_param *param = &self->spec.layout->param[p];
    const ds_rule *rule = &local->rule[p];
    update.n = ds_param_floats(param);
    update.w = replica->params + param->offset;
    update.g = replica->sum + param->offset;
    update.lr *= rule->lr_scale;
    update.matrix = rule->matrix;
    update.kernels = self->spec.kernels;
    update.scratch = local->scratch;
    for (size_t s = 0; s < optimizer->n_slots; s++)
        if (optimizer->uses == NULL || optimizer->uses(rule->options, s, &rule->matrix))
            update.slot[s] = replica->slot[s] + param->offset;
    optimizer->step(rule->options, &update);
}

void ds_replica_update(ds_sync *self, ds_replica *replica, const ds_step *step, int64_t t)
{
    const ds_config *config = self->spec.config;
    double factor = 1;
    if (replica->sum == NULL) /* no samples of a short batch: no update */
        return;
    if (config->clip_norm > 0 && config->clip_norm / (replica->norm + 1e-6) < 1)
        factor = config->clip_norm / (replica->norm + 1e-6);
    const ds_update update = {.scale = (float)(factor / replica->divisor), .lr = step->lr, .t = t};
    for (size_t p = 0; p < self->spec.layout->n_params; p++) {
        const ds_param *param = &self->spec.layout->param[p];
        if (ds_param_learns(param))
            local_replica_tensor(self, replica, p, update);
        else if (ds_param_moves(param))
            ds_param_move(param, ds_param_floats(param), 1 / (float)replica->samples,
                          replica->sum + param->offset, replica->params + param->offset);
    }
}
