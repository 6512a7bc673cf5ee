/* The table of a damaged checkpoint, as far as it can be trusted. */
#ifndef DS_SALVAGE_H
#define DS_SALVAGE_H

#include "format_v1.h"

/* Local. As ds_table_read; where header or table are damaged, or the file is cut off: the tensors
 * whose records still make sense, and what is wrong in (*out)->damage. Errors: CHECKPOINT where
 * nothing can be had. */
ds_status ds_table_salvage(int fd, const char *path, uint64_t bytes, ds_table **out) DS_NODISCARD;

#endif
