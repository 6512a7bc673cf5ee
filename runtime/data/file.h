/* A data file read from front to end, plain or gzip (told by its content). */
#ifndef DS_FILE_H
#define DS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/status.h"

typedef struct ds_file ds_file;

/* Local. `what` names the file's part in messages ("train images"). "-" is stdin. Pipes are taken
 * only where `pipe` is true: opening a foreign one could wait for ever. Errors: DATA. */
ds_status ds_file_open(const char *what, const char *path, bool pipe, ds_file **out) DS_NODISCARD;
void ds_file_destroy(ds_file **file);
/* Local. Up to n bytes; *got < n only at the end. Errors: DATA (unreadable, damaged gzip, garbage
 * after it). */
ds_status ds_file_read(ds_file *self, void *out, size_t n, size_t *got) DS_NODISCARD;
/* Local. No more than this many bytes can come (a gzip expands at most 1032 times), so that no
 * memory is asked for by a damaged header's word; SIZE_MAX for a pipe. */
size_t ds_file_most(const ds_file *self);
/* Local. All of it with a NUL after its n bytes; free() it. */
ds_status ds_file_slurp(ds_file *self, char **text, size_t *n) DS_NODISCARD;
const char *ds_file_name(const ds_file *self); /* "train images 'a/b.gz'", for messages */

#endif
