/* What several commands do alike with files and texts. */
#ifndef DS_SHARED_TEXT_H
#define DS_SHARED_TEXT_H

#include <stdbool.h>

#include "descent/world.h"

/* Local. `path` made absolute against the working directory. */
ds_status shared_absolute(const char *path, size_t room, char *out) DS_NODISCARD;
/* Collective. Rank 0 reads the config file; its text (free() it) and absolute path reach all ranks.
 */
ds_status shared_config_text(ds_world *world, const char *config, char **text, size_t room,
                             char *path) DS_NODISCARD;
/* Collective. Does DIR/status.json, as rank 0 reads it, say done? */
bool shared_run_is_done(ds_world *world, const char *dir);

#endif
