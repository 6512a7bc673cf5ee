/* The exchange across hosts: partials of a bucket's slices go straight to their owner, who adds
 * them and sends new parameters back. Two buckets are under way at once: while one is added, the
 * next arrives, so the inbox is bounded by two buckets' slices (with overlap all are under way, see
 * exchange_overlap.c). */
#include <math.h>
#include <string.h>

#include "exchange_parts.h"

enum { DIRECT_PARTIALS = 1, DIRECT_NEWS = 2 };

static size_t exchange_direct_floats(const ds_runs *runs, size_t part)
{
    size_t n = 0;
    for (size_t i = runs->begin[part]; i < runs->begin[part + 1]; i++)
        n += runs->run[i].n;
    return n;
}

static size_t exchange_direct_messages(const ds_runs *runs, size_t part)
{
    return runs->begin[part + 1] - runs->begin[part];
}

static size_t exchange_direct_foreign(const ds_exchange *self)
{
    return self->spec.sum.n_nodes - self->n_mine;
}

typedef struct direct_room {
    size_t inbox;      /* floats */
    size_t mail, news; /* messages of partials and of parameters */
    size_t mail_floats, news_floats;
} direct_room;

static size_t exchange_direct_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the largest of the buckets takes that use one of `lanes` lanes. */
static direct_room exchange_direct_measure(const ds_exchange *self, size_t lane, size_t lanes)
{
    direct_room room = {0};
    size_t ranks = (size_t)self->sync->ranks, foreign = exchange_direct_foreign(self);
    for (size_t i = lane; i < self->sync->spec.plan->n_buckets; i += lanes) {
        size_t b = ds_exchange_bucket(self, i);
        size_t part = b * ranks + (size_t)self->sync->rank, theirs = 0, their_floats = 0;
        size_t ours = exchange_direct_messages(&self->runs, part);
        size_t floats = exchange_direct_floats(&self->runs, part);
        for (size_t r = 0; r < ranks; r++) {
            theirs += exchange_direct_messages(&self->runs, b * ranks + r);
            their_floats += exchange_direct_floats(&self->runs, b * ranks + r);
        }
        theirs -= ours;
        their_floats -= floats;
        room.inbox = exchange_direct_larger(room.inbox, foreign * floats);
        room.mail = exchange_direct_larger(room.mail, foreign * ours + self->n_mine * theirs);
        room.news = exchange_direct_larger(room.news, (ranks - 1) * ours + theirs);
        room.mail_floats = exchange_direct_larger(room.mail_floats,
                                                  foreign * floats + self->n_mine * their_floats);
        room.news_floats =
            exchange_direct_larger(room.news_floats, (ranks - 1) * floats + their_floats);
    }
    return room;
}

static ds_status exchange_direct_lanes(ds_exchange *self)
{
    ds_arena *arena = self->sync->arena;
    ds_world *world = self->sync->spec.world;
    DS_TRY(ds_arena_take(arena, self->lanes, sizeof *self->inbox, "sync", &self->inbox));
    DS_TRY(ds_arena_take(arena, self->lanes, sizeof *self->mail, "sync", &self->mail));
    for (size_t i = 0; i < self->lanes; i++) {
        direct_room room = exchange_direct_measure(self, i, self->lanes);
        DS_TRY(ds_arena_take(arena, room.inbox, sizeof(float), "inbox of sums", &self->inbox[i]));
        DS_TRY(ds_mail_create(world, room.mail, room.mail_floats * sizeof(float), &self->mail[i]));
    }
    for (size_t i = 0; i < 2; i++) {
        direct_room room = exchange_direct_measure(self, i, 2);
        DS_TRY(ds_mail_create(world, room.news, room.news_floats * sizeof(float), &self->news[i]));
    }
    return DS_OK;
}

ds_status ds_exchange_direct_create(ds_exchange *self)
{
    size_t n = self->sync->spec.plan->n_buckets, V = (size_t)self->sync->spec.plan->shards;
    ds_exchange_overlap_choose(self);
    self->lanes = self->overlap.on && n > 2 ? n : 2;
    if (self->overlap.on)
        DS_TRY(ds_exchange_overlap_create(self));
    DS_TRY(exchange_direct_lanes(self));
    DS_TRY(ds_sync_flat(self->sync, "parameters", &self->params));
    for (size_t j = 0; j < self->n_mine; j++)
        DS_TRY(ds_sync_flat(self->sync, "gradients", &self->block[j]));
    DS_TRY(ds_arena_take(self->sync->arena, self->owner.n_blocks, sizeof(double), "sync",
                         &self->owner.block));
    return ds_arena_take(self->sync->arena, 2 * V + 1, sizeof(double), "sync", &self->words);
}

ds_status ds_exchange_direct_receive(ds_exchange *self, size_t b)
{
    size_t ranks = (size_t)self->sync->ranks, lane = ds_exchange_lane(self, b);
    const size_t *ours = self->runs.begin + b * ranks + (size_t)self->sync->rank;
    float *into = self->inbox[lane];
    for (size_t j = 0; j < self->spec.sum.n_nodes; j++) {
        int from = self->spec.sum.node[j].rank;
        for (size_t i = ours[0]; i < ours[1] && from != self->sync->rank; i++) {
            size_t n = self->runs.run[i].n;
            DS_TRY(
                ds_mail_receive(self->mail[lane], from, DIRECT_PARTIALS, into, n * sizeof *into));
            into += n;
        }
    }
    return DS_OK;
}

ds_status ds_exchange_direct_send(ds_exchange *self, size_t b)
{
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    ds_mail *mail = self->mail[ds_exchange_lane(self, b)];
    for (size_t k = 1; k < ranks; k++) {
        size_t to = (rank + k) % ranks;
        const size_t *theirs = self->runs.begin + b * ranks + to;
        for (size_t j = 0; j < self->n_mine; j++)
            for (size_t i = theirs[0]; i < theirs[1]; i++)
                DS_TRY(ds_mail_send(mail, (int)to, DIRECT_PARTIALS,
                                    self->block[j] + self->runs.run[i].at,
                                    self->runs.run[i].n * sizeof(float)));
    }
    return ds_mail_start(mail);
}

/* Bucket b has arrived: our slices, run by run. */
static void exchange_direct_own(ds_exchange *self, size_t b, const ds_owner_task *task)
{
    const size_t *ours =
        self->runs.begin + b * (size_t)self->sync->ranks + (size_t)self->sync->rank;
    size_t before = 0, all = 0;
    for (size_t i = ours[0]; i < ours[1]; i++)
        all += self->runs.run[i].n;
    for (size_t i = ours[0]; i < ours[1]; before += self->runs.run[i].n, i++) {
        const ds_run *run = &self->runs.run[i];
        const float *from = self->inbox[ds_exchange_lane(self, b)] + before;
        for (size_t j = 0; j < self->spec.sum.n_nodes; j++) {
            bool own = self->spec.sum.node[j].rank == self->sync->rank;
            self->owner.source[j] =
                own ? (ds_source){self->block[j - self->spec.node_begin[self->sync->rank]], 0}
                    : (ds_source){from, run->at};
            from += own ? 0 : all;
        }
        for (size_t s = run->slice_begin; s < run->slice_end; s++)
            ds_owner_slice(&self->owner, s, task);
    }
}

/* Start sending bucket b's new parameters of ours, and receiving the others'. */
static ds_status exchange_direct_post_news(ds_exchange *self, size_t b)
{
    ds_mail *news = self->news[ds_exchange_order(self, b) % 2];
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    DS_TRY(ds_mail_wait(news)); /* of two buckets before */
    const size_t *ours = self->runs.begin + b * ranks + rank;
    for (size_t k = 1; k < ranks; k++) {
        size_t from = (rank + ranks - k) % ranks, to = (rank + k) % ranks;
        const size_t *theirs = self->runs.begin + b * ranks + from;
        const ds_run *run = self->runs.run;
        for (size_t i = theirs[0]; i < theirs[1]; i++)
            DS_TRY(ds_mail_receive(news, (int)from, DIRECT_NEWS, self->params + run[i].at,
                                   run[i].n * sizeof(float)));
        for (size_t i = ours[0]; i < ours[1]; i++)
            DS_TRY(ds_mail_send(news, (int)to, DIRECT_NEWS, self->params + run[i].at,
                                run[i].n * sizeof(float)));
    }
    return ds_mail_start(news);
}

static ds_status exchange_direct_wait_news(const ds_exchange *self)
{
    DS_TRY(ds_mail_wait(self->news[0]));
    return ds_mail_wait(self->news[1]);
}

/* The i-th bucket to go, unless it is on its way already. */
static ds_status exchange_direct_post(ds_exchange *self, size_t i)
{
    if (self->overlap.on || i >= self->sync->spec.plan->n_buckets)
        return DS_OK;
    DS_TRY(ds_exchange_direct_receive(self, ds_exchange_bucket(self, i)));
    return ds_exchange_direct_send(self, ds_exchange_bucket(self, i));
}

/* All buckets' partials come in and are treated by `task`; if it updates, parameters go out. */
static ds_status exchange_direct_buckets(ds_exchange *self, const ds_owner_task *task)
{
    DS_TRY(exchange_direct_post(self, 0));
    for (size_t i = 0; i < self->sync->spec.plan->n_buckets; i++) {
        size_t b = ds_exchange_bucket(self, i);
        DS_TRY(exchange_direct_post(self, i + 1));
        DS_TRY(ds_mail_wait(self->mail[ds_exchange_lane(self, b)]));
        exchange_direct_own(self, b, task);
        if (task->update)
            DS_TRY(exchange_direct_post_news(self, b));
    }
    return exchange_direct_wait_news(self);
}

static ds_status exchange_direct_norm(ds_exchange *self, ds_outcome *out)
{
    DS_TRY(ds_world_sum(self->sync->spec.world, self->owner.block, self->owner.n_blocks));
    out->grad_norm = ds_owner_norm(&self->owner, self->owner.block);
    out->finite = isfinite(out->grad_norm);
    return DS_OK;
}

/* Sums first, then the norm, then the update. */
static ds_status exchange_direct_ahead(ds_exchange *self, ds_owner_task task, ds_outcome *out)
{
    task.reduce = task.squares = true;
    DS_TRY(exchange_direct_buckets(self, &task));
    DS_TRY(exchange_direct_norm(self, out));
    if (!out->finite)
        return DS_OK;
    task.reduce = task.squares = false;
    task.update = true;
    task.scale = ds_owner_scale(&self->owner, out->grad_norm);
    for (size_t i = 0; i < self->sync->spec.plan->n_buckets; i++) {
        size_t b = ds_exchange_bucket(self, i);
        exchange_direct_own(self, b, &task);
        DS_TRY(exchange_direct_post_news(self, b));
    }
    return exchange_direct_wait_news(self);
}

/* Losses, flags and rank 0's word. */
ds_status ds_exchange_direct_tell(ds_exchange *self, const ds_step *step, ds_outcome *out)
{
    int V = self->sync->spec.plan->shards;
    if (self->overlap.on)
        DS_TRY(ds_exchange_overlap_finish(self));
    for (int k = 0; k < V; k++) {
        self->words[k] = step->loss[k];
        self->words[V + k] = step->bad[k];
    }
    self->words[2 * V] = self->sync->rank == 0 ? step->word : 0;
    DS_TRY(ds_world_sum(self->sync->spec.world, self->words, 2 * (size_t)V + 1));
    ds_sync_judge(self->sync, step, self->words, self->words + V, out);
    out->word = (int)self->words[2 * V];
    return out->finite || !self->overlap.on ? DS_OK : ds_exchange_overlap_drop(self);
}

ds_status ds_exchange_direct_run(ds_exchange *self, const ds_exchange_job *job, ds_outcome *out)
{
    ds_owner *owner = &self->owner;
    ds_owner_task task = {.lr = job->lr, .t = job->t};
    if (ds_exchange_ahead(self) || job->want_norm)
        memset(owner->block, 0, owner->n_blocks * sizeof(double));
    if (ds_exchange_ahead(self))
        return exchange_direct_ahead(self, task, out);
    task.reduce = task.update = true;
    task.squares = job->want_norm;
    task.scale = ds_owner_scale(owner, 0);
    DS_TRY(exchange_direct_buckets(self, &task));
    if (job->want_norm)
        return exchange_direct_norm(self, out);
    double overflow = owner->overflow;
    DS_TRY(ds_world_max(self->sync->spec.world, &overflow, 1));
    out->finite = overflow == 0;
    return DS_OK;
}
