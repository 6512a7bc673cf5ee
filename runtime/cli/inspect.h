/* What `descent inspect` shows, by part. All print to standard output; Local. */
#ifndef DS_INSPECT_H
#define DS_INSPECT_H

#include <cjson/cJSON.h>

#include "descent/checkpoint.h"

enum { INSPECT_BINS = 40, INSPECT_SMALL_BINS = 16 };

typedef struct inspect_options {
    bool json, histogram;
    const char *tensor;
} inspect_options;

/* A file under inspection. */
typedef struct inspect_subject {
    const ds_checkpoint *file;
    const char *path;
    const char *damage; /* "" for a good one */
    bool histogram;
} inspect_subject;

/* Elements of the tensors below `group` ("/parameters/"), and how many tensors. */
size_t inspect_count(const ds_checkpoint *c, const char *group, size_t *n_tensors);

/* inspect_tree.c: one line of facts a section of the config, then the groups as a tree. */
ds_status inspect_tree(const inspect_subject *self) DS_NODISCARD;
/* inspect_json.c: all of it as JSON; one tensor as an object without its values. */
ds_status inspect_json(const inspect_subject *self) DS_NODISCARD;
ds_status inspect_json_tensor(const ds_checkpoint *c, size_t i, bool histogram,
                              cJSON *item) DS_NODISCARD;
/* inspect_values.c: one tensor with its values; its histogram in a line of its own: the least
 * value, a character a bin, the largest. */
ds_status inspect_values(const ds_checkpoint *c, size_t i, const inspect_options *o) DS_NODISCARD;
ds_status inspect_histogram(const ds_checkpoint *c, size_t i,
                            const ds_tensor_stats *s) DS_NODISCARD;

#endif
