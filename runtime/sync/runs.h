/* The contiguous stretches of the flat block in which a rank's slices of a bucket lie: what one
 * message carries. */
#ifndef DS_RUNS_H
#define DS_RUNS_H

#include "sync_ops.h"

typedef struct ds_run {
    size_t at, n;                  /* floats of the flat block */
    size_t slice_begin, slice_end; /* the plan's slices in it */
} ds_run;

typedef struct ds_runs {
    size_t n;
    ds_run *run;
    size_t *begin; /* (n_buckets * ranks + 1), as the plan's bucket_begin */
} ds_runs;

/* Local. */
ds_status ds_runs_init(ds_runs *self, const ds_sync *sync) DS_NODISCARD;
/* Collective. Each rank's slices of `flat` reach all ranks. */
ds_status ds_runs_spread(const ds_runs *self, const ds_sync *sync, float *flat) DS_NODISCARD;

#endif
