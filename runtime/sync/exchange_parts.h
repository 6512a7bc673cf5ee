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
    float *inbox[2];  /* partials of one bucket, for the bucket at hand and the next */
    ds_mail *mail[2]; /* partials, as inbox */
    ds_mail *news[2]; /* new parameters */
};

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

/* Local. Must the sum be known before anything is updated? */
static inline bool ds_exchange_ahead(const ds_exchange *self)
{
    return self->spec.sum.clip_norm > 0 || self->spec.ahead;
}

#endif
