/* Is a file whole HDF5, as far as can be told without libhdf5? */
#ifndef DS_H5PROBE_H
#define DS_H5PROBE_H

#include "descent/status.h"

/* Local. Signature and superblock (HDF5 File Format Specification 3.0, II.A; versions 0 to 3,
 * behind a user block too), and a file at least as long as the superblock says. Errors: DATA. */
ds_status ds_h5probe(const char *what, const char *path) DS_NODISCARD;

#endif
