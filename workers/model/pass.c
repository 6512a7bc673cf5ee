/* Forward and backward of several shards, layer by layer: a layer's weights and the sums of its
 * gradients stay in cache while every shard uses them (shard by shard the whole model would stream
 * through memory for each). The sum of a panel follows the fixed tree; its additions are the same
 * wherever the range of shards is cut into passes and partials. */
#include <string.h>

#include "rank.h"

/* One panel: inside rows [from, to) of parameter p of layer l. */
typedef struct panel {
    const ds_workspace *w;
    ds_pass *pass;
    size_t l, p, from, to;
    int side;
    const ds_fused *fused;
} panel;

/* A join's other summand, and what waits at this level: the join's dy, its rows as that summand's;
 * the branch's dy, as the fork's. */
static void pass_flow(const ds_workspace *self, const ds_layer *layer, size_t at, ds_rows *rows)
{
    bool join = layer->ops->flow == DS_FLOW_JOIN;
    rows->other_stride = join ? self->stride[layer->link] : rows->x_stride;
    rows->other = join ? self->act[layer->link] + at * rows->other_stride : NULL;
    if (!self->spec.training)
        return;
    rows->hold[0] = self->hold[2 * layer->level] + at * rows->other_stride;
    rows->hold[1] = self->hold[2 * layer->level + 1] + at * rows->y_stride;
}

ds_rows ds_workspace_rows(const ds_workspace *self, size_t l, int side, int64_t step,
                          const ds_shard *shard)
{
    const ds_layer *layer = &self->spec.model->layer[l];
    size_t at = shard->first_row, x = self->stride[l], y = self->stride[l + 1];
    ds_rows rows = {.n = shard->rows,
                    .x = self->act[l] + at * x,
                    .y = self->act[l + 1] + at * y,
                    .kept = layer->kept > 0 ? self->kept[l] + at * layer->kept : NULL,
                    .x_stride = x,
                    .y_stride = y,
                    .kept_stride = layer->kept,
                    .scratch = self->layer_scratch,
                    .training = self->spec.training,
                    .seed = self->spec.seed,
                    .step = step,
                    .position = shard->position};
    if (layer->ops->flow != DS_FLOW_ON)
        pass_flow(self, layer, at, &rows);
    if (self->spec.training) {
        rows.dy = self->grad[side] + at * y;
        rows.dx = self->grad[ds_layer_dx_in_place(layer) ? side : 1 - side] + at * x;
    }
    return rows;
}

ds_status ds_workspace_layer(const ds_workspace *self, size_t l, const float *params,
                             const ds_rows *rows)
{
    const ds_layer *layer = &self->spec.model->layer[l];
    if (layer->ops->view || layer->ops->forward == NULL || rows->n == 0)
        return DS_OK;
    return layer->ops->forward(layer, self->spec.kernels, params, rows);
}

/* ---- forward -------------------------------------------------------------------------------- */

/* Shards from s on that go through layer l in one call, with the same bits: where rows do not hang
 * on each other, all that lie side by side (weights are then read and packed once for them). Their
 * rows, and where the next call begins. */
static ds_shard pass_group(const ds_workspace *self, const ds_pass *pass, size_t l, int *s)
{
    ds_shard group = pass->shard[(*s)++];
    bool alone = self->spec.model->layer[l].ops->alone && self->spec.kernels->rows_alone;
    for (; alone && *s < pass->hi - pass->lo; (*s)++) {
        const ds_shard *next = &pass->shard[*s];
        if (next->first_row != group.first_row + group.rows)
            break;
        group.rows += next->rows;
    }
    return group;
}

static ds_status pass_forward(const ds_workspace *self, const float *params, const ds_pass *pass)
{
    for (size_t l = 0; l < self->spec.model->n_layers; l++)
        for (int s = 0; s < pass->hi - pass->lo;) {
            ds_shard group = pass_group(self, pass, l, &s);
            ds_rows rows = ds_workspace_rows(self, l, 0, pass->step, &group);
            DS_TRY(ds_workspace_layer(self, l, params, &rows));
        }
    return DS_OK;
}

static bool pass_loss(const ds_workspace *self, ds_pass *pass)
{
    const ds_model *m = self->spec.model;
    bool finite = true;
    for (int s = 0; s < pass->hi - pass->lo; s++) {
        ds_shard *shard = &pass->shard[s];
        ds_rows rows = ds_workspace_rows(self, m->n_layers - 1, 0, pass->step, shard);
        shard->loss = 0;
        if (shard->rows > 0)
            ds_workspace_loss(self, shard->rows, rows.y, rows.y_stride, &shard->targets,
                              &shard->loss, rows.dy);
        finite = finite && shard->loss - shard->loss == 0;
    }
    return finite;
}

/* ---- backward ------------------------------------------------------------------------------- */

/* Add what the layers tied to this one give, lowest first; `room` takes one at a time. */
static ds_status pass_tied(const panel *self, const ds_shard *shard, float *dst, float *room)
{
    const ds_model *m = self->w->spec.model;
    const ds_kernels *k = self->w->spec.kernels;
    size_t n = (self->to - self->from) * m->layer[self->l].param[self->p]->stride;
    for (size_t u = self->l + 1; u < m->n_layers; u++) {
        const ds_layer *user = &m->layer[u];
        if (user->tied != self->l + 1)
            continue;
        ds_rows rows = ds_workspace_rows(self->w, u, self->side, self->pass->step, shard);
        rows.dy = self->w->tied_dy[u] + shard->first_row * rows.y_stride;
        DS_TRY(user->ops->gradient(user, k, 0, self->from, self->to, &rows, room, false));
        k->add(n, dst, room);
    }
    return DS_OK;
}

/* The panel's gradient from one shard. */
static ds_status pass_leaf(const panel *self, const ds_shard *shard, float *dst, int depth,
                           bool add)
{
    const ds_layer *layer = &self->w->spec.model->layer[self->l];
    ds_rows rows = ds_workspace_rows(self->w, self->l, self->side, self->pass->step, shard);
    DS_TRY(layer->ops->gradient(layer, self->w->spec.kernels, self->p, self->from, self->to, &rows,
                                dst, add));
    if (self->p > 0 || !layer->lends)
        return DS_OK;
    return pass_tied(self, shard, dst, self->w->scratch[depth]);
}

static bool pass_fuses(const panel *self, size_t n)
{
    const ds_param *param = self->w->spec.model->layer[self->l].param[self->p];
    bool full = self->to - self->from == ds_panel_rows(param);
    for (int i = 0; i < 2; i++)
        if (n == self->w->probed[i])
            return self->fused->yes[full][i];
    return false;
}

/* Sum over shards [lo, hi) of the panel into dst, right-hand subtrees by way of scratch[depth...].
 * Empty shards are no leaves: a node with one empty side is the other side. *any: dst was written.
 */
static ds_status pass_sum(const panel *self, int lo, int hi, float *dst, int depth, bool *any)
{
    if (hi - lo == 1) {
        const ds_shard *shard = &self->pass->shard[lo - self->pass->lo];
        *any = shard->rows > 0;
        return *any ? pass_leaf(self, shard, dst, depth, false) : DS_OK;
    }
    int mid = ds_tree_split(lo, hi);
    bool right_any = false;
    DS_TRY(pass_sum(self, lo, mid, dst, depth, any));
    if (!*any)
        return pass_sum(self, mid, hi, dst, depth, any);
    const ds_shard *leaf = hi - mid == 1 ? &self->pass->shard[mid - self->pass->lo] : NULL;
    if (leaf != NULL && (leaf->rows == 0 || pass_fuses(self, leaf->rows)))
        return leaf->rows == 0 ? DS_OK : pass_leaf(self, leaf, dst, depth, true);
    float *right = self->w->scratch[depth];
    DS_TRY(pass_sum(self, mid, hi, right, depth + 1, &right_any));
    if (right_any) {
        const ds_param *param = self->w->spec.model->layer[self->l].param[self->p];
        self->w->spec.kernels->add((self->to - self->from) * param->stride, dst, right);
    }
    return DS_OK;
}

/* Leaves write columns only, sums run over whole rows: padding must be zero before either. */
static void pass_clear_padding(const ds_param *param, size_t rows, float *x)
{
    for (size_t r = 0; r < rows && param->stride > param->cols; r++)
        memset(x + r * param->stride + param->cols, 0, (param->stride - param->cols) * sizeof *x);
}

static ds_status pass_panel(panel *self, const ds_param *param)
{
    const ds_kernels *k = self->w->spec.kernels;
    size_t n = (self->to - self->from) * param->stride;
    for (size_t i = 0; i < self->pass->n_partials; i++) {
        const ds_partial *partial = &self->pass->partial[i];
        float *dst = partial->grad + param->offset + self->from * param->stride;
        bool any = false;
        pass_clear_padding(param, self->to - self->from, dst);
        if (!self->pass->no_factors || param->kind != DS_PARAM_FACTOR)
            DS_TRY(pass_sum(self, partial->lo, partial->hi, dst, 0, &any));
        if (!any)
            memset(dst, 0, n * sizeof *dst);
        else if (self->pass->finite) /* while it is in cache */
            self->pass->finite = k->finite(n, dst);
    }
    return DS_OK;
}

static void pass_poll(const ds_pass *pass)
{
    if (pass->poll != NULL)
        pass->poll(pass->context);
}

/* dy of a tied layer waits for its lender, where all uses are summed. */
static void pass_keep_dy(const ds_workspace *self, const ds_pass *pass, size_t l, int side)
{
    const ds_layer *layer = &self->spec.model->layer[l];
    for (int s = 0; s < pass->hi - pass->lo; s++) {
        ds_rows rows = ds_workspace_rows(self, l, side, pass->step, &pass->shard[s]);
        memcpy(self->tied_dy[l] + pass->shard[s].first_row * layer->y_stride, rows.dy,
               rows.n * layer->y_stride * sizeof *rows.dy);
    }
}

static ds_status pass_gradients(const ds_workspace *self, ds_pass *pass, size_t l, int side)
{
    const ds_model *m = self->spec.model;
    const ds_layer *layer = &m->layer[l];
    for (size_t p = layer->n_params; p-- > 0;) {
        const ds_param *param = layer->param[p];
        size_t index = ds_model_param(m, layer, p), step = ds_panel_rows(param);
        if (!param->trainable)
            continue;
        if (p == 0 && layer->tied > 0) {
            pass_keep_dy(self, pass, l, side);
            continue;
        }
        panel at = {
            .w = self, .pass = pass, .l = l, .p = p, .side = side, .fused = &self->fused[index]};
        for (int d = 0; d < self->depth; d++)
            pass_clear_padding(param, step, self->scratch[d]);
        for (at.from = 0; at.from < param->rows; at.from = at.to) {
            at.to = at.from + step < param->rows ? at.from + step : param->rows;
            DS_TRY(pass_panel(&at, param));
            pass_poll(pass);
        }
        if (pass->ready != NULL)
            pass->ready(pass->context, index);
    }
    return DS_OK;
}

/* What the shards share, once. */
static void pass_share(const ds_workspace *self, const ds_layer *layer, const float *params,
                       ds_rows *rows, bool *filled)
{
    const ds_kernels *k = self->spec.kernels;
    rows->shared = self->shared;
    if (*filled || layer->ops->shares == NULL || !layer->ops->shares(layer, k, rows->n))
        return;
    layer->ops->share(layer, k, params, self->shared);
    *filled = true;
}

ds_status ds_workspace_before(const ds_workspace *self, size_t l, const float *params,
                              ds_rows *rows, bool *filled)
{
    const ds_layer *layer = &self->spec.model->layer[l];
    if (layer->ops->before == NULL || rows->n == 0)
        return DS_OK;
    pass_share(self, layer, params, rows, filled);
    return layer->ops->before(layer, self->spec.kernels, params, rows);
}

ds_status ds_workspace_backward(const ds_workspace *self, size_t l, const float *params,
                                ds_rows *rows, bool *filled)
{
    const ds_layer *layer = &self->spec.model->layer[l];
    if (layer->ops->backward == NULL || rows->n == 0)
        return DS_OK;
    pass_share(self, layer, params, rows, filled);
    return layer->ops->backward(layer, self->spec.kernels, params, rows);
}

/* `part` is ds_workspace_before or ds_workspace_backward. */
typedef ds_status pass_part(const ds_workspace *self, size_t l, const float *params, ds_rows *rows,
                            bool *filled);

static ds_status pass_shards(const ds_workspace *self, const float *params, const ds_pass *pass,
                             size_t l, int side, pass_part *part)
{
    bool filled = false;
    for (int s = 0; s < pass->hi - pass->lo;) {
        ds_shard group = pass_group(self, pass, l, &s);
        ds_rows rows = ds_workspace_rows(self, l, side, pass->step, &group);
        DS_TRY(part(self, l, params, &rows, &filled));
        pass_poll(pass);
    }
    return DS_OK;
}

static ds_status pass_check(const ds_workspace *self, const ds_pass *pass)
{
    DS_ASSERT(self->spec.training && self->spec.loss != NULL);
    DS_ASSERT(pass->hi > pass->lo && pass->hi - pass->lo <= self->spec.shards);
    int next = pass->lo;
    for (size_t i = 0; i < pass->n_partials; i++) {
        DS_ASSERT(pass->partial[i].lo == next && pass->partial[i].hi > next);
        next = pass->partial[i].hi;
    }
    DS_ASSERT(next == pass->hi);
    for (int s = 0; s < pass->hi - pass->lo; s++)
        DS_ASSERT(pass->shard[s].first_row + pass->shard[s].rows <= self->spec.rows);
    return DS_OK;
}

ds_status ds_model_gradient(ds_workspace *self, const float *params, ds_pass *pass)
{
    const ds_model *m = self->spec.model;
    DS_TRY(pass_check(self, pass));
    if (m->problem != NULL)
        return ds_objective_gradient(self, params, pass);
    DS_TRY(pass_forward(self, params, pass));
    pass->finite = pass_loss(self, pass);
    int side = 0;
    for (size_t l = m->n_layers; l-- > m->lowest;) {
        if (m->layer[l].ops->before != NULL)
            DS_TRY(pass_shards(self, params, pass, l, side, ds_workspace_before));
        DS_TRY(pass_gradients(self, pass, l, side));
        if (l == m->lowest)
            break; /* nothing below learns */
        if (m->layer[l].ops->backward != NULL)
            DS_TRY(pass_shards(self, params, pass, l, side, ds_workspace_backward));
        side = ds_layer_dx_in_place(&m->layer[l]) ? side : 1 - side;
    }
    return DS_OK;
}

ds_status ds_model_forward(ds_workspace *self, const float *params, size_t n,
                           const ds_targets *targets, double *sum)
{
    DS_ASSERT(n <= self->spec.rows);
    const ds_model *m = self->spec.model;
    if (m->problem != NULL)
        return ds_objective_forward(self, params, n, targets, sum);
    ds_shard block = {.first_row = 0, .rows = n};
    for (size_t l = 0; l < m->n_layers; l++) {
        ds_rows rows = ds_workspace_rows(self, l, 0, 0, &block);
        rows.training = false;
        DS_TRY(ds_workspace_layer(self, l, params, &rows));
    }
    if (targets == NULL || sum == NULL)
        return DS_OK;
    DS_ASSERT(self->spec.loss != NULL);
    size_t stride = 0;
    const float *z = ds_workspace_output(self, &stride);
    *sum = 0;
    if (n > 0)
        ds_workspace_loss(self, n, z, stride, targets, sum, NULL);
    return DS_OK;
}
