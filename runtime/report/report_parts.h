/* The parts of a report: the metrics file, the status file, the progress line. */
#ifndef DS_REPORT_PARTS_H
#define DS_REPORT_PARTS_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "descent/report.h"

/* Standard output, never waited for. */
typedef struct outlet {
    int fd;
    size_t n, missing; /* bytes that wait, lines that found no room */
    char held[1 << 16];
} outlet;

void outlet_open(outlet *self);
/* One line, or a redrawn one; it goes when there is room for it. */
void outlet_write(outlet *self, const char *text);
/* Nothing waits. */
bool outlet_clear(const outlet *self);
/* What waits goes now; `patient`: however long that takes, else as long as somebody reads. A signal
 * ends the wait. */
void outlet_finish(outlet *self, bool patient);
void outlet_close(outlet *self);

typedef struct progress {
    bool quiet;
    outlet out;
    int width;      /* of the terminal; 0: no terminal, plain lines */
    bool open_line; /* the cursor stands behind a progress line */
    int64_t total, first_step, last_ns, start_ns;
} progress;

void progress_open(progress *self, bool quiet, int64_t total);
/* A whole line above the progress line. */
void progress_say(progress *self, const char *fmt, ...) DS_PRINTF(2, 3);
/* Refresh, at most about ten times a second on a terminal, once in two seconds elsewhere. */
void progress_beat(progress *self, int64_t step, double loss, double rate);
/* Wipe the progress line and print what waits; see outlet_finish. */
void progress_finish(progress *self, bool patient);
void progress_close(progress *self);

/* Replace DIR/name atomically. */
ds_status report_replace(const char *dir, const char *name, const char *text) DS_NODISCARD;

/* Keep of DIR/trajectory.csv the whole lines up to `from_step` (-1: nothing), and append from
 * there.
 */
ds_status trajectory_open(const char *dir, int64_t from_step, const ds_trajectory *point,
                          FILE **out) DS_NODISCARD;
ds_status trajectory_write(FILE *file, int64_t step, const ds_trajectory *point) DS_NODISCARD;

/* Keep of DIR/metrics.jsonl the whole lines up to `from_step` (-1: nothing), and append from there.
 * *saved: among them is the checkpoint of from_step. */
ds_status metrics_open(const char *dir, int64_t from_step, FILE **out, bool *saved) DS_NODISCARD;
/* Write `event` as one compact line and delete it. `event` NULL means memory ran out. */
ds_status metrics_write(FILE *file, cJSON *event) DS_NODISCARD;

#endif
