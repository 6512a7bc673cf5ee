/* What libhdf5 does for a checkpoint: lay the file out, and read the attributes of /run. */
#ifndef DS_H5FILE_H
#define DS_H5FILE_H

#include <stdint.h>

#include "descent/checkpoint.h"

/* Local. Create `path` with all groups, datasets (their bytes unwritten) and attributes. offset
 * (entries) is where each dataset's bytes lie in the file, 0 for an empty one. Errors: WRITE. */
ds_status ds_h5_create(const char *path, const ds_snapshot *snapshot,
                       uint64_t *offset) DS_NODISCARD;
/* Local. The attributes of /run of a file whose structure has been verified; an array of *n, to be
 * freed with ds_attrs_free. Errors: CHECKPOINT. */
ds_status ds_h5_attrs(const char *path, size_t *n, ds_attr **out) DS_NODISCARD;
void ds_attrs_free(size_t n, ds_attr *attr);

#endif
