/* A data file read from front to end, plain or gzip (told by its content). */
#ifndef DS_DATAFILE_H
#define DS_DATAFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/status.h"

typedef struct ds_datafile ds_datafile;

/* Local. `what` names the file's part in messages ("train images"). "-" is stdin, which may
 * be a pipe where `pipe` is true. Another pipe is refused: it could be waited for without end.
 * Errors: DATA. */
ds_status ds_datafile_open(const char *what, const char *path, bool pipe,
                           ds_datafile **out) DS_NODISCARD;
void ds_datafile_destroy(ds_datafile **file);
/* Local. Up to n bytes; *got < n only at the end. Errors: DATA (unreadable, damaged gzip, garbage
 * after it). */
ds_status ds_datafile_read(ds_datafile *self, void *out, size_t n, size_t *got) DS_NODISCARD;
/* Local. No more than this many bytes can come (a gzip expands at most 1032 times), so that no
 * memory is asked for by a damaged header's word; SIZE_MAX for a pipe. */
size_t ds_datafile_most(const ds_datafile *self);
/* Local. All of it with a NUL after its n bytes; free() it. */
ds_status ds_datafile_slurp(ds_datafile *self, char **text, size_t *n) DS_NODISCARD;
const char *ds_datafile_name(const ds_datafile *self); /* "train images 'a/b.gz'", for messages */

#endif
