/* What the formats share: how a reader's findings become a data set. */
#ifndef DS_READ_H
#define DS_READ_H

#include "descent/dataset.h"

/* Local. Set out->n and out->input: `found` is a sample's shape in the file, `where` the file for
 * messages. The model's input must have as many elements and is then the shape. Errors: USAGE for
 * the training split (the config is wrong), DATA for others; DATA when n is 0. */
ds_status ds_read_input(const ds_read_request *request, const char *where, size_t n,
                        const ds_shape *found, ds_dataset *out) DS_NODISCARD;
/* Local. Targets from integers (n, out->n_labels): labels for CLASS (0 <= label < n_classes when
 * that is known), real numbers (n, 1) for REAL. */
ds_status ds_read_labels(const ds_read_request *request, const char *where, const int64_t *label,
                         ds_dataset *out) DS_NODISCARD;
/* Local. Labels from texts (n), from the lines `line` (n) of a file: all integers: sorted by value;
 * texts: bytewise. A mapping known to the request is used instead; texts not in it are errors. */
ds_status ds_read_classes(const ds_read_request *request, const char *where,
                          const char *const *text, const size_t *line,
                          ds_dataset *out) DS_NODISCARD;
/* Local. A number written in decimal, blanks around it allowed; locale-free. False for anything
 * else, also for hexadecimal; "nan" and "inf" are numbers (and not finite). */
bool ds_read_number(const char *text, double *out);
/* Local. Read by a given format; the options come from request->source. */
ds_status ds_read_format(const ds_format_ops *ops, const ds_read_request *request,
                         ds_dataset **out) DS_NODISCARD;

#endif
