/* One rank's share of a step: its nodes of the shard tree, in passes of at most plan->pass_shards
 * shards. Nodes that fit share a pass; a larger node is the sum of its halves, the right one in
 * scratch, so memory stays within log2(V) + 1 gradient blocks however much is accumulated. */
#include <string.h>

#include "trainer_parts.h"

enum { MAX_PARTIALS = 64 };

static size_t gradient_begin(const ds_trainer *self, const batch_source *batch, int shard)
{
    return (size_t)ds_shard_begin(shard, (long)batch->n, self->plan->shards);
}

static bool gradient_empty(const ds_trainer *self, const batch_source *batch, int lo, int hi)
{
    return gradient_begin(self, batch, lo) == gradient_begin(self, batch, hi);
}

/* Rows [from, from + n) of a batch from memory. */
static void gradient_copy(ds_trainer *self, const batch_source *batch, size_t from, size_t n)
{
    size_t stride, cols = ds_shape_elements(ds_model_input(self->model));
    float *x = ds_workspace_input(self->training, &stride);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * stride, batch->x + (from + i) * cols, cols * sizeof *x);
    if (batch->label != NULL)
        memcpy(self->label, batch->label + from * self->positions,
               n * self->positions * sizeof *self->label);
    size_t width = ds_shape_elements(ds_model_output(self->model));
    if (batch->value != NULL)
        memcpy(self->value, batch->value + from * width, n * width * sizeof *self->value);
}

static void gradient_read(ds_trainer *self, const batch_source *batch, size_t from, size_t n)
{
    size_t stride;
    float *x = ds_workspace_input(self->training, &stride);
    for (size_t i = 0; i < n; i++)
        self->index[i] = ds_order_at(&batch->order, batch->position + from + i);
    const ds_dataset *data = self->splits->train;
    ds_dataset_fetch(data, &self->splits->normalizer, n, self->index, x, stride,
                     data->kind == DS_TARGET_CLASS ? self->label : NULL,
                     data->kind == DS_TARGET_REAL ? self->value : NULL);
    const ds_augment_job augment = {.how = &self->config->data.augment,
                                    .normalizer = &self->splits->normalizer,
                                    .input = &data->input,
                                    .seed = self->config->seed,
                                    .epoch = batch->epoch};
    if (ds_augment_any(augment.how))
        ds_augment_rows(&augment, n, self->index, x, stride);
}

void gradient_fetch(ds_trainer *self, const batch_source *batch, int lo, int hi)
{
    size_t from = gradient_begin(self, batch, lo), n = gradient_begin(self, batch, hi) - from;
    if (batch->x != NULL)
        gradient_copy(self, batch, from, n);
    else
        gradient_read(self, batch, from, n);
    bool classes = self->config->loss->target == DS_TARGET_CLASS;
    size_t width = ds_shape_elements(ds_model_output(self->model));
    for (int k = lo; k < hi; k++) {
        size_t begin = gradient_begin(self, batch, k), row = begin - from;
        self->shard[k] = (ds_shard){.first_row = row,
                                    .rows = gradient_begin(self, batch, k + 1) - begin,
                                    .position = begin};
        if (classes)
            self->shard[k].targets.label = self->label + row * self->positions;
        else
            self->shard[k].targets =
                (ds_targets){.value = self->value + row * width, .width = width};
    }
}

/* The step's last pass: what it completes may be sent at once. Where it is the right end of a node
 * larger than a pass, its sums still go up the right-hand edge of the tree: tensor by tensor, while
 * the next is computed. */
typedef struct gradient_tail {
    ds_trainer *trainer;
    size_t samples; /* of the step's batch */
    size_t n;       /* additions due, the last one first */
    float *to[DS_MAX_DEPTH];
    const float *from[DS_MAX_DEPTH];
} gradient_tail;

static void gradient_ready(void *context, size_t param)
{
    const gradient_tail *tail = context;
    const ds_trainer *self = tail->trainer;
    const ds_param *p = &ds_model_layout(self->model)->param[param];
    for (size_t i = tail->n; i-- > 0;)
        self->kernels->add(ds_param_floats(p), tail->to[i] + p->offset, tail->from[i] + p->offset);
    ds_sync_ready(self->sync, tail->samples, param);
}

static void gradient_poll(void *context)
{
    const gradient_tail *tail = context;
    ds_sync_poll(tail->trainer->sync);
}

/* tail NULL: not the last pass. */
static ds_status gradient_pass(ds_trainer *self, const batch_source *batch, const float *params,
                               size_t n, const ds_partial *partial, gradient_tail *tail)
{
    int lo = partial[0].lo, hi = partial[n - 1].hi;
    const ds_optim_ops *ops = self->config->optimizer;
    ds_watch_beat(self->world);
    gradient_fetch(self, batch, lo, hi);
    ds_pass pass = {.step = self->step,
                    .lo = lo,
                    .hi = hi,
                    .shard = self->shard + lo,
                    .n_partials = n,
                    .partial = partial,
                    .ready = tail != NULL ? gradient_ready : NULL,
                    .no_factors = ops->keep != NULL &&
                                  ops->keep(self->config->optimizer_options, self->step) >= 1,
                    .poll = tail != NULL ? gradient_poll : NULL,
                    .context = tail};
    DS_TRY(ds_model_gradient(self->training, params, &pass));
    if (self->layers != NULL)
        layer_watch_pass(self, gradient_begin(self, batch, hi) - gradient_begin(self, batch, lo));
    for (int k = lo; k < hi; k++)
        self->loss[k] = self->shard[k].loss;
    self->bad[lo] = !pass.finite;
    return DS_OK;
}

static ds_status gradient_node(ds_trainer *self, const batch_source *batch, const float *params,
                               ds_partial node, int depth, gradient_tail *tail)
{
    if (node.hi - node.lo <= self->plan->pass_shards)
        return gradient_pass(self, batch, params, 1, &node, tail);
    int mid = ds_tree_split(node.lo, node.hi);
    ds_partial left = {node.lo, mid, node.grad}, right = {mid, node.hi, node.grad};
    if (gradient_empty(self, batch, mid, node.hi))
        return gradient_node(self, batch, params, left, depth, tail);
    if (gradient_empty(self, batch, node.lo, mid))
        return gradient_node(self, batch, params, right, depth, tail);
    right.grad = self->scratch[depth];
    DS_TRY(gradient_node(self, batch, params, left, depth, NULL));
    if (tail != NULL) {
        tail->to[tail->n] = node.grad;
        tail->from[tail->n++] = right.grad;
        return gradient_node(self, batch, params, right, depth + 1, tail);
    }
    DS_TRY(gradient_node(self, batch, params, right, depth + 1, NULL));
    self->kernels->add(ds_model_layout(self->model)->n_floats, node.grad, right.grad);
    return DS_OK;
}

/* May a node join a pass of the n before it? Its shards must fit, its parameters be theirs. */
static bool gradient_joins(const ds_trainer *self, const ds_node *node, size_t n,
                           const ds_partial *partial, bool same)
{
    return n == 0 ||
           (same && n < MAX_PARTIALS && node->hi - partial[0].lo <= self->plan->pass_shards);
}

ds_status gradient_of_batch(ds_trainer *self, const batch_source *batch)
{
    const ds_plan *plan = self->plan;
    int rank = ds_world_rank(self->world);
    memset(self->loss, 0, (size_t)plan->shards * sizeof *self->loss);
    memset(self->bad, 0, (size_t)plan->shards * sizeof *self->bad);
    ds_partial partial[MAX_PARTIALS];
    gradient_tail tail = {.trainer = self, .samples = batch->n};
    const float *params = NULL;
    size_t n = 0, first = plan->node_begin[rank], end = plan->node_begin[rank + 1];
    for (size_t j = first; j < end; j++) {
        const ds_node *node = &plan->node[j];
        ds_partial next = {node->lo, node->hi, ds_sync_partial(self->sync, j - first)};
        const float *own = ds_sync_node_params(self->sync, j - first);
        if (!gradient_joins(self, node, n, partial, own == params)) {
            DS_TRY(gradient_pass(self, batch, params, n, partial, NULL));
            n = 0;
        }
        params = own;
        if (node->hi - node->lo > plan->pass_shards)
            DS_TRY(gradient_node(self, batch, params, next, 0, j + 1 == end ? &tail : NULL));
        else
            partial[n++] = next;
    }
    return n > 0 ? gradient_pass(self, batch, params, n, partial, &tail) : DS_OK;
}
