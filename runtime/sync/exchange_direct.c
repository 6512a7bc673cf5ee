/* The exchange across hosts: partials of a bucket's slices go straight to their owner, who adds
 * them and sends new parameters back. Two buckets are under way at once: while one is added, the
 * next arrives, so the inbox is bounded by two buckets' slices (with overlap all are under way, see
 * exchange_overlap.c). In code a bucket is one message a pair of ranks and way; the next one is
 * coded while the first travels. */
#include <math.h>
#include <string.h>

#include "exchange_parts.h"

enum { DIRECT_PARTIALS = 1, DIRECT_NEWS = 2 };

ds_status ds_exchange_direct_create(ds_exchange *self)
{
    size_t n = self->sync->spec.plan->n_buckets, V = (size_t)self->sync->spec.plan->shards;
    ds_exchange_overlap_choose(self);
    self->lanes = self->overlap.on && n > 2 ? n : 2;
    if (self->overlap.on)
        DS_TRY(ds_exchange_overlap_create(self));
    DS_TRY(ds_exchange_lanes_create(self));
    DS_TRY(ds_sync_flat(self->sync, "parameters", &self->params));
    for (size_t j = 0; j < self->n_mine; j++)
        DS_TRY(ds_sync_flat(self->sync, "gradients", &self->block[j]));
    DS_TRY(ds_arena_take(self->sync->arena, self->owner.n_blocks, sizeof(double), "sync",
                         &self->owner.block));
    return ds_arena_take(self->sync->arena, 2 * V + 1, sizeof(double), "sync", &self->words);
}

/* Nodes of rank r whose partials travel in code. */
static size_t exchange_direct_full(const ds_exchange *self, size_t r)
{
    size_t n = 0;
    for (size_t j = self->spec.node_begin[r]; j < self->spec.node_begin[r + 1]; j++)
        n += !ds_owner_empty(&self->owner, j);
    return n;
}

static ds_status exchange_direct_receive_code(ds_exchange *self, size_t b)
{
    ds_lane *lane = ds_exchange_lane(self, b);
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    size_t own = ds_exchange_bytes(self, b, rank);
    uint8_t *into = lane->in;
    for (size_t r = 0; r < ranks; r++) {
        size_t bytes = r == rank ? 0 : own * exchange_direct_full(self, r);
        DS_TRY(ds_mail_receive(lane->mail, (int)r, DIRECT_PARTIALS, into, bytes));
        into += bytes;
    }
    return DS_OK;
}

ds_status ds_exchange_direct_receive(ds_exchange *self, size_t b)
{
    if (self->spec.sum.coded)
        return exchange_direct_receive_code(self, b);
    ds_lane *lane = ds_exchange_lane(self, b);
    const size_t *ours = ds_exchange_runs(self, b, (size_t)self->sync->rank);
    float *into = lane->inbox;
    for (size_t j = 0; j < self->spec.sum.n_nodes; j++) {
        int from = self->spec.sum.node[j].rank;
        for (size_t i = ours[0]; i < ours[1] && from != self->sync->rank; i++) {
            size_t n = self->runs.run[i].n;
            DS_TRY(ds_mail_receive(lane->mail, from, DIRECT_PARTIALS, into, n * sizeof *into));
            into += n;
        }
    }
    return DS_OK;
}

/* Code rank r's slices of bucket b in our blocks. Returns the bytes' end, NULL for NULL. */
static uint8_t *exchange_direct_code(ds_exchange *self, size_t b, size_t r, uint8_t *bytes)
{
    const size_t *slice = ds_exchange_slices(self, b, r);
    size_t first = self->spec.node_begin[self->sync->rank];
    for (size_t i = 0; i < self->n_mine; i++)
        if (!ds_owner_empty(&self->owner, first + i))
            bytes = ds_exchange_code_slices(self, i, slice[0], slice[1], bytes);
    return bytes;
}

static ds_status exchange_direct_send_code(ds_exchange *self, size_t b)
{
    ds_lane *lane = ds_exchange_lane(self, b);
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    uint8_t *from = lane->out;
    for (size_t k = 1; k < ranks; k++) {
        size_t to = (rank + k) % ranks;
        uint8_t *end = exchange_direct_code(self, b, to, from);
        DS_TRY(ds_mail_send(lane->mail, (int)to, DIRECT_PARTIALS, from, (size_t)(end - from)));
        from = end;
    }
    DS_TRY(ds_mail_start(lane->mail));
    exchange_direct_code(self, b, rank, NULL); /* our own slices, as others would decode them */
    return DS_OK;
}

ds_status ds_exchange_direct_send(ds_exchange *self, size_t b)
{
    if (self->spec.sum.coded)
        return exchange_direct_send_code(self, b);
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    ds_mail *mail = ds_exchange_lane(self, b)->mail;
    for (size_t k = 1; k < ranks; k++) {
        size_t to = (rank + k) % ranks;
        const size_t *theirs = ds_exchange_runs(self, b, to);
        for (size_t j = 0; j < self->n_mine; j++)
            for (size_t i = theirs[0]; i < theirs[1]; i++)
                DS_TRY(ds_mail_send(mail, (int)to, DIRECT_PARTIALS,
                                    self->block[j] + self->runs.run[i].at,
                                    self->runs.run[i].n * sizeof(float)));
    }
    return ds_mail_start(mail);
}

/* Where the foreign partials of slice s of bucket b lie in its lane: floats before those of its
 * run, bytes before those of the slice. */
static size_t exchange_direct_before(const ds_exchange *self, size_t b, size_t s, ds_run *in)
{
    const size_t *ours = ds_exchange_runs(self, b, (size_t)self->sync->rank);
    const ds_run *run = self->runs.run + ours[0];
    size_t floats = 0, first = run->slice_begin;
    for (; run->slice_end <= s; run++)
        floats += run->n;
    *in = *run;
    return self->spec.sum.coded ? ds_exchange_code_bytes(self, first, s) : floats;
}

/* Where the partials of slice s of bucket b lie: in our blocks, or as they came in. */
static void exchange_direct_source(ds_exchange *self, size_t b, size_t s)
{
    const ds_lane *lane = ds_exchange_lane(self, b);
    const ds_owner_spec *sum = &self->spec.sum;
    size_t rank = (size_t)self->sync->rank, at = ds_owner_at(&self->owner, s);
    ds_run run;
    size_t before = exchange_direct_before(self, b, s, &run);
    size_t all = sum->coded ? ds_exchange_bytes(self, b, rank) : ds_exchange_floats(self, b, rank);
    for (size_t j = 0; j < sum->n_nodes; j++) {
        ds_source *source = &self->owner.source[j];
        if (sum->node[j].rank == self->sync->rank)
            *source = (ds_source){.x = self->block[j - self->spec.node_begin[rank]]};
        else if (!sum->coded)
            *source = (ds_source){.x = lane->inbox + before, .at = run.at};
        else if (!ds_owner_empty(&self->owner, j))
            *source = (ds_source){.bytes = lane->in + before, .at = at};
        else
            continue;
        before += sum->node[j].rank == self->sync->rank ? 0 : all;
    }
}

/* Bucket b has arrived: our slices. */
static void exchange_direct_own(ds_exchange *self, size_t b, const ds_owner_task *task)
{
    const size_t *slice = ds_exchange_slices(self, b, (size_t)self->sync->rank);
    uint8_t *news = self->spec.sum.coded ? ds_exchange_news(self, b)->out : NULL;
    for (size_t s = slice[0]; s < slice[1]; s++) {
        if (task->reduce)
            exchange_direct_source(self, b, s);
        self->owner.news = news;
        ds_owner_slice(&self->owner, s, task);
        news = news != NULL ? news + ds_exchange_code_bytes(self, s, s + 1) : NULL;
    }
    self->owner.news = NULL;
}

/* New parameters have come in and gone out: what came in code is heeded. */
static ds_status exchange_direct_settle_news(ds_exchange *self, ds_news *news)
{
    const ds_plan *plan = self->sync->spec.plan;
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    const uint8_t *bytes = news->in;
    DS_TRY(ds_mail_wait(news->mail));
    for (size_t k = 1; k < ranks && news->bucket > 0; k++) {
        const size_t *slice =
            ds_exchange_slices(self, news->bucket - 1, (rank + ranks - k) % ranks);
        for (size_t s = slice[0]; s < slice[1]; s++) {
            float *p = self->params + ds_owner_at(&self->owner, s);
            ds_codec_heed(ds_owner_codec(&self->owner, &self->owner.back, s), plan->slice[s].count,
                          bytes, p);
            bytes += ds_exchange_code_bytes(self, s, s + 1);
        }
    }
    news->bucket = 0;
    return DS_OK;
}

/* Bucket b's new parameters from one neighbour and to another, run by run. */
static ds_status exchange_direct_trade(ds_exchange *self, size_t b, size_t from, size_t to)
{
    ds_mail *mail = ds_exchange_news(self, b)->mail;
    const size_t *theirs = ds_exchange_runs(self, b, from);
    const size_t *ours = ds_exchange_runs(self, b, (size_t)self->sync->rank);
    const ds_run *run = self->runs.run;
    for (size_t i = theirs[0]; i < theirs[1]; i++)
        DS_TRY(ds_mail_receive(mail, (int)from, DIRECT_NEWS, self->params + run[i].at,
                               run[i].n * sizeof(float)));
    for (size_t i = ours[0]; i < ours[1]; i++)
        DS_TRY(ds_mail_send(mail, (int)to, DIRECT_NEWS, self->params + run[i].at,
                            run[i].n * sizeof(float)));
    return DS_OK;
}

/* Start sending bucket b's new parameters of ours, and receiving the others'. */
static ds_status exchange_direct_post_news(ds_exchange *self, size_t b)
{
    ds_news *news = ds_exchange_news(self, b);
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    size_t own = ds_exchange_bytes(self, b, rank);
    uint8_t *into = news->in;
    for (size_t k = 1; k < ranks; k++) {
        size_t from = (rank + ranks - k) % ranks, to = (rank + k) % ranks;
        if (!self->spec.sum.coded) {
            DS_TRY(exchange_direct_trade(self, b, from, to));
            continue;
        }
        size_t theirs = ds_exchange_bytes(self, b, from);
        DS_TRY(ds_mail_receive(news->mail, (int)from, DIRECT_NEWS, into, theirs));
        DS_TRY(ds_mail_send(news->mail, (int)to, DIRECT_NEWS, news->out, own));
        into += theirs;
    }
    news->bucket = self->spec.sum.coded ? b + 1 : 0;
    return ds_mail_start(news->mail);
}

/* The owner's work on bucket b, and its news if it updates. */
static ds_status exchange_direct_bucket(ds_exchange *self, size_t b, const ds_owner_task *task)
{
    if (task->update) /* those of two buckets before */
        DS_TRY(exchange_direct_settle_news(self, ds_exchange_news(self, b)));
    exchange_direct_own(self, b, task);
    return task->update ? exchange_direct_post_news(self, b) : DS_OK;
}

static ds_status exchange_direct_settle(ds_exchange *self)
{
    DS_TRY(exchange_direct_settle_news(self, &self->news[0]));
    return exchange_direct_settle_news(self, &self->news[1]);
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
        DS_TRY(ds_mail_wait(ds_exchange_lane(self, b)->mail));
        DS_TRY(exchange_direct_bucket(self, b, task));
    }
    return exchange_direct_settle(self);
}

static ds_status exchange_direct_norm(ds_exchange *self, ds_outcome *out)
{
    DS_TRY(ds_world_sum(self->sync->spec.world, self->owner.block, self->owner.n_blocks));
    out->grad_norm = ds_owner_norm(&self->owner, self->owner.block);
    out->finite &= isfinite(out->grad_norm);
    return DS_OK;
}

/* The verdict and the peaks of all ranks. */
static ds_status exchange_direct_verdict(ds_exchange *self, bool learn, ds_outcome *out)
{
    double told[3] = {self->owner.overflow, 0, 0};
    told[1] = isfinite(self->peak) ? (double)self->peak : 0;
    told[2] = isfinite(self->owner.peak) ? (double)self->owner.peak : 0;
    DS_TRY(ds_world_max(self->sync->spec.world, told, 3));
    out->finite &= told[0] == 0;
    if (learn && out->finite && self->spec.sum.coded)
        ds_exchange_code_learn(self, (float)told[1], (float)told[2]);
    return DS_OK;
}

/* Sums first, then the norm, then the update. */
static ds_status exchange_direct_ahead(ds_exchange *self, const ds_exchange_job *job,
                                       ds_owner_task task, ds_outcome *out)
{
    task.reduce = task.squares = true;
    DS_TRY(exchange_direct_buckets(self, &task));
    DS_TRY(exchange_direct_norm(self, out));
    if (self->spec.sum.coded)
        DS_TRY(exchange_direct_verdict(self, false, out));
    if (!out->finite || (job->step != NULL && ds_sync_vetoed(job->step, out))) {
        ds_exchange_code_undo(self);
        return DS_OK;
    }
    task.reduce = task.squares = false;
    task.update = true;
    task.scale = ds_owner_scale(&self->owner, out->grad_norm);
    for (size_t i = 0; i < self->sync->spec.plan->n_buckets; i++)
        DS_TRY(exchange_direct_bucket(self, ds_exchange_bucket(self, i), &task));
    DS_TRY(exchange_direct_settle(self));
    return self->spec.sum.coded ? exchange_direct_verdict(self, true, out) : DS_OK;
}

/* Losses, flags and rank 0's word. */
ds_status ds_exchange_direct_tell(ds_exchange *self, const ds_step *step, ds_outcome *out)
{
    int V = self->sync->spec.plan->shards;
    if (self->overlap.on)
        DS_TRY(ds_exchange_overlap_finish(self, step->samples));
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
        return exchange_direct_ahead(self, job, task, out);
    task.reduce = task.update = true;
    task.squares = job->want_norm;
    task.scale = ds_owner_scale(owner, 0);
    DS_TRY(exchange_direct_buckets(self, &task));
    if (job->want_norm)
        DS_TRY(exchange_direct_norm(self, out));
    if (self->spec.sum.coded || !job->want_norm)
        DS_TRY(exchange_direct_verdict(self, true, out));
    return DS_OK;
}
