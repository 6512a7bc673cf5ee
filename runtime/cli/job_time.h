/* Time as Slurm writes it, and how much of it this job has left. */
#ifndef DS_JOB_TIME_H
#define DS_JOB_TIME_H

#include <stdbool.h>
#include <stdint.h>

/* Local. Seconds of D-HH:MM:SS, D-HH:MM, D-HH, HH:MM:SS, MM:SS or MM; false where `text` is none of
 * these: only the first number may be larger than a clock shows. */
bool job_time_parse(const char *text, int64_t *seconds);
/* Local; may start a program and wait for it. When the job that this process belongs to ends, on
 * ds_clock_ns's scale; 0 where there is no job, no limit, or nobody who knows it. A limit that has
 * passed is worth a warning, and none. */
int64_t job_time_end_ns(void);

#endif
