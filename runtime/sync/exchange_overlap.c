/* Overlap, first form (Li et al., "PyTorch Distributed", VLDB 2020; Goyal et al., 2017): a bucket
 * is sent as soon as its last tensor's gradient stands, while the layers below are computed.
 * Buckets go in one order on all ranks, the last one first, so messages match by order; a bucket
 * that is ready early waits for those before it. Receives of all buckets stand before the first
 * send; that takes an inbox of the whole of our slices. MPI moves messages only inside its calls:
 * whoever computes must poll. Nothing is added before the step's verdict is known; if a shard is
 * not finite, all buckets are sent all the same and dropped on arrival: no rank has to know what
 * others have sent. */
#include <string.h>

#include "descent/clock.h"

#include "exchange_parts.h"

void ds_exchange_overlap_choose(ds_exchange *self)
{
    const ds_config *config = self->sync->spec.config;
    const char *asked = config->sync.overlap;
    bool codec = config->sync.codec.ops != NULL, automatic = strcmp(asked, "auto") == 0;
    self->overlap.on = self->spec.overlap && strcmp(asked, "false") != 0;
    if (codec && config->train.skip_nan) /* a skipped step must leave no trace in residuals */
        self->overlap.on = false;
    if (automatic && ds_world_hosts(self->sync->spec.world) == 1) /* copies need this CPU */
        self->overlap.on = false;
}

/* The tensors that lie in bucket b, by its slices. */
static void exchange_overlap_note(ds_exchange *self, size_t b)
{
    const ds_plan *plan = self->sync->spec.plan;
    size_t ranks = (size_t)plan->ranks;
    for (size_t i = plan->bucket_begin[b * ranks]; i < plan->bucket_begin[(b + 1) * ranks]; i++) {
        size_t p = plan->slice[i].param;
        if (self->overlap.end[p] == 0)
            self->overlap.first[p] = b;
        self->overlap.end[p] = b + 1;
    }
}

ds_status ds_exchange_overlap_create(ds_exchange *self)
{
    ds_arena *arena = self->sync->arena;
    size_t n = self->sync->spec.plan->n_buckets, params = self->sync->spec.layout->n_params;
    DS_TRY(ds_arena_take(arena, n, sizeof(size_t), "sync", &self->overlap.missing));
    DS_TRY(ds_arena_take(arena, params, sizeof(size_t), "sync", &self->overlap.first));
    DS_TRY(ds_arena_take(arena, params, sizeof(size_t), "sync", &self->overlap.end));
    for (size_t b = 0; b < n; b++)
        exchange_overlap_note(self, b);
    return DS_OK;
}

static ds_status exchange_overlap_begin(ds_exchange *self, size_t samples)
{
    ds_overlap *overlap = &self->overlap;
    size_t n = self->sync->spec.plan->n_buckets;
    ds_exchange_begin(self, samples);
    overlap->begun = true;
    overlap->sent = overlap->arrived = 0;
    overlap->since_ns = 0;
    memset(overlap->missing, 0, n * sizeof *overlap->missing);
    for (size_t p = 0; p < self->sync->spec.layout->n_params; p++)
        for (size_t b = overlap->first[p]; b < overlap->end[p]; b++)
            overlap->missing[b]++;
    for (size_t i = 0; i < n; i++)
        DS_TRY(ds_exchange_direct_receive(self, ds_exchange_bucket(self, i)));
    return DS_OK;
}

/* What was under way when we last looked, was so while we computed. */
static ds_status exchange_overlap_look(ds_exchange *self)
{
    ds_overlap *overlap = &self->overlap;
    int64_t now = ds_clock_ns();
    if (overlap->since_ns != 0)
        self->sync->hidden_ns += now - overlap->since_ns;
    for (bool done = true; done && overlap->arrived < overlap->sent; overlap->arrived += done)
        DS_TRY(ds_mail_poll(self->lane[overlap->arrived % self->lanes].mail, &done));
    overlap->since_ns = overlap->arrived < overlap->sent ? now : 0;
    return DS_OK;
}

static ds_status exchange_overlap_send(ds_exchange *self, bool all)
{
    ds_overlap *overlap = &self->overlap;
    for (; overlap->sent < self->sync->spec.plan->n_buckets; overlap->sent++) {
        size_t b = ds_exchange_bucket(self, overlap->sent);
        if (!all && overlap->missing[b] > 0)
            break;
        DS_TRY(ds_exchange_direct_send(self, b));
    }
    return DS_OK;
}

static ds_status exchange_overlap_ready(ds_exchange *self, size_t samples, size_t param)
{
    ds_overlap *overlap = &self->overlap;
    if (!overlap->begun)
        DS_TRY(exchange_overlap_begin(self, samples));
    for (size_t b = overlap->first[param]; b < overlap->end[param]; b++)
        overlap->missing[b]--;
    DS_TRY(exchange_overlap_send(self, false));
    return exchange_overlap_look(self);
}

void ds_exchange_ready(ds_exchange *self, size_t samples, size_t param)
{
    if (self->overlap.on && self->overlap.trouble == DS_OK)
        self->overlap.trouble = exchange_overlap_ready(self, samples, param);
}

void ds_exchange_poll(ds_exchange *self)
{
    if (self->overlap.on && self->overlap.begun && self->overlap.trouble == DS_OK)
        self->overlap.trouble = exchange_overlap_look(self);
}

ds_status ds_exchange_overlap_finish(ds_exchange *self, size_t samples)
{
    DS_TRY(self->overlap.trouble);
    if (!self->overlap.begun)
        DS_TRY(exchange_overlap_begin(self, samples));
    DS_TRY(exchange_overlap_look(self));
    self->overlap.begun = false;
    return exchange_overlap_send(self, true);
}

ds_status ds_exchange_overlap_drop(ds_exchange *self)
{
    for (size_t i = 0; i < self->lanes; i++)
        DS_TRY(ds_mail_wait(self->lane[i].mail));
    return DS_OK;
}
