/* Layer by layer: gradient norm, weight norm, how far the update moved the weights, units that no
 * sample of the batch woke. Norms of gradients are sums the exchange has made anyway (owner.c's
 * squares by tensor); the rest is read from the parameters, which every rank holds, so rank 0 alone
 * does it; whether a unit was active is the maximum over all ranks. All sums are in double along
 * fixed blocks: the same numbers on any number of ranks. Cost of logged steps: a sum over the
 * tensors' norms on rank 0; with train.log_layers one more flat block and two readings of the
 * parameters there, and one of the activations on all. */
#include <math.h>
#include <string.h>

#include "flat.h"
#include "trainer_parts.h"

/* A relu and the layer whose weights feed it. */
typedef struct layer_relu {
    size_t layer, fact, units;
    double *alive; /* (units) */
} layer_relu;

struct layer_watch {
    bool all; /* train.log_layers; else gradient norms alone, for the alarms */
    bool on;  /* this step is watched */
    size_t n;
    ds_layer_facts *fact; /* (n) */
    size_t *begin;        /* (n + 1) parameters [begin, end) of a layer */
    size_t n_relus, n_units;
    layer_relu *relu; /* (n_relus) */
    double *alive;    /* (n_units) of all relus, 1 or 0 */
    double *norm;     /* (n_params) of gradients */
    float *before;    /* flat; rank 0's */
};

/* Parameters of one layer stand together: "dense1/weight", "dense1/bias". */
static bool layer_watch_same(const char *a, const char *b)
{
    const char *slash = strrchr(a, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - a) + 1;
    return n > 0 && strncmp(a, b, n) == 0 && strchr(b + n, '/') == NULL;
}

static ds_status layer_watch_layers(ds_trainer *self, layer_watch *w)
{
    const ds_layout *layout = ds_model_layout(self->model);
    ds_arena *arena = self->arena;
    DS_TRY(ds_arena_take(arena, layout->n_params, sizeof *w->fact, "layers", &w->fact));
    DS_TRY(ds_arena_take(arena, layout->n_params + 1, sizeof *w->begin, "layers", &w->begin));
    for (size_t p = 0; p < layout->n_params; p++) {
        const char *name = layout->param[p].name;
        char *copy = NULL, *slash = NULL;
        if (p > 0 && layer_watch_same(layout->param[p - 1].name, name))
            continue;
        DS_TRY(ds_arena_text(arena, name, &copy));
        slash = strrchr(copy, '/');
        if (slash != NULL)
            *slash = '\0';
        w->fact[w->n] = (ds_layer_facts){.name = copy};
        w->begin[w->n++] = p;
    }
    w->begin[w->n] = layout->n_params;
    return DS_OK;
}

/* The layer with parameters at or before model layer l; SIZE_MAX: none. */
static size_t layer_watch_feeder(const ds_trainer *self, const layer_watch *w, size_t l)
{
    const ds_layout *layout = ds_model_layout(self->model);
    const ds_layer *layer = ds_model_layer(self->model, l);
    while (layer->n_params == 0 && l > 0)
        layer = ds_model_layer(self->model, --l);
    if (layer->n_params == 0)
        return SIZE_MAX;
    size_t p = (size_t)(layer->param[0] - layout->param), i = 0;
    while (w->begin[i + 1] <= p)
        i++;
    return i;
}

static ds_status layer_watch_relus(ds_trainer *self, layer_watch *w)
{
    size_t n = ds_model_n_layers(self->model), at = 0;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *w->relu, "layers", &w->relu));
    for (size_t l = 0; l < n; l++) {
        size_t units = ds_model_units(self->model, l);
        size_t fact = units > 0 ? layer_watch_feeder(self, w, l) : SIZE_MAX;
        if (fact == SIZE_MAX || w->fact[fact].units > 0)
            continue;
        w->fact[fact].units = units;
        w->relu[w->n_relus++] = (layer_relu){.layer = l, .fact = fact, .units = units};
        w->n_units += units;
    }
    DS_TRY(ds_arena_take(self->arena, w->n_units, sizeof *w->alive, "units", &w->alive));
    for (size_t i = 0; i < w->n_relus; at += w->relu[i++].units)
        w->relu[i].alive = w->alive + at;
    return DS_OK;
}

ds_status layer_watch_create(ds_trainer *self)
{
    const ds_layout *layout = ds_model_layout(self->model);
    layer_watch *w = NULL;
    if (self->inference)
        return DS_OK;
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *w, "layers", &w));
    DS_TRY(layer_watch_layers(self, w));
    DS_TRY(ds_arena_take(self->arena, layout->n_params, sizeof *w->norm, "layers", &w->norm));
    w->all = self->config->train.log_layers;
    if (w->all)
        DS_TRY(layer_watch_relus(self, w));
    if (w->all && ds_world_rank(self->world) == 0)
        DS_TRY(ds_arena_take(self->arena, layout->n_floats, sizeof *w->before,
                             "parameters before a step", &w->before));
    self->layers = w;
    return DS_OK;
}

void layer_watch_begin(ds_trainer *self)
{
    layer_watch *w = self->layers;
    w->on = w->all;
    if (!w->on)
        return;
    memset(w->alive, 0, w->n_units * sizeof *w->alive);
    if (w->before != NULL)
        memcpy(w->before, ds_sync_node_params(self->sync, 0),
               ds_model_layout(self->model)->n_floats * sizeof *w->before);
}

void layer_watch_pass(ds_trainer *self, size_t rows)
{
    const layer_watch *w = self->layers;
    for (size_t i = 0; i < w->n_relus && w->on; i++)
        ds_workspace_alive(self->training, w->relu[i].layer, rows, w->relu[i].alive);
}

static void layer_watch_judge(const ds_trainer *self, ds_layer_facts *fact, size_t begin,
                              size_t end)
{
    const layer_watch *w = self->layers;
    const float *now = ds_sync_node_params(self->sync, 0);
    double grad = 0, weight = 0, then = 0, moved = 0;
    bool frozen = true;
    for (size_t p = begin; p < end; p++) {
        const ds_param *param = &ds_model_layout(self->model)->param[p];
        size_t n = ds_param_floats(param), at = param->offset;
        frozen = frozen && !param->trainable;
        if (ds_param_moves(param)) /* no weight of the layer's */
            continue;
        grad += w->norm[p] * w->norm[p];
        if (!w->all)
            continue;
        weight += flat_dot(n, now + at, now + at);
        then += flat_dot(n, w->before + at, w->before + at);
        moved += flat_distance2(n, now + at, w->before + at);
    }
    fact->frozen = frozen;
    fact->grad_norm = self->driver == NULL ? sqrt(grad) : (double)NAN;
    fact->weight_norm = sqrt(weight);
    fact->update_ratio = sqrt(moved) / sqrt(then);
}

ds_status layer_watch_end(ds_trainer *self)
{
    layer_watch *w = self->layers;
    w->on = false;
    if (w->n_units > 0)
        DS_TRY(ds_world_max(self->world, w->alive, w->n_units));
    if (ds_world_rank(self->world) != 0)
        return DS_OK;
    if (self->driver == NULL)
        ds_sync_tensor_norms(self->sync, w->norm);
    for (size_t i = 0; i < w->n; i++)
        layer_watch_judge(self, &w->fact[i], w->begin[i], w->begin[i + 1]);
    for (size_t i = 0; i < w->n_relus; i++) {
        double alive = 0, units = (double)w->relu[i].units;
        for (size_t u = 0; u < w->relu[i].units; u++)
            alive += w->relu[i].alive[u];
        w->fact[w->relu[i].fact].dead = (units - alive) / units;
    }
    return DS_OK;
}

const ds_layer_facts *layer_watch_facts(const ds_trainer *self, size_t *n)
{
    const layer_watch *w = self->layers;
    *n = w == NULL ? 0 : w->n;
    return w == NULL ? NULL : w->fact;
}
