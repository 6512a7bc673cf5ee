/* The exchange's inside and its two transports. */
#ifndef DS_EXCHANGE_PARTS_H
#define DS_EXCHANGE_PARTS_H

#include "descent/wire.h"

#include "exchange.h"
#include "runs.h"
#include "scaling.h"

/* What ranks tell each other in shared memory in one step. Steps take turns with two of them, so
 * that a fast rank's next words do not run over those a slow one still reads. */
typedef struct ds_told {
    double *loss, *bad; /* (V) */
    int *overflow;      /* (ranks) */
    float *peak;        /* (2 ranks): of blocks, of parameters on their way back */
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

/* A bucket's partials under way: plain floats come in beside each other and go out from where they
 * lie; codes have room of their own. */
typedef struct ds_lane {
    ds_mail *mail;
    float *inbox;      /* foreign nodes' partials of our slices */
    uint8_t *out, *in; /* in code */
} ds_lane;

/* A bucket's new parameters under way. */
typedef struct ds_news {
    ds_mail *mail;
    uint8_t *out, *in; /* in code */
    size_t bucket;     /* that `in` is of, counted from 1; 0: none */
} ds_news;

struct ds_exchange {
    ds_exchange_spec spec;
    ds_sync *sync;
    ds_owner owner;
    ds_runs runs;
    const char *transport;
    size_t n_mine; /* nodes of this rank */
    float **block; /* (n_mine) */
    float *params;
    /* coded: */
    float **residual; /* (n_mine) flat blocks */
    float **before;   /* (n_mine) residuals as the step found them; NULL: no step is taken back */
    bool *loaded;     /* (n_mine): a residual came from a checkpoint */
    float peak;       /* largest value of this rank's blocks, residual included, this step */
    ds_scaling forward, back; /* of blocks; of parameters on their way back */
    char **state;             /* (n_nodes + 1) names */
    /* shared, and alone: */
    ds_shared *shared; /* NULL when alone */
    ds_told told[2];
    int turn; /* which of them this step uses */
    /* direct: */
    double *words; /* (2 V + 1): losses, bad flags, word. NULL: not direct */
    size_t lanes;  /* buckets under way at once: 2, with overlap all */
    ds_lane *lane; /* (lanes) */
    ds_news news[2];
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
static inline ds_lane *ds_exchange_lane(const ds_exchange *self, size_t bucket)
{
    return &self->lane[ds_exchange_order(self, bucket) % self->lanes];
}

static inline ds_news *ds_exchange_news(ds_exchange *self, size_t bucket)
{
    return &self->news[ds_exchange_order(self, bucket) % 2];
}

ds_status ds_exchange_shared_create(ds_exchange *self) DS_NODISCARD;
ds_status ds_exchange_shared_tell(ds_exchange *self, const ds_step *step,
                                  ds_outcome *out) DS_NODISCARD;
ds_status ds_exchange_shared_run(ds_exchange *self, const ds_exchange_job *job,
                                 ds_outcome *out) DS_NODISCARD;

/* Runs, and the plan's slices, of rank r in bucket b: [0] to [1]. */
static inline const size_t *ds_exchange_runs(const ds_exchange *self, size_t b, size_t r)
{
    return self->runs.begin + b * (size_t)self->sync->ranks + r;
}
static inline const size_t *ds_exchange_slices(const ds_exchange *self, size_t b, size_t r)
{
    return self->sync->spec.plan->bucket_begin + b * (size_t)self->sync->ranks + r;
}
/* Local. Floats of them; bytes as they travel. */
size_t ds_exchange_floats(const ds_exchange *self, size_t b, size_t r);
size_t ds_exchange_bytes(const ds_exchange *self, size_t b, size_t r);
/* Local. Room for `lanes` buckets under way. */
ds_status ds_exchange_lanes_create(ds_exchange *self) DS_NODISCARD;

/* Local. Set up masters, residuals, scales and names of state. */
ds_status ds_exchange_code_create(ds_exchange *self) DS_NODISCARD;
/* Local. Begin a step: the scales learnt so far. */
void ds_exchange_code_begin(ds_exchange *self);
/* Local. Block i of this rank in slices [begin, end) becomes what its code says; bytes may be NULL.
 * Returns their end. */
uint8_t *ds_exchange_code_slices(ds_exchange *self, size_t i, size_t begin, size_t end,
                                 uint8_t *bytes);
/* Local. The step's sum was known ahead and is not taken: residuals as before it. */
void ds_exchange_code_undo(ds_exchange *self);
/* Local. Bytes of a codec for the plan's slices [begin, end). */
size_t ds_exchange_code_bytes(const ds_exchange *self, size_t begin, size_t end);
/* Local. After a finite step: the largest values over all ranks. */
void ds_exchange_code_learn(ds_exchange *self, float forward, float back);

ds_status ds_exchange_direct_create(ds_exchange *self) DS_NODISCARD;
ds_status ds_exchange_direct_tell(ds_exchange *self, const ds_step *step,
                                  ds_outcome *out) DS_NODISCARD;
ds_status ds_exchange_direct_run(ds_exchange *self, const ds_exchange_job *job,
                                 ds_outcome *out) DS_NODISCARD;

/* Local. Start bucket b: what others hold of our slices; what we hold of theirs. */
ds_status ds_exchange_direct_receive(ds_exchange *self, size_t b) DS_NODISCARD;
ds_status ds_exchange_direct_send(ds_exchange *self, size_t b) DS_NODISCARD;

/* Local. A step's sum begins, of that many samples. */
void ds_exchange_begin(ds_exchange *self, size_t samples);
/* Local, alike on all ranks. Sets overlap.on; then room for it. */
void ds_exchange_overlap_choose(ds_exchange *self);
ds_status ds_exchange_overlap_create(ds_exchange *self) DS_NODISCARD;
/* Local. The backward pass is over: all buckets are on their way, whatever it ended with. */
ds_status ds_exchange_overlap_finish(ds_exchange *self, size_t samples) DS_NODISCARD;
/* Local, waits for peers. Let what was sent arrive, for nobody. */
ds_status ds_exchange_overlap_drop(ds_exchange *self) DS_NODISCARD;

/* Local. Must the sum be known before anything is updated? */
static inline bool ds_exchange_ahead(const ds_exchange *self)
{
    return self->spec.sum.clip_norm > 0 || self->spec.ahead;
}

#endif
