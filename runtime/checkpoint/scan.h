/* One pass over a checkpoint's body that says which tensors, which blocks and whether HDF5's own
 * structure are as they were written. */
#ifndef DS_SCAN_H
#define DS_SCAN_H

#include "format_v1.h"

typedef struct ds_scan {
    bool *good; /* (tensors) in the table's order; owned */
    bool structure_good;
    uint64_t bad_blocks, first_bad;
    bool all_good;
} ds_scan;

/* Local. Reads each byte of the body once. Damage is no error: it stands in `out`, which the caller
 * clears with ds_scan_clear. Errors: CHECKPOINT (cannot be read), NOMEM. */
ds_status ds_scan_run(int fd, const char *path, const ds_table *table, ds_scan *out) DS_NODISCARD;
void ds_scan_clear(ds_scan *scan);
/* Local. OK, or CHECKPOINT naming the damaged block and tensor. */
ds_status ds_scan_verdict(const ds_scan *self, const char *path,
                          const ds_table *table) DS_NODISCARD;
/* Local. Copy the bytes of the body that belong to no tensor from file `from` to file `to`, whose
 * name is `path`, and set their hash in the table's head. */
ds_status ds_structure_copy(int from, int to, const char *path, ds_table *table) DS_NODISCARD;

#endif
