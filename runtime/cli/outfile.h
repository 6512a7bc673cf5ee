/* A file that a command writes for its user: whole or not there. */
#ifndef DS_OUTFILE_H
#define DS_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>

#include "descent/status.h"

typedef struct outfile {
    FILE *file; /* to write to, and to read back */
    const char *name;
    char path[4096], next[4200]; /* its place, and where it is written until it is whole */
    bool direct;                 /* a device or a pipe: written in place */
} outfile;

/* Local. A new file beside `path`; a link is followed. Errors: USAGE (too long), WRITE. */
ds_status outfile_open(const char *path, outfile *self) DS_NODISCARD;
/* Local. With st DS_OK: synced and renamed to its place; else removed, what stood there stays.
 * Returns st, or WRITE. */
ds_status outfile_close(outfile *self, ds_status st) DS_NODISCARD;

#endif
