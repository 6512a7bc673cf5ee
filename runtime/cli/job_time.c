/* The end of a Slurm job: SLURM_JOB_END_TIME where Slurm (23.02 and later) sets it, else squeue is
 * asked, once. popen starts it without a fork of this process, which some networks would not bear.
 */
#include "job_time.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/clock.h"
#include "descent/log.h"

/* `text` in one of the forms below: each letter is a number, of 'd'ays, 'h'ours, 'm'inutes or
 * 's'econds. */
static bool job_time_fits(const char *text, const char *form, int64_t *seconds)
{
    static const char units[] = "dhms";
    static const int64_t most[] = {999999, 23, 59, 59}, worth[] = {86400, 3600, 60, 1};
    *seconds = 0;
    for (const char *f = form; *f != '\0'; f++) {
        const char *unit = strchr(units, *f);
        if (unit == NULL) {
            if (*text++ != *f)
                return false;
            continue;
        }
        size_t digits = strspn(text, "0123456789");
        if (digits < 1 || digits > 6)
            return false;
        int64_t n = strtoll(text, NULL, 10);
        if (f != form && n > most[unit - units])
            return false;
        *seconds += n * worth[unit - units];
        text += digits;
    }
    return *text == '\0';
}

bool job_time_parse(const char *text, int64_t *seconds)
{
    static const char *const forms[] = {"d-h:m:s", "d-h:m", "d-h", "h:m:s", "m:s", "m"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (job_time_fits(text, forms[i], seconds))
            return true;
    return false;
}

static bool job_time_number(const char *text, int64_t *out)
{
    char *end = NULL;
    if (text == NULL || !isdigit((unsigned char)text[0]))
        return false;
    *out = strtoll(text, &end, 10);
    return *end == '\0';
}

/* The last task of a job array has the array's own number: it is asked for by its index. */
static bool job_time_name(size_t room, char *name)
{
    int64_t job, task;
    if (job_time_number(getenv("SLURM_ARRAY_JOB_ID"), &job) &&
        job_time_number(getenv("SLURM_ARRAY_TASK_ID"), &task))
        snprintf(name, room, "%lld_%lld", (long long)job, (long long)task);
    else if (job_time_number(getenv("SLURM_JOB_ID"), &job))
        snprintf(name, room, "%lld", (long long)job);
    else
        return false;
    return true;
}

/* squeue's word: a time, or UNLIMITED, NOT_SET, INVALID (it has passed). */
static bool job_time_ask(int64_t *left)
{
    char name[64], command[160], text[64] = "";
    if (!job_time_name(sizeof name, name))
        return false;
    snprintf(command, sizeof command, "timeout 10 squeue -h -j %s -o %%L 2>/dev/null", name);
    FILE *squeue = popen(command, "r");
    if (squeue == NULL)
        return false;
    if (fgets(text, sizeof text, squeue) == NULL)
        text[0] = '\0';
    pclose(squeue);
    text[strcspn(text, " \n")] = '\0';
    ds_log(DS_LOG_DEBUG, "squeue says that job %s has '%s' left", name, text);
    if (strcmp(text, "INVALID") == 0)
        *left = 0;
    else if (!job_time_parse(text, left))
        return false;
    return true;
}

int64_t job_time_end_ns(void)
{
    int64_t end, left;
    if (job_time_number(getenv("SLURM_JOB_END_TIME"), &end))
        left = end - (int64_t)ds_clock_wall_s();
    else if (!job_time_ask(&left))
        return 0;
    if (left <= 0) {
        ds_log(DS_LOG_WARN, "the time of this Slurm job is over: no save before its end; "
                            "checkpoints come as the config says");
        return 0;
    }
    return left < INT64_C(1000000000) ? ds_clock_ns() + left * 1000000000 : 0;
}
