/* Exact across hosts: partials of a bucket's slices go straight to their owner, who adds them and
 * sends new parameters back. Two buckets are under way at once: while one is added, the next
 * arrives, so the inbox is bounded by two buckets' slices. Every rank starts with its neighbour,
 * so that nobody is flooded. */
#include <math.h>
#include <string.h>

#include "exact_parts.h"

enum { DIRECT_PARTIALS = 1, DIRECT_NEWS = 2 };

static size_t exact_direct_floats(const ds_runs *runs, size_t part)
{
    size_t n = 0;
    for (size_t i = runs->begin[part]; i < runs->begin[part + 1]; i++)
        n += runs->run[i].n;
    return n;
}

static size_t exact_direct_messages(const ds_runs *runs, size_t part)
{
    size_t n = 0;
    for (size_t i = runs->begin[part]; i < runs->begin[part + 1]; i++)
        n += 1 + (runs->run[i].n >> 30);
    return n;
}

static size_t exact_direct_foreign(const ds_sync *self)
{
    return self->spec.plan->n_nodes - self->n_partials;
}

/* The largest bucket: floats of the inbox, messages of partials and of parameters. */
static void exact_direct_measure(const ds_sync *self, size_t *inbox, size_t *mail, size_t *news)
{
    const ds_exact *exact = self->state;
    size_t ranks = (size_t)self->ranks;
    for (size_t b = 0; b < self->spec.plan->n_buckets; b++) {
        size_t part = b * ranks + (size_t)self->rank, theirs = 0;
        size_t ours = exact_direct_messages(&exact->runs, part);
        for (size_t r = 0; r < ranks; r++)
            theirs += exact_direct_messages(&exact->runs, b * ranks + r);
        theirs -= ours;
        size_t floats = exact_direct_foreign(self) * exact_direct_floats(&exact->runs, part);
        size_t partials = exact_direct_foreign(self) * ours + self->n_partials * theirs;
        size_t params = (ranks - 1) * ours + theirs;
        *inbox = floats > *inbox ? floats : *inbox;
        *mail = partials > *mail ? partials : *mail;
        *news = params > *news ? params : *news;
    }
}

ds_status ds_exact_direct_create(ds_sync *self)
{
    ds_exact *exact = self->state;
    size_t inbox = 0, mail = 0, news = 0, V = (size_t)self->spec.plan->shards;
    exact_direct_measure(self, &inbox, &mail, &news);
    for (int i = 0; i < 2; i++) {
        DS_TRY(ds_arena_take(self->arena, inbox, sizeof(float), "inbox of sums", &exact->inbox[i]));
        DS_TRY(ds_mail_create(self->spec.world, mail, &exact->mail[i]));
        DS_TRY(ds_mail_create(self->spec.world, news, &exact->news[i]));
    }
    DS_TRY(ds_sync_flat(self, "parameters", &self->params));
    for (size_t j = 0; j < self->n_partials; j++)
        DS_TRY(ds_sync_flat(self, "gradients", &self->partial[j]));
    exact->owner.reduced = self->partial[0];
    DS_TRY(ds_arena_take(self->arena, exact->owner.n_blocks, sizeof(double), "sync",
                         &exact->owner.block));
    return ds_arena_take(self->arena, 2 * V + 1, sizeof(double), "sync", &exact->words);
}

/* Start bucket b: what others hold of our slices, what we hold of theirs. */
static ds_status exact_direct_post(ds_sync *self, size_t b)
{
    ds_exact *exact = self->state;
    const size_t *node_begin = self->spec.plan->node_begin;
    size_t ranks = (size_t)self->ranks, rank = (size_t)self->rank;
    const size_t *ours = exact->runs.begin + b * ranks + rank;
    float *into = exact->inbox[b % 2];
    for (size_t j = 0; j < self->spec.plan->n_nodes; j++) {
        int from = self->spec.plan->node[j].rank;
        for (size_t i = ours[0]; i < ours[1] && from != self->rank; i++) {
            size_t n = exact->runs.run[i].n;
            DS_TRY(ds_mail_receive(exact->mail[b % 2], from, DIRECT_PARTIALS, into, n));
            into += n;
        }
    }
    for (size_t k = 1; k < ranks; k++) {
        size_t to = (rank + k) % ranks;
        const size_t *theirs = exact->runs.begin + b * ranks + to;
        for (size_t j = 0; j < node_begin[rank + 1] - node_begin[rank]; j++)
            for (size_t i = theirs[0]; i < theirs[1]; i++)
                DS_TRY(ds_mail_send(exact->mail[b % 2], (int)to, DIRECT_PARTIALS,
                                    self->partial[j] + exact->runs.run[i].at,
                                    exact->runs.run[i].n));
    }
    return DS_OK;
}

/* Bucket b has arrived: our slices, run by run. */
static void exact_direct_own(ds_sync *self, size_t b, const ds_owner_task *task)
{
    ds_exact *exact = self->state;
    const ds_plan *plan = self->spec.plan;
    const size_t *ours = exact->runs.begin + b * (size_t)self->ranks + (size_t)self->rank;
    size_t before = 0, all = 0;
    for (size_t i = ours[0]; i < ours[1]; i++)
        all += exact->runs.run[i].n;
    for (size_t i = ours[0]; i < ours[1]; before += exact->runs.run[i].n, i++) {
        const ds_run *run = &exact->runs.run[i];
        const float *from = exact->inbox[b % 2] + before;
        for (size_t j = 0; j < plan->n_nodes; j++) {
            bool own = plan->node[j].rank == self->rank;
            exact->owner.source[j] =
                own ? (ds_source){self->partial[j - plan->node_begin[self->rank]], 0}
                    : (ds_source){from, run->at};
            from += own ? 0 : all;
        }
        for (size_t s = run->slice_begin; s < run->slice_end; s++)
            ds_owner_slice(&exact->owner, s, task);
    }
}

/* Start sending bucket b's new parameters of ours, and receiving the others'. */
static ds_status exact_direct_post_news(ds_sync *self, size_t b)
{
    ds_exact *exact = self->state;
    ds_mail *news = exact->news[b % 2];
    size_t ranks = (size_t)self->ranks, rank = (size_t)self->rank;
    DS_TRY(ds_mail_wait(news)); /* bucket b - 2 */
    const size_t *ours = exact->runs.begin + b * ranks + rank;
    for (size_t k = 1; k < ranks; k++) {
        size_t from = (rank + ranks - k) % ranks, to = (rank + k) % ranks;
        const size_t *theirs = exact->runs.begin + b * ranks + from;
        const ds_run *run = exact->runs.run;
        for (size_t i = theirs[0]; i < theirs[1]; i++)
            DS_TRY(
                ds_mail_receive(news, (int)from, DIRECT_NEWS, self->params + run[i].at, run[i].n));
        for (size_t i = ours[0]; i < ours[1]; i++)
            DS_TRY(ds_mail_send(news, (int)to, DIRECT_NEWS, self->params + run[i].at, run[i].n));
    }
    return DS_OK;
}

static ds_status exact_direct_wait_news(const ds_exact *exact)
{
    DS_TRY(ds_mail_wait(exact->news[0]));
    return ds_mail_wait(exact->news[1]);
}

/* All buckets' partials come in and are treated by `task`; if it updates, parameters go out. */
static ds_status exact_direct_buckets(ds_sync *self, const ds_owner_task *task)
{
    ds_exact *exact = self->state;
    size_t n = self->spec.plan->n_buckets;
    if (n > 0)
        DS_TRY(exact_direct_post(self, 0));
    for (size_t b = 0; b < n; b++) {
        if (b + 1 < n)
            DS_TRY(exact_direct_post(self, b + 1));
        DS_TRY(ds_mail_wait(exact->mail[b % 2]));
        exact_direct_own(self, b, task);
        if (task->update)
            DS_TRY(exact_direct_post_news(self, b));
    }
    return exact_direct_wait_news(exact);
}

static ds_status exact_direct_norm(ds_sync *self, ds_outcome *out)
{
    ds_exact *exact = self->state;
    DS_TRY(ds_world_sum(self->spec.world, exact->owner.block, exact->owner.n_blocks));
    out->grad_norm = ds_owner_norm(&exact->owner, exact->owner.block);
    out->finite = isfinite(out->grad_norm);
    return DS_OK;
}

/* Sums first, then the norm, then the update. */
static ds_status exact_direct_step_ahead(ds_sync *self, ds_owner_task task, ds_outcome *out)
{
    ds_exact *exact = self->state;
    task.reduce = task.squares = true;
    DS_TRY(exact_direct_buckets(self, &task));
    DS_TRY(exact_direct_norm(self, out));
    if (!out->finite)
        return DS_OK;
    task.reduce = task.squares = false;
    task.update = true;
    task.scale = ds_owner_scale(&exact->owner, out->grad_norm);
    for (size_t b = 0; b < self->spec.plan->n_buckets; b++) {
        exact_direct_own(self, b, &task);
        DS_TRY(exact_direct_post_news(self, b));
    }
    return exact_direct_wait_news(exact);
}

/* Losses, flags and rank 0's word. */
static ds_status exact_direct_tell(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    ds_exact *exact = self->state;
    int V = self->spec.plan->shards;
    for (int k = 0; k < V; k++) {
        exact->words[k] = step->loss[k];
        exact->words[V + k] = step->bad[k];
    }
    exact->words[2 * V] = self->rank == 0 ? step->word : 0;
    DS_TRY(ds_world_sum(self->spec.world, exact->words, 2 * (size_t)V + 1));
    ds_sync_judge(self, step, exact->words, exact->words + V, out);
    out->word = (int)exact->words[2 * V];
    return DS_OK;
}

ds_status ds_exact_direct_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    ds_exact *exact = self->state;
    DS_TRY(exact_direct_tell(self, step, out));
    if (!out->finite)
        return DS_OK;
    ds_owner_begin(&exact->owner, step->samples);
    ds_owner_task task = {.lr = step->lr, .t = step->t + 1};
    if (ds_exact_ahead(self) || step->want_norm)
        memset(exact->owner.block, 0, exact->owner.n_blocks * sizeof(double));
    if (ds_exact_ahead(self))
        return exact_direct_step_ahead(self, task, out);
    task.reduce = task.update = true;
    task.squares = step->want_norm;
    task.scale = ds_owner_scale(&exact->owner, 0);
    DS_TRY(exact_direct_buckets(self, &task));
    if (step->want_norm)
        return exact_direct_norm(self, out);
    double overflow = exact->owner.overflow;
    DS_TRY(ds_world_max(self->spec.world, &overflow, 1));
    out->finite = overflow == 0;
    return DS_OK;
}
