/* What `descent diff` compares, by part. */
#ifndef DS_DIFF_H
#define DS_DIFF_H

#include <cjson/cJSON.h>

#include "descent/checkpoint.h"

typedef struct diff_job {
    bool json;
    const ds_checkpoint *a, *b;
    const char *section; /* its heading is printed before its first line */
    cJSON *root;
    size_t n_same, n_different;
    double max_abs; /* over all tensors that can be compared */
    uint64_t max_ulp;
    char first[1200];
} diff_job;

/* Local. A difference in `section` ("tensors"): a line of text, or `item` (taken over; may be NULL)
 * with "name" and "what" added. `decides`: the files are different by it. */
void diff_note(diff_job *self, const char *section, const char *name, const char *what,
               bool decides, cJSON *item);

/* diff_sections.c. Local. Config by key, losses by step, the other attributes of /run. */
ds_status diff_config(diff_job *self) DS_NODISCARD;
ds_status diff_history(diff_job *self) DS_NODISCARD;
void diff_attrs(diff_job *self);

#endif
