/* The parts of reading a run's splits. */
#ifndef DS_SPLITS_H
#define DS_SPLITS_H

#include "descent/dataset.h"

/* Collective. The normalisation of `data`, in `arena`. */
ds_status splits_normalize(ds_world *world, ds_normalize how, const ds_dataset *data,
                           ds_arena *arena, ds_normalizer *out) DS_NODISCARD;

#endif
