/* A workspace's blocks. Training keeps every layer's output; gradients of activations need two
 * blocks, since a layer's dx is the dy of the one below. Without training two blocks take turns. */
#include <string.h>

#include "rank.h"

enum { WORKSPACE_PANEL = 128, WORKSPACE_PANEL_FLOATS = 160 << 10 };

/* About 128 rows (EXACT: sums of all shards then stay in the second-level cache), more where rows
 * are short; all panels of one height but the last. A function of the tensor alone. */
size_t ds_panel_rows(const ds_param *param)
{
    size_t most = WORKSPACE_PANEL;
    while (most * 2 * param->stride <= WORKSPACE_PANEL_FLOATS)
        most *= 2;
    size_t panels = (param->rows + most - 1) / most;
    size_t even = (param->rows + panels - 1) / panels;
    return (even + 15) / 16 * 16;
}

/* count x width floats, or only their bytes while measuring (width 0: none). */
static ds_status workspace_block(ds_workspace *self, size_t count, size_t width, float **out)
{
    size_t floats = 0, bytes = 0;
    DS_CHECK(!__builtin_mul_overflow(count, width, &floats) &&
                 !__builtin_mul_overflow(floats, sizeof(float), &bytes) &&
                 !__builtin_add_overflow(self->bytes, bytes, &self->bytes),
             DS_ERR_NOMEM, "the model's activations for %zu samples are more than memory can be",
             count);
    if (self->arena == NULL || width == 0)
        return DS_OK;
    return ds_arena_take(self->arena, count, width * sizeof(float), "activations", out);
}

/* Must y of layer l have a block of its own while training? `busy`: x's block is read by a backward
 * below (or is the input). */
static bool workspace_own(const ds_layer *layer, bool busy)
{
    return !(layer->ops->view || layer->ops->flow == DS_FLOW_BRANCH ||
             (layer->ops->in_place && !busy));
}

static ds_status workspace_keep_all(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    bool busy = true;
    float *x = self->arena == NULL ? NULL : self->act[0];
    for (size_t l = 0; l < m->n_layers; l++) {
        const ds_layer *layer = &m->layer[l];
        size_t width = layer->y_stride;
        float *kept = NULL;
        if (workspace_own(layer, busy)) {
            DS_TRY(workspace_block(self, self->spec.rows, width, &x));
            busy = false;
        }
        if (layer->ops->flow == DS_FLOW_BRANCH && self->arena != NULL)
            x = self->act[layer->link];
        busy = busy || layer->ops->reads_y || layer->ops->flow == DS_FLOW_FORK ||
               layer->ops->flow == DS_FLOW_BRANCH;
        DS_TRY(workspace_block(self, self->spec.rows, layer->kept, &kept));
        if (self->arena == NULL)
            continue;
        self->act[l + 1] = x;
        self->kept[l] = kept;
    }
    return DS_OK;
}

enum { WORKSPACE_TURNS = 2 + 2 * DS_MAX_LEVELS };

/* Which blocks are taken while no backward will come: x of the layer at hand, and what an open
 * residual block still needs. */
typedef struct turns {
    size_t n;                   /* blocks in use so far */
    int pins[WORKSPACE_TURNS];  /* open blocks that need it */
    size_t main[DS_MAX_LEVELS]; /* by level: the block that came before the branch, */
    size_t fork[DS_MAX_LEVELS]; /* and the fork's; n_turns: the input */
} turns;

/* A block that neither holds x nor is needed later. */
static size_t workspace_free(turns *self, size_t x)
{
    size_t i = 0;
    while (i == x || self->pins[i] > 0)
        i++;
    self->n = i + 1 > self->n ? i + 1 : self->n;
    return i;
}

/* The block of y for layer l whose x lies in block x (WORKSPACE_TURNS: the input). */
static size_t workspace_turn(turns *self, const ds_layer *layer, size_t x)
{
    const ds_layer_ops *ops = layer->ops;
    size_t level = layer->level, y = x;
    bool needed = x == WORKSPACE_TURNS || self->pins[x] > 0;
    if (ops->flow == DS_FLOW_FORK)
        self->fork[level] = x;
    if (ops->flow == DS_FLOW_BRANCH) {
        self->main[level] = x;
        y = self->fork[level];
    } else if (workspace_own(layer, needed)) {
        y = workspace_free(self, x);
    }
    if (ops->flow == DS_FLOW_FORK || ops->flow == DS_FLOW_BRANCH)
        self->pins[x] += x < WORKSPACE_TURNS;
    if (ops->flow == DS_FLOW_JOIN) {
        self->pins[self->fork[level]] -= self->fork[level] < WORKSPACE_TURNS;
        self->pins[self->main[level]] -= self->main[level] < WORKSPACE_TURNS;
    }
    return y;
}

static ds_status workspace_take_turns(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    size_t widest = 0, kept = 0, x = WORKSPACE_TURNS;
    turns count = {0}, again = {0};
    for (size_t l = 0; l < m->n_layers; l++) {
        size_t width = m->layer[l].y_stride;
        widest = width > widest ? width : widest;
        kept = m->layer[l].kept > kept ? m->layer[l].kept : kept;
        x = workspace_turn(&count, &m->layer[l], x);
    }
    float *block[WORKSPACE_TURNS] = {NULL}, *shared = NULL;
    for (size_t i = 0; i < count.n; i++)
        DS_TRY(workspace_block(self, self->spec.rows, widest, &block[i]));
    DS_TRY(workspace_block(self, self->spec.rows, kept, &shared));
    if (self->arena == NULL)
        return DS_OK;
    x = WORKSPACE_TURNS;
    for (size_t l = 0; l < m->n_layers; l++) {
        x = workspace_turn(&again, &m->layer[l], x);
        self->act[l + 1] = x == WORKSPACE_TURNS ? self->act[0] : block[x];
        self->kept[l] = shared;
    }
    return DS_OK;
}

/* Blocks of backward: two for gradients of activations, one a depth for sums. */
static ds_status workspace_backward(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    size_t widest = ds_shape_stride(&m->input), panel = 0, shared = 0;
    for (size_t l = 0; l < m->n_layers; l++) {
        size_t width = m->layer[l].y_stride;
        widest = width > widest ? width : widest;
        bool shares = l > m->lowest || (l == m->lowest && m->layer[l].ops->before != NULL);
        shared = m->layer[l].shared > shared && shares ? m->layer[l].shared : shared;
    }
    for (int i = 0; i < 2; i++)
        DS_TRY(workspace_block(self, self->spec.rows, widest, &self->grad[i]));
    for (size_t l = 0; l < m->n_layers; l++)
        if (m->layer[l].tied > 0)
            DS_TRY(workspace_block(self, self->spec.rows, m->layer[l].y_stride,
                                   self->arena != NULL ? &self->tied_dy[l] : NULL));
    for (size_t i = 0; i < 2 * m->levels; i++)
        DS_TRY(workspace_block(self, self->spec.rows, widest, &self->hold[i]));
    DS_TRY(workspace_block(self, 1, shared, &self->shared));
    for (size_t p = 0; p < m->layout.n_params; p++) {
        size_t n = ds_panel_rows(&m->layout.param[p]) * m->layout.param[p].stride;
        panel = n > panel ? n : panel;
    }
    self->panel_floats = panel;
    /* one more than the tree's depth: the diagnosis wants one even for a single shard */
    for (self->depth = 1; self->depth < DS_MAX_DEPTH - 1 && self->spec.shards >> self->depth > 0;)
        self->depth++;
    for (int i = 0; i < self->depth; i++)
        DS_TRY(workspace_block(self, 1, panel, &self->scratch[i]));
    return DS_OK;
}

/* Whole flat blocks: a problem gives a shard's gradient at once. */
static ds_status workspace_problem(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    self->output_stride = (m->problem->outputs + 15) / 16 * 16;
    DS_TRY(workspace_block(self, self->spec.rows,
                           m->problem->gives_outputs ? self->output_stride : 0, &self->output));
    self->panel_floats = m->layout.n_floats;
    for (self->depth = 1; self->depth < DS_MAX_DEPTH - 1 && self->spec.shards >> self->depth > 0;)
        self->depth++;
    for (int i = 0; i < self->depth && self->spec.training; i++)
        DS_TRY(workspace_block(self, 1, self->panel_floats, &self->scratch[i]));
    return DS_OK;
}

static ds_status workspace_blocks(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    float *input = NULL;
    DS_TRY(workspace_block(self, self->spec.rows, ds_shape_stride(&m->input), &input));
    if (self->arena != NULL)
        self->act[0] = input;
    if (m->problem != NULL)
        return workspace_problem(self);
    size_t scratch = 0;
    for (size_t l = 0; l < m->n_layers; l++)
        scratch = m->layer[l].scratch > scratch ? m->layer[l].scratch : scratch;
    DS_TRY(workspace_block(self, 1, scratch, &self->layer_scratch));
    DS_TRY(self->spec.training ? workspace_keep_all(self) : workspace_take_turns(self));
    return self->spec.training ? workspace_backward(self) : DS_OK;
}

size_t ds_workspace_bytes(const ds_model *model, size_t rows, int shards, bool training)
{
    ds_workspace measure = {
        .spec = {.model = model, .rows = rows, .shards = shards, .training = training}};
    return workspace_blocks(&measure) == DS_OK ? measure.bytes : SIZE_MAX;
}

/* Shards of a pass hold floor or ceil of rows / shards samples; other counts (the short last batch
 * of an epoch) add separately, with the same bits. */
static ds_status workspace_probe(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    size_t shards = (size_t)self->spec.shards, rows = self->spec.rows;
    self->probed[0] = rows / shards;
    self->probed[1] = (rows + shards - 1) / shards;
    DS_TRY(ds_arena_take(self->arena, m->layout.n_params, sizeof *self->fused, "probes",
                         &self->fused));
    if (shards == 1)
        return DS_OK;
    for (size_t l = 0; l < m->n_layers; l++) {
        const ds_layer *layer = &m->layer[l];
        /* what several uses add up to is no single addition */
        size_t first = layer->tied > 0 || layer->lends;
        for (size_t p = first; p < layer->n_params && layer->ops->adds != NULL; p++) {
            ds_fused *fused = &self->fused[ds_model_param(m, layer, p)];
            size_t full = ds_panel_rows(layer->param[p]), last = layer->param[p]->rows % full;
            for (int i = 0; i < 2; i++) {
                size_t n = self->probed[i];
                if (n == 0 || !layer->param[p]->trainable)
                    continue;
                fused->yes[1][i] = layer->ops->adds(layer, self->spec.kernels, p, full, n);
                fused->yes[0][i] =
                    last > 0 && layer->ops->adds(layer, self->spec.kernels, p, last, n);
            }
        }
    }
    return DS_OK;
}

static ds_status workspace_fill(ds_workspace *self)
{
    const ds_model *m = self->spec.model;
    DS_TRY(
        ds_arena_take(self->arena, m->n_layers + 1, sizeof *self->act, "activations", &self->act));
    DS_TRY(ds_arena_take(self->arena, m->n_layers, sizeof *self->kept, "activations", &self->kept));
    DS_TRY(ds_arena_take(self->arena, m->n_layers, sizeof *self->tied_dy, "activations",
                         &self->tied_dy));
    DS_TRY(ds_arena_take(self->arena, m->n_layers + 1, sizeof *self->stride, "activations",
                         &self->stride));
    self->stride[0] = ds_shape_stride(&m->input);
    for (size_t l = 0; l < m->n_layers; l++)
        self->stride[l + 1] = m->layer[l].y_stride;
    DS_TRY(workspace_blocks(self));
    if (self->spec.training)
        DS_TRY(workspace_probe(self));
    ds_arena_seal(self->arena);
    return DS_OK;
}

ds_status ds_workspace_create(const ds_workspace_spec *spec, ds_workspace **out)
{
    DS_ASSERT(spec->model != NULL && spec->kernels != NULL && spec->shards >= 1);
    ds_arena *arena = NULL;
    ds_workspace *self = NULL;
    DS_TRY(ds_arena_create("activation memory", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *self, "a workspace", &self);
    if (status == DS_OK) {
        self->arena = arena;
        self->spec = *spec;
        status = workspace_fill(self);
    }
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    *out = self;
    return DS_OK;
}

void ds_workspace_destroy(ds_workspace **workspace)
{
    if (*workspace == NULL)
        return;
    ds_arena *arena = (*workspace)->arena; /* holds the workspace itself */
    *workspace = NULL;
    ds_arena_destroy(&arena);
}

float *ds_workspace_input(ds_workspace *self, size_t *stride)
{
    *stride = self->stride[0];
    return self->act[0];
}

const float *ds_workspace_output(const ds_workspace *self, size_t *stride)
{
    if (self->spec.model->problem != NULL) {
        *stride = self->output_stride;
        return self->output;
    }
    *stride = self->stride[self->spec.model->n_layers];
    return self->act[self->spec.model->n_layers];
}
