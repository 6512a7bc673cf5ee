/* The parts of a report: the metrics file, the status file, the progress line. */
#ifndef DS_REPORT_PARTS_H
#define DS_REPORT_PARTS_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "descent/report.h"

typedef struct progress {
    FILE *out;      /* NULL: quiet */
    int width;      /* of the terminal; 0: no terminal, plain lines */
    bool open_line; /* the cursor stands behind a progress line */
    int64_t total, first_step, last_ns, start_ns;
} progress;

void progress_open(progress *self, bool quiet, int64_t total);
/* A whole line above the progress line. */
void progress_say(progress *self, const char *fmt, ...) DS_PRINTF(2, 3);
/* Refresh, at most about ten times a second on a terminal, once in two seconds elsewhere. */
void progress_beat(progress *self, int64_t step, double loss, double rate);
void progress_close(progress *self);

/* Replace DIR/name atomically. */
ds_status report_replace(const char *dir, const char *name, const char *text) DS_NODISCARD;

/* Keep of DIR/metrics.jsonl the whole lines up to `from_step` (-1: nothing), and append from there.
 * *saved: among them is the checkpoint of from_step. */
ds_status metrics_open(const char *dir, int64_t from_step, FILE **out, bool *saved) DS_NODISCARD;
/* Write `event` as one compact line and delete it. `event` NULL means memory ran out. */
ds_status metrics_write(FILE *file, cJSON *event) DS_NODISCARD;

#endif
