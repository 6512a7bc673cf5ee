/* Layers' factors for an optimizer that wants them: their inverses, where the tensors' owner needs
 * them. */
#ifndef DS_FACTORS_H
#define DS_FACTORS_H

#include "sync_ops.h"

typedef struct ds_inverses ds_inverses;

typedef struct ds_inverses_spec {
    ds_sync *sync;
    const size_t *owned_at; /* (n_slices): SIZE_MAX: not ours */
    const ds_rule *rule;    /* (n_params) */
} ds_inverses_spec;

/* Local. Room in the sync's arena for the inverses that our slices need. */
ds_status ds_inverses_create(const ds_inverses_spec *spec, ds_inverses **out) DS_NODISCARD;
/* Local. What slice i's tensor is updated with, or NULL. */
const ds_factors *ds_inverses_of(const ds_inverses *self, size_t i);
/* Local. Factors have moved, or parameters were loaded. */
void ds_inverses_stale(ds_inverses *self);
/* Local. Before any rank's next update: invert the factors in `params` if they have moved. */
void ds_inverses_refresh(ds_inverses *self, const float *params);

#endif
