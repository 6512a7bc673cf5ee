/* Lists of names as attributes of HDF5 datasets. */
#ifndef DS_H5NAMES_H
#define DS_H5NAMES_H

#include <hdf5.h>

#include "descent/dataset.h"

#define H5NAMES_CLASSES "class_names" /* of the targets: label i is class_names[i] */
#define H5NAMES_COUNT "n_classes"     /* of the targets, int64: there are so many, named or not */
#define H5NAMES_COLUMNS "columns"     /* of inputs and targets */

/* Local. The strings of attribute `name` of `object`, in `arena`; *n is 0 where it has none.
 * `where` is for messages. Errors: DATA. */
ds_status ds_h5names_read(hid_t object, const char *name, const char *where, ds_arena *arena,
                          size_t *n, const char *const **out) DS_NODISCARD;
/* Local. Whole number `name` of `object`, 0 where it has none. */
int64_t ds_h5names_count(hid_t object, const char *name);
/* Local. Write them: fixed-length UTF-8. False where HDF5 cannot; n > 0. */
bool ds_h5names_write(hid_t object, const char *name, size_t n, const char *const *names);
bool ds_h5names_write_count(hid_t object, const char *name, int64_t value);

#endif
