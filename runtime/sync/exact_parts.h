/* The exact strategy's state and its two transports. */
#ifndef DS_EXACT_PARTS_H
#define DS_EXACT_PARTS_H

#include "descent/wire.h"

#include "owner.h"
#include "runs.h"

/* What ranks tell each other in shared memory in one step. Steps take turns with two of them, so
 * that a fast rank's next words do not run over those a slow one still reads. */
typedef struct ds_told {
    double *loss, *bad; /* (V) */
    int *overflow;      /* (ranks) */
    int *word;
} ds_told;

typedef struct ds_exact {
    ds_owner owner;
    ds_runs runs;
    /* shared, and alone: */
    ds_shared *shared; /* NULL when alone */
    ds_told told[2];
    int turn;
    /* direct: */
    double *words;    /* (2 V + 1): losses, bad flags, word */
    float *inbox[2];  /* partials of one bucket, for the bucket at hand and the next */
    ds_mail *mail[2]; /* partials, as inbox */
    ds_mail *news[2]; /* new parameters */
} ds_exact;

/* Local. Bytes of this rank's block of shared memory. */
size_t ds_exact_shared_bytes(ds_sync *self);
ds_status ds_exact_shared_create(ds_sync *self) DS_NODISCARD;
ds_status ds_exact_shared_step(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;
ds_status ds_exact_direct_create(ds_sync *self) DS_NODISCARD;
ds_status ds_exact_direct_step(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;

/* Local. Must the norm be known before anything is updated? */
static inline bool ds_exact_ahead(const ds_sync *self)
{
    return self->spec.config->clip_norm > 0 || self->spec.config->train.skip_nan;
}

#endif
