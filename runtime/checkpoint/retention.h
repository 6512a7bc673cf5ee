/* Names of a run's checkpoints: paths, links, listings. */
#ifndef DS_RETENTION_H
#define DS_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "fileio.h"

/* Local. DIR/checkpoints/step-00000100.h5, and DIR/NAME -> it, relative. */
ds_status ds_step_path(const char *dir, int64_t step, char out[DS_PATH_ROOM]) DS_NODISCARD;
ds_status ds_link_step(const char *dir, const char *name, int64_t step) DS_NODISCARD;

/* Local. The step of "step-00000100.h5" when `suffix` is "" (".tmp", ".damaged": with that after
 * it); -1 for any other name. */
int64_t ds_step_of(const char *name, const char *suffix);
/* Local. Steps of the checkpoints in a folder, rising; malloc'ed, NULL when n is 0. A folder that
 * does not exist holds none. Errors: CHECKPOINT (cannot be read). */
ds_status ds_steps_list(const char *folder, const char *suffix, size_t *n,
                        int64_t **out) DS_NODISCARD;
/* Local. The step that link DIR/NAME points at, -1 when there is no such link or file. */
int64_t ds_link_read(const char *dir, const char *name);

#endif
