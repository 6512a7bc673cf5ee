/* The exchange within one host: one parameter block and all partials lie in memory that all ranks
 * see. Owners read their peers' partials in place and write the one parameter block; a step is two
 * fences (three when the norm must be known ahead) and no copy. A rank alone runs the same code on
 * its own memory. */
#include <math.h>
#include <string.h>

#include "exchange_parts.h"

enum { SHARED_STAGGER = 64 }; /* floats between blocks: equal addresses modulo 4 KiB collide */

/* Hands out room from a block, or only counts while base is NULL. */
typedef struct shared_room {
    char *base;
    size_t used;
} shared_room;

static void *exchange_shared_take(shared_room *room, size_t count, size_t size)
{
    char *p = room->base == NULL ? NULL : room->base + room->used;
    room->used += (count * size + 63) / 64 * 64;
    return p;
}

static float *exchange_shared_take_flat(shared_room *room, const ds_exchange *self)
{
    size_t n = self->sync->spec.layout->n_floats + SHARED_STAGGER;
    return exchange_shared_take(room, n, sizeof(float));
}

/* Rank r's block: its partials; before them, on rank 0, words, squares and parameters. */
static void exchange_shared_lay_out(ds_exchange *self, int r, shared_room *room)
{
    const size_t *begin = self->spec.node_begin + r;
    size_t V = (size_t)self->sync->spec.plan->shards;
    for (int i = 0; i < 2 && r == 0; i++) {
        self->told[i].loss = exchange_shared_take(room, V, sizeof(double));
        self->told[i].bad = exchange_shared_take(room, V, sizeof(double));
        self->told[i].overflow = exchange_shared_take(room, (size_t)self->sync->ranks, sizeof(int));
        self->told[i].peak =
            exchange_shared_take(room, 2 * (size_t)self->sync->ranks, sizeof(float));
        self->told[i].word = exchange_shared_take(room, 1, sizeof(int));
    }
    if (r == 0) {
        self->owner.block = exchange_shared_take(room, self->owner.n_blocks, sizeof(double));
        self->params = exchange_shared_take_flat(room, self);
    }
    for (size_t j = begin[0]; j < begin[1]; j++) {
        float *x = exchange_shared_take_flat(room, self);
        self->owner.source[j] = (ds_source){.x = x};
        if (r == self->sync->rank)
            self->block[j - begin[0]] = x;
    }
}

/* Of this rank's block of shared memory. */
static size_t exchange_shared_bytes(ds_exchange *self)
{
    shared_room need = {0};
    exchange_shared_lay_out(self, self->sync->rank, &need);
    return need.used;
}

ds_status ds_exchange_shared_create(ds_exchange *self)
{
    ds_sync *sync = self->sync;
    size_t bytes = exchange_shared_bytes(self);
    char *alone = NULL;
    if (sync->ranks == 1)
        DS_TRY(ds_arena_take(sync->arena, bytes, 1, "parameters and gradients", &alone));
    else
        DS_TRY(ds_shared_create(sync->spec.world, bytes, &self->shared));
    for (int r = 0; r < sync->ranks; r++) {
        shared_room room = {alone != NULL ? alone : ds_shared_of(self->shared, r), 0};
        exchange_shared_lay_out(self, r, &room);
    }
    return DS_OK;
}

static ds_status exchange_shared_fence(const ds_exchange *self)
{
    return self->shared != NULL ? ds_shared_fence(self->shared) : DS_OK;
}

/* Put our shards' words where all will read them. */
static void exchange_shared_put(const ds_exchange *self, const ds_step *step, const ds_told *told)
{
    const ds_sync *sync = self->sync;
    int first = ds_plan_shard_begin(sync->spec.plan, sync->rank);
    int end = ds_plan_shard_begin(sync->spec.plan, sync->rank + 1);
    for (int k = first; k < end; k++) {
        told->loss[k] = step->loss[k];
        told->bad[k] = step->bad[k];
    }
    if (sync->rank == 0)
        *told->word = step->word;
}

/* Blocks become what their codes say, in place. */
static ds_status exchange_shared_code(ds_exchange *self)
{
    size_t begin = self->spec.node_begin[self->sync->rank];
    for (size_t i = 0; i < self->n_mine; i++)
        if (!ds_owner_empty(&self->owner, begin + i))
            ds_exchange_code_slices(self, i, 0, self->sync->spec.plan->n_slices, NULL);
    return exchange_shared_fence(self);
}

/* This rank's part of the step is done: verdict and peaks of all. */
static ds_status exchange_shared_settle(ds_exchange *self, ds_outcome *out)
{
    const ds_told *told = &self->told[self->turn];
    float peak[2] = {0, 0};
    int ranks = self->sync->ranks, rank = self->sync->rank;
    told->overflow[rank] = self->owner.overflow;
    told->peak[2 * rank] = self->peak;
    told->peak[2 * rank + 1] = self->owner.peak;
    DS_TRY(exchange_shared_fence(self)); /* all parameters are new, all blocks have been read */
    for (int r = 0; r < ranks; r++)
        out->finite &= told->overflow[r] == 0;
    for (int i = 0; i < 2 * ranks; i++)
        peak[i % 2] = told->peak[i] > peak[i % 2] ? told->peak[i] : peak[i % 2];
    if (self->spec.sum.coded && out->finite)
        ds_exchange_code_learn(self, peak[0], peak[1]);
    return DS_OK;
}

/* Sums first, then the norm, then the update. */
static ds_status exchange_shared_ahead(ds_exchange *self, const ds_exchange_job *job,
                                       ds_owner_task task, ds_outcome *out)
{
    task.reduce = task.squares = true;
    ds_owner_all(&self->owner, &task);
    DS_TRY(exchange_shared_fence(self));
    out->grad_norm = ds_owner_norm(&self->owner, self->owner.block);
    out->finite = isfinite(out->grad_norm);
    if (!out->finite || (job->step != NULL && ds_sync_vetoed(job->step, out))) {
        ds_exchange_code_undo(self);
        return DS_OK;
    }
    task.reduce = task.squares = false;
    task.update = true;
    task.scale = ds_owner_scale(&self->owner, out->grad_norm);
    ds_owner_all(&self->owner, &task);
    return exchange_shared_settle(self, out);
}

ds_status ds_exchange_shared_tell(ds_exchange *self, const ds_step *step, ds_outcome *out)
{
    self->turn = !self->turn;
    const ds_told *told = &self->told[self->turn];
    exchange_shared_put(self, step, told);
    DS_TRY(exchange_shared_fence(self)); /* all blocks and words stand */
    ds_sync_judge(self->sync, step, told->loss, told->bad, out);
    out->word = *told->word;
    return DS_OK;
}

ds_status ds_exchange_shared_run(ds_exchange *self, const ds_exchange_job *job, ds_outcome *out)
{
    ds_owner_task task = {.lr = job->lr, .t = job->t};
    if (self->spec.sum.coded)
        DS_TRY(exchange_shared_code(self));
    if (ds_exchange_ahead(self))
        return exchange_shared_ahead(self, job, task, out);
    task.reduce = task.update = true;
    task.squares = job->want_norm;
    task.scale = ds_owner_scale(&self->owner, 0);
    ds_owner_all(&self->owner, &task);
    DS_TRY(exchange_shared_settle(self, out));
    if (job->want_norm)
        out->grad_norm = ds_owner_norm(&self->owner, self->owner.block);
    return DS_OK;
}
