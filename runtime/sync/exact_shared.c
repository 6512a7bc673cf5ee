/* Exact within one host: one parameter block and all partials lie in memory that all ranks see.
 * Owners read their peers' partials in place and write the one parameter block; a step is two
 * fences (three when the norm must be known ahead) and no copy. A rank alone runs the same code on
 * its own memory. */
#include <math.h>
#include <string.h>

#include "exact_parts.h"

enum { SHARED_STAGGER = 64 }; /* floats between blocks: equal addresses modulo 4 KiB collide */

/* Hands out room from a block, or only counts while base is NULL. */
typedef struct shared_room {
    char *base;
    size_t used;
} shared_room;

static void *exact_shared_take(shared_room *room, size_t count, size_t size)
{
    char *p = room->base == NULL ? NULL : room->base + room->used;
    room->used += (count * size + 63) / 64 * 64;
    return p;
}

static float *exact_shared_take_flat(shared_room *room, const ds_sync *self)
{
    return exact_shared_take(room, self->spec.layout->n_floats + SHARED_STAGGER, sizeof(float));
}

/* Rank r's block: its partials; before them, on rank 0, words, squares and parameters. */
static void exact_shared_lay_out(ds_sync *self, int r, shared_room *room)
{
    ds_exact *exact = self->state;
    const ds_plan *plan = self->spec.plan;
    size_t V = (size_t)plan->shards;
    for (int i = 0; i < 2 && r == 0; i++) {
        exact->told[i].loss = exact_shared_take(room, V, sizeof(double));
        exact->told[i].bad = exact_shared_take(room, V, sizeof(double));
        exact->told[i].overflow = exact_shared_take(room, (size_t)self->ranks, sizeof(int));
        exact->told[i].word = exact_shared_take(room, 1, sizeof(int));
    }
    if (r == 0) {
        exact->owner.block = exact_shared_take(room, exact->owner.n_blocks, sizeof(double));
        self->params = exact_shared_take_flat(room, self);
    }
    for (size_t j = plan->node_begin[r]; j < plan->node_begin[r + 1]; j++) {
        float *x = exact_shared_take_flat(room, self);
        exact->owner.source[j] = (ds_source){x, 0};
        if (r == self->rank)
            self->partial[j - plan->node_begin[r]] = x;
    }
}

size_t ds_exact_shared_bytes(ds_sync *self)
{
    shared_room need = {0};
    exact_shared_lay_out(self, self->rank, &need);
    return need.used;
}

ds_status ds_exact_shared_create(ds_sync *self)
{
    ds_exact *exact = self->state;
    size_t bytes = ds_exact_shared_bytes(self);
    char *alone = NULL;
    if (self->ranks == 1)
        DS_TRY(ds_arena_take(self->arena, bytes, 1, "parameters and gradients", &alone));
    else
        DS_TRY(ds_shared_create(self->spec.world, bytes, &exact->shared));
    for (int r = 0; r < self->ranks; r++) {
        shared_room room = {alone != NULL ? alone : ds_shared_of(exact->shared, r), 0};
        exact_shared_lay_out(self, r, &room);
    }
    exact->owner.reduced = self->partial[0];
    return DS_OK;
}

static ds_status exact_shared_fence(const ds_exact *exact)
{
    return exact->shared != NULL ? ds_shared_fence(exact->shared) : DS_OK;
}

/* Put our shards' words where all will read them. */
static void exact_shared_tell(ds_sync *self, const ds_step *step, ds_told *told)
{
    int first = ds_plan_shard_begin(self->spec.plan, self->rank);
    int end = ds_plan_shard_begin(self->spec.plan, self->rank + 1);
    for (int k = first; k < end; k++) {
        told->loss[k] = step->loss[k];
        told->bad[k] = step->bad[k];
    }
    if (self->rank == 0)
        *told->word = step->word;
}

static bool exact_shared_overflow(const ds_sync *self, const ds_told *told)
{
    bool any = false;
    for (int r = 0; r < self->ranks; r++)
        any |= told->overflow[r] != 0;
    return any;
}

/* Sums first, then the norm, then the update. */
static ds_status exact_shared_step_ahead(ds_sync *self, ds_owner_task task, ds_outcome *out)
{
    ds_exact *exact = self->state;
    task.reduce = task.squares = true;
    ds_owner_all(&exact->owner, &task);
    DS_TRY(exact_shared_fence(exact));
    out->grad_norm = ds_owner_norm(&exact->owner, exact->owner.block);
    out->finite = isfinite(out->grad_norm);
    if (!out->finite)
        return DS_OK;
    task.reduce = task.squares = false;
    task.update = true;
    task.scale = ds_owner_scale(&exact->owner, out->grad_norm);
    ds_owner_all(&exact->owner, &task);
    return exact_shared_fence(exact);
}

ds_status ds_exact_shared_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    ds_exact *exact = self->state;
    ds_told *told = &exact->told[exact->turn];
    exact->turn = !exact->turn;
    exact_shared_tell(self, step, told);
    DS_TRY(exact_shared_fence(exact)); /* all partials and words stand */
    ds_sync_judge(self, step, told->loss, told->bad, out);
    out->word = *told->word;
    if (!out->finite)
        return DS_OK;
    ds_owner_begin(&exact->owner, step->samples);
    ds_owner_task task = {.lr = step->lr, .t = step->t + 1};
    if (ds_exact_ahead(self))
        return exact_shared_step_ahead(self, task, out);
    task.reduce = task.update = true;
    task.squares = step->want_norm;
    task.scale = ds_owner_scale(&exact->owner, 0);
    ds_owner_all(&exact->owner, &task);
    told->overflow[self->rank] = exact->owner.overflow;
    DS_TRY(exact_shared_fence(exact)); /* all parameters are new, all partials have been read */
    out->finite = !exact_shared_overflow(self, told);
    if (step->want_norm)
        out->grad_norm = ds_owner_norm(&exact->owner, exact->owner.block);
    return DS_OK;
}
