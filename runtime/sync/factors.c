/* A weight's owner inverts its layer's factors, which all ranks hold after the exchange: nothing
 * more is sent, and who owns what changes no bit. Inverses are made before a step's gradients, when
 * no owner is at work on the factors (ranks of a host share one block), and only after steps in
 * which these moved; so a resumed run makes those that it would have had. Cost: memory of one
 * factor of each side for each owned tensor; time as the optimizer says. */
#include "factors.h"

#include <string.h>

typedef struct factors_slice {
    ds_factors factors;
    const void *options;
    size_t at[2]; /* of its input's and output's factor in the flat block; SIZE_MAX: none */
    int row_side; /* which of them its rows are */
    bool has;
} factors_slice;

struct ds_inverses {
    const ds_optim_ops *optimizer;
    size_t n_slices;
    factors_slice *slice;
    double *room;
    bool stale;
};

/* "dense1/input_factor" for "dense1/weight"; NULL: the layer has none. */
static const ds_param *factors_find(const ds_layout *layout, const ds_param *param,
                                    const char *suffix)
{
    size_t n = (size_t)(strrchr(param->name, '/') - param->name) + 1;
    for (size_t p = 0; p < layout->n_params; p++)
        if (layout->param[p].kind == DS_PARAM_FACTOR &&
            strncmp(layout->param[p].name, param->name, n) == 0 &&
            strcmp(layout->param[p].name + n, suffix) == 0)
            return &layout->param[p];
    return NULL;
}

/* For all groups. */
static ds_status factors_side(ds_sync *sync, const ds_param *factor, ds_factor *out, size_t *at)
{
    *out = (ds_factor){.n = factor->cols, .stride = factor->stride};
    *at = factor->offset;
    return ds_arena_take(sync->arena, factor->rows * factor->stride, sizeof(float),
                         "inverses of factors", &out->inverse);
}

/* Weight: both; bias: that of the outputs. */
static ds_status factors_take(const ds_inverses_spec *spec, size_t param, factors_slice *slice)
{
    const ds_layout *layout = spec->sync->spec.layout;
    const ds_param *p = &layout->param[param];
    const ds_param *input = factors_find(layout, p, "input_factor");
    const ds_param *output = factors_find(layout, p, "output_factor");
    if (!ds_param_learns(p) || input == NULL || output == NULL)
        return DS_OK;
    slice->has = true;
    slice->options = spec->rule[param].options;
    slice->at[0] = SIZE_MAX;
    slice->row_side = p->transposed || p->shape.n < 2 ? 0 : 1;
    slice->factors.groups = output->rows / output->cols;
    ds_factor *sides = slice->factors.side;
    sides[slice->row_side].ones = 1 / output->pace;
    if (p->shape.n > 1)
        DS_TRY(factors_side(spec->sync, input, &sides[slice->row_side], &slice->at[0]));
    return factors_side(spec->sync, output, &sides[1 - slice->row_side], &slice->at[1]);
}

ds_status ds_inverses_create(const ds_inverses_spec *spec, ds_inverses **out)
{
    ds_sync *sync = spec->sync;
    const ds_plan *plan = sync->spec.plan;
    const ds_optim_ops *optimizer = sync->spec.config->optimizer;
    ds_inverses *self = NULL;
    size_t most = 0;
    DS_TRY(ds_arena_take(sync->arena, 1, sizeof *self, "sync", &self));
    *self = (ds_inverses){.optimizer = optimizer, .n_slices = plan->n_slices, .stale = true};
    DS_TRY(ds_arena_take(sync->arena, plan->n_slices, sizeof *self->slice, "sync", &self->slice));
    for (size_t i = 0; i < plan->n_slices; i++) {
        if (spec->owned_at[i] == SIZE_MAX)
            continue;
        DS_TRY(factors_take(spec, plan->slice[i].param, &self->slice[i]));
        for (int s = 0; s < 2; s++)
            if (self->slice[i].factors.side[s].n > most)
                most = self->slice[i].factors.side[s].n;
    }
    *out = self;
    return ds_arena_take(sync->arena, most > 0 ? optimizer->room(most) : 0, sizeof(double),
                         "inverses of factors", &self->room);
}

const ds_factors *ds_inverses_of(const ds_inverses *self, size_t i)
{
    return self != NULL && self->slice[i].has ? &self->slice[i].factors : NULL;
}

void ds_inverses_stale(ds_inverses *self)
{
    if (self != NULL)
        self->stale = true;
}

/* Of one group; one that is dead has zeros for its outputs' inverse, so that its gradient counts
 * nothing. */
static bool factors_invert(const ds_inverses *self, const factors_slice *slice, size_t group,
                           const float *params)
{
    ds_factor side[2];
    for (int s = 0; s < 2; s++) { /* the inputs', the outputs' */
        side[s] = slice->factors.side[s == 0 ? slice->row_side : 1 - slice->row_side];
        if (side[s].n == 0)
            continue;
        side[s].factor = params + slice->at[s] + group * side[s].n * side[s].stride;
        side[s].inverse += group * side[s].n * side[s].stride;
    }
    if (self->optimizer->invert(slice->options, &side[0], &side[1], self->room))
        return true;
    memset(side[1].inverse, 0, side[1].n * side[1].stride * sizeof *side[1].inverse);
    return false;
}

void ds_inverses_refresh(ds_inverses *self, const float *params)
{
    if (self == NULL || !self->stale)
        return;
    self->stale = false;
    for (size_t i = 0; i < self->n_slices; i++) {
        factors_slice *slice = &self->slice[i];
        slice->factors.ready = false;
        for (size_t g = 0; g < slice->factors.groups; g++)
            if (factors_invert(self, slice, g, params))
                slice->factors.ready = true;
    }
}
