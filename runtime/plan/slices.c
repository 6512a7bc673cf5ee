/* Buckets and slices. The trainable tensors are cut in units (DS_BLOCK floats from the tensor's
 * start, its rest; or whole tensors where the optimizer's reach is TENSOR); consecutive units make
 * a bucket; each bucket is shared out in contiguous runs, as evenly by floats as units allow. The
 * run that a rank takes moves on by one from bucket to bucket, so that the remainders even out.
 * Whole tensors differ too much for that: the costliest first, each goes to the rank that has least
 * to do (Graham, SIAM J. Appl. Math. 1969: at most 4/3 of the best). */
#include <stdlib.h>

#include "plan_parts.h"

typedef struct slices_unit {
    ds_slice slice;
    size_t bucket;
    int owner;
    double cost; /* of a whole tensor's update */
} slices_unit;

static size_t slices_unit_size(const ds_param *p, bool whole)
{
    size_t n = ds_param_floats(p);
    return whole || n < DS_BLOCK ? n : DS_BLOCK;
}

static size_t slices_count_units(const ds_layout *layout, bool whole)
{
    size_t n = 0;
    for (size_t p = 0; p < layout->n_params; p++) {
        size_t size = slices_unit_size(&layout->param[p], whole);
        if (layout->param[p].trainable && size > 0)
            n += (ds_param_floats(&layout->param[p]) + size - 1) / size;
    }
    return n;
}

static void slices_list_units(const ds_layout *layout, bool whole, slices_unit *unit)
{
    for (size_t p = 0; p < layout->n_params; p++) {
        size_t n = ds_param_floats(&layout->param[p]);
        size_t size = slices_unit_size(&layout->param[p], whole);
        if (!layout->param[p].trainable)
            continue;
        for (size_t at = 0; at < n; at += size, unit++)
            unit->slice =
                (ds_slice){p, at, n - at < size ? n - at : size, ds_param_moves(&layout->param[p])};
    }
}

/* Consecutive units up to `most` floats a bucket, one unit at least. Returns the buckets. */
static size_t slices_fill_buckets(slices_unit *unit, size_t n, size_t most)
{
    size_t bucket = 0, held = 0;
    for (size_t i = 0; i < n; i++) {
        if (held > 0 && unit[i].slice.count > most - (held < most ? held : most)) {
            bucket++;
            held = 0;
        }
        held += unit[i].slice.count;
        unit[i].bucket = bucket;
    }
    return n > 0 ? bucket + 1 : 0;
}

/* Share out one bucket, units [from, to): a unit goes to the run in which its middle lies. */
static void slices_share_out(slices_unit *unit, size_t from, size_t to, size_t ranks)
{
    size_t all = 0, before = 0;
    for (size_t i = from; i < to; i++)
        all += unit[i].slice.count;
    for (size_t i = from; i < to; i++) {
        double middle = (double)before + (double)unit[i].slice.count / 2;
        size_t run = (size_t)(middle * (double)ranks / (double)all);
        unit[i].owner = (int)(((run < ranks ? run : ranks - 1) + unit[i].bucket) % ranks);
        before += unit[i].slice.count;
    }
}

static int slices_costlier(const void *a, const void *b)
{
    const slices_unit *x = *(const slices_unit *const *)a, *y = *(const slices_unit *const *)b;
    if (x->cost != y->cost)
        return x->cost > y->cost ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Share out whole tensors. Cost: ranks x tensors. */
static ds_status slices_share_whole(ds_plan *self, slices_unit *unit, size_t n)
{
    slices_unit **order = NULL;
    double *load = NULL;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *order, "plan", &order));
    DS_TRY(ds_arena_take(self->arena, (size_t)self->ranks, sizeof *load, "plan", &load));
    for (size_t i = 0; i < n; i++)
        order[i] = &unit[i];
    qsort(order, n, sizeof *order, slices_costlier);
    for (size_t i = 0; i < n; i++) {
        int least = 0;
        for (int r = 1; r < self->ranks; r++)
            least = load[r] < load[least] ? r : least;
        order[i]->owner = least;
        load[least] += order[i]->cost;
    }
    return DS_OK;
}

static double slices_cost(const ds_config *config, const ds_param *param)
{
    const ds_rule rule = ds_plan_rule(config, param);
    const ds_optim_ops *ops = config->optimizer;
    return ops->cost != NULL && ds_param_learns(param) ? ops->cost(rule.options, &rule.matrix)
                                                       : (double)ds_param_floats(param);
}

/* Units of bucket b and rank r, in the flat block's order, neighbours in a tensor joined. */
static void slices_join(ds_plan *self, const slices_unit *unit, size_t from, size_t to, int r)
{
    size_t begin = self->n_slices;
    for (size_t i = from; i < to; i++) {
        if (unit[i].owner != r)
            continue;
        ds_slice *last = self->n_slices > begin ? &self->slice[self->n_slices - 1] : NULL;
        if (last != NULL && last->param == unit[i].slice.param &&
            last->first + last->count == unit[i].slice.first)
            last->count += unit[i].slice.count;
        else
            self->slice[self->n_slices++] = unit[i].slice;
    }
}

static ds_status slices_make(ds_plan *self, slices_unit *unit, size_t n, bool whole)
{
    size_t ranks = (size_t)self->ranks;
    DS_TRY(ds_arena_take(self->arena, self->n_buckets * ranks + 1, sizeof(size_t), "plan",
                         &self->bucket_begin));
    DS_TRY(ds_arena_take(self->arena, n, sizeof(ds_slice), "plan", &self->slice));
    for (size_t b = 0, from = 0, to = 0; b < self->n_buckets; b++, from = to) {
        while (to < n && unit[to].bucket == b)
            to++;
        if (!whole)
            slices_share_out(unit, from, to, ranks);
        for (int r = 0; r < self->ranks; r++) {
            self->bucket_begin[b * ranks + (size_t)r] = self->n_slices;
            slices_join(self, unit, from, to, r);
        }
    }
    self->bucket_begin[self->n_buckets * ranks] = self->n_slices;
    return DS_OK;
}

ds_status ds_plan_cut_slices(ds_plan *self, const ds_config *config, const ds_layout *layout)
{
    bool whole = config->optimizer != NULL && config->optimizer->reach == DS_REACH_TENSOR;
    size_t n = slices_count_units(layout, whole);
    slices_unit *unit = NULL;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *unit, "plan", &unit));
    slices_list_units(layout, whole, unit);
    size_t most = config->sync.bucket > 0 ? (size_t)config->sync.bucket / sizeof(float) : 0;
    self->n_buckets = slices_fill_buckets(unit, n, most);
    for (size_t i = 0; whole && i < n; i++)
        unit[i].cost = slices_cost(config, &layout->param[unit[i].slice.param]);
    if (whole)
        DS_TRY(slices_share_whole(self, unit, n));
    return slices_make(self, unit, n, whole);
}
