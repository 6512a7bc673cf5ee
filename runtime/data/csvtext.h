/* A text of records and fields: RFC 4180, with any one-character delimiter. */
#ifndef DS_CSVTEXT_H
#define DS_CSVTEXT_H

#include <stdbool.h>

#include "datafile.h"

typedef struct ds_csvtext {
    const char *where; /* the file for messages, borrowed */
    char delimiter;
    size_t line;        /* where the last record read begins, from 1 */
    size_t n;           /* its fields */
    const char **field; /* (n), NUL-terminated, unquoted; they live as long as the text */
    /* the reader's own */
    char *all, *at, *end;
    size_t next_line, room;
} ds_csvtext;

/* Local. Read the whole file (.gz too, "-" is stdin); a UTF-8 BOM is passed over. Errors: DATA. */
ds_status ds_csvtext_open(const char *what, const char *path, bool pipe, char delimiter,
                          ds_csvtext **out) DS_NODISCARD;
void ds_csvtext_destroy(ds_csvtext **text);
/* Local. The next record; *got is false at the end. Empty lines at the end are passed over.
 * Errors: DATA with file:line (a quote that never closes, text around quotes, an empty line). */
ds_status ds_csvtext_next(ds_csvtext *self, bool *got) DS_NODISCARD;
/* Local. No more records than this are left. */
size_t ds_csvtext_most(const ds_csvtext *self);

#endif
