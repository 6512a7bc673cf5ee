/* Neighbouring slices are joined across the padding between tensors (zeros on all ranks), so that a
 * bucket of many small tensors is one message; a frozen tensor in between parts them. */
#include "runs.h"

#include "descent/wire.h"

enum { RUNS_GAP = 16 }; /* tensors start at multiples of 16 floats */

static void runs_add(ds_runs *self, const ds_sync *sync, size_t i, bool fresh)
{
    const ds_slice *slice = &sync->spec.plan->slice[i];
    size_t at = sync->spec.layout->param[slice->param].offset + slice->first;
    ds_run *last = fresh ? NULL : &self->run[self->n - 1];
    if (last != NULL && at >= last->at + last->n && at - (last->at + last->n) < RUNS_GAP) {
        last->n = at + slice->count - last->at;
        last->slice_end = i + 1;
        return;
    }
    self->run[self->n++] = (ds_run){at, slice->count, i, i + 1};
}

ds_status ds_runs_init(ds_runs *self, const ds_sync *sync)
{
    const ds_plan *plan = sync->spec.plan;
    size_t parts = plan->n_buckets * (size_t)plan->ranks;
    *self = (ds_runs){0};
    DS_TRY(ds_arena_take(sync->arena, plan->n_slices, sizeof *self->run, "sync", &self->run));
    DS_TRY(ds_arena_take(sync->arena, parts + 1, sizeof *self->begin, "sync", &self->begin));
    for (size_t part = 0; part < parts; part++) {
        self->begin[part] = self->n;
        for (size_t i = plan->bucket_begin[part]; i < plan->bucket_begin[part + 1]; i++)
            runs_add(self, sync, i, i == plan->bucket_begin[part]);
    }
    self->begin[parts] = self->n;
    return DS_OK;
}

/* The j-th runs of all ranks in bucket b, at once. */
static ds_status runs_spread_some(const ds_runs *self, const ds_sync *sync, size_t b, size_t j,
                                  float *flat)
{
    size_t ranks = (size_t)sync->ranks;
    for (size_t r = 0; r < ranks; r++) {
        const size_t *begin = self->begin + b * ranks + r;
        bool has = begin[0] + j < begin[1];
        sync->first[r] = has ? self->run[begin[0] + j].at : 0;
        sync->count[r] = has ? self->run[begin[0] + j].n : 0;
    }
    return ds_world_spread(sync->spec.world, flat, sync->first, sync->count);
}

ds_status ds_runs_spread(const ds_runs *self, const ds_sync *sync, float *flat)
{
    size_t ranks = (size_t)sync->ranks;
    for (size_t b = 0; b < sync->spec.plan->n_buckets && ranks > 1; b++) {
        size_t most = 0;
        for (size_t r = 0; r < ranks; r++) {
            const size_t *begin = self->begin + b * ranks + r;
            most = begin[1] - begin[0] > most ? begin[1] - begin[0] : most;
        }
        for (size_t j = 0; j < most; j++)
            DS_TRY(runs_spread_some(self, sync, b, j, flat));
    }
    return DS_OK;
}
