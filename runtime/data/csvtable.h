/* The columns of a table: their names, which are inputs and which are targets. */
#ifndef DS_CSVTABLE_H
#define DS_CSVTABLE_H

#include "csvtext.h"
#include "read.h"

enum { CSV_AUTO, CSV_TRUE, CSV_FALSE };

typedef struct csv_options {
    const char *path, *delimiter;
    const ds_value *target;
    int header;
} csv_options;

typedef struct csv_name {
    const char *text;
    size_t column;
} csv_name;

typedef struct csv_table {
    const csv_options *options;
    const ds_read_request *request;
    ds_arena *arena; /* of the data set: names live there */
    const char *where;
    size_t width;          /* fields of a record */
    const char **name;     /* (width), NULL without a header */
    const csv_name *names; /* (width), sorted by text */
    size_t n_inputs, n_targets;
    size_t *input, *target; /* their columns */
} csv_table;

/* Local. From the first record of `text`: is it a header, and what are the columns? Errors: DATA
 * for what the file lacks, USAGE with its place in the config for a target that does not exist. */
ds_status csv_table_begin(csv_table *self, const ds_csvtext *text) DS_NODISCARD;
/* Local. "'price'", or "4" (from 1) without a header, for messages; returns text. */
const char *csv_table_column(const csv_table *self, size_t column, size_t room, char *text);

#endif
