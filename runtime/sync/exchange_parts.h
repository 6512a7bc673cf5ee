/* The exchange's inside and its two transports. */
#ifndef DS_EXCHANGE_PARTS_H
#define DS_EXCHANGE_PARTS_H

#include "descent/wire.h"

#include "exchange.h"
#include "runs.h"

/* What ranks tell each other in shared memory in one step. Steps take turns with two of them, so
 * that a fast rank's next words do not run over those a slow one still reads. */
typedef struct ds_told {
    double *loss, *bad; /* (V) */
    int *overflow;      /* (ranks) */
    int *word;
} ds_told;

/* Buckets that are sent before the step's end (exchange_overlap.c). */
typedef struct ds_overlap {
    bool on, begun;
    size_t sent, arrived; /* buckets of this step, in their order */
    size_t *missing;      /* (n_buckets) tensors whose gradients are still to come */
    size_t *first, *end;  /* (n_params) buckets [first, end) that hold a tensor */
    int64_t since_ns;     /* when something was last seen under way; 0: nothing is */
    ds_status trouble;
} ds_overlap;

struct ds_exchange {
    ds_exchange_spec spec;
    ds_sync *sync;
    ds_owner owner;
    ds_runs runs;
    const char *transport;
    size_t n_mine; /* nodes of this rank */
    float **block; /* (n_mine) */
    float *params;
    /* shared, and alone: */
    ds_shared *shared; /* NULL when alone */
    ds_told told[2];
    int turn; /* which of them this step uses */
    /* direct: */
    double *words;    /* (2 V + 1): losses, bad flags, word. NULL: not direct */
    size_t lanes;     /* buckets under way at once: 2, with overlap all */
    float **inbox;    /* (lanes) partials of one bucket */
    ds_mail **mail;   /* (lanes) partials, as inbox */
    ds_mail *news[2]; /* new parameters */
    ds_overlap overlap;
};

/* Buckets go the way of the backward pass, the last one first; the i-th of them, and back. */
static inline size_t ds_exchange_bucket(const ds_exchange *self, size_t i)
{
    return self->sync->spec.plan->n_buckets - 1 - i;
}
static inline size_t ds_exchange_order(const ds_exchange *self, size_t bucket)
{
    return self->sync->spec.plan->n_buckets - 1 - bucket;
}
static inline size_t ds_exchange_lane(const ds_exchange *self, size_t bucket)
{
    return ds_exchange_order(self, bucket) % self->lanes;
}

/* Local. Bytes of this rank's block of shared memory. */
size_t ds_exchange_shared_bytes(ds_exchange *self);
ds_status ds_exchange_shared_create(ds_exchange *self) DS_NODISCARD;
ds_status ds_exchange_shared_tell(ds_exchange *self, const ds_step *step,
                                  ds_outcome *out) DS_NODISCARD;
ds_status ds_exchange_shared_run(ds_exchange *self, const ds_exchange_job *job,
                                 ds_outcome *out) DS_NODISCARD;
ds_status ds_exchange_direct_create(ds_exchange *self) DS_NODISCARD;
ds_status ds_exchange_direct_tell(ds_exchange *self, const ds_step *step,
                                  ds_outcome *out) DS_NODISCARD;
ds_status ds_exchange_direct_run(ds_exchange *self, const ds_exchange_job *job,
                                 ds_outcome *out) DS_NODISCARD;

/* Local. Start bucket b: what others hold of our slices; what we hold of theirs. */
ds_status ds_exchange_direct_receive(ds_exchange *self, size_t b) DS_NODISCARD;
ds_status ds_exchange_direct_send(ds_exchange *self, size_t b) DS_NODISCARD;

/* Local, alike on all ranks. Sets overlap.on; then room for it. */
void ds_exchange_overlap_choose(ds_exchange *self);
ds_status ds_exchange_overlap_create(ds_exchange *self) DS_NODISCARD;
/* Local. The backward pass is over: all buckets are on their way, whatever it ended with. */
ds_status ds_exchange_overlap_finish(ds_exchange *self) DS_NODISCARD;
/* Local, waits for peers. Let what was sent arrive, for nobody. */
ds_status ds_exchange_overlap_drop(ds_exchange *self) DS_NODISCARD;

/* Local. Must the sum be known before anything is updated? */
static inline bool ds_exchange_ahead(const ds_exchange *self)
{
    return self->spec.sum.clip_norm > 0 || self->spec.ahead;
}

#endif
