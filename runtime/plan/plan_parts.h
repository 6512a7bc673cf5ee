/* The parts of ds_plan_create that have files of their own. */
#ifndef DS_PLAN_PARTS_H
#define DS_PLAN_PARTS_H

#include "descent/plan.h"

/* Local. Fill n_buckets, bucket_begin, slice, n_slices. */
ds_status ds_plan_cut_slices(ds_plan *self, const ds_config *config,
                             const ds_layout *layout) DS_NODISCARD;
/* Local. Fill hash: over the plan, the layout and the part of the config that shapes numbers. */
ds_status ds_plan_make_hash(ds_plan *self, const ds_config *config,
                            const ds_layout *layout) DS_NODISCARD;

/* Local. Does every group of the config meet a tensor? USAGE at its place. */
ds_status ds_plan_check_groups(const ds_config *config, const ds_layout *layout) DS_NODISCARD;
/* Local. Bytes of the slices of a rank (-1: of all) as they travel by the codec, or as floats. */
uint64_t ds_plan_slice_bytes(const ds_plan *self, const ds_codec *codec, int rank);

#endif
