/* DIR/trajectory.csv: where the parameters of a small problem went, a line a step, flushed line by
 * line. On resume it is cut back as metrics.jsonl is: a new file takes the lines that stay and is
 * renamed over the old one. A step is written before the checkpoint that knows it: none is missing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/option.h"

#include "report_parts.h"

static ds_status trajectory_head(FILE *file, const ds_trajectory *point)
{
    fputs("step", file);
    for (size_t i = 0; i < point->n; i++)
        fprintf(file, ",%s", point->column[i]);
    DS_CHECK(fputs(",f\n", file) >= 0 && fflush(file) == 0, DS_ERR_WRITE,
             "cannot write trajectory.csv: %s", strerror(errno));
    return DS_OK;
}

static ds_status trajectory_copy(FILE *from, FILE *to, int64_t from_step)
{
    char *line = NULL;
    size_t room = 0;
    bool good = true;
    while (good && getline(&line, &room, from) > 0) {
        char *end = NULL;
        long long step = strtoll(line, &end, 10);
        if (end != line && *end == ',' && strchr(line, '\n') != NULL && step <= from_step)
            good = fputs(line, to) >= 0;
    }
    free(line);
    good = good && !ferror(from) && fflush(to) == 0;
    DS_CHECK(good, DS_ERR_WRITE, "cannot write trajectory.csv: %s", strerror(errno));
    return DS_OK;
}

ds_status trajectory_open(const char *dir, int64_t from_step, const ds_trajectory *point,
                          FILE **out)
{
    char path[4096], next[4112];
    snprintf(path, sizeof path, "%s/trajectory.csv", dir);
    snprintf(next, sizeof next, "%s.tmp", path);
    FILE *file = fopen(next, "w");
    DS_CHECK(file != NULL, DS_ERR_WRITE, "cannot write %s: %s", next, strerror(errno));
    FILE *old = from_step >= 0 ? fopen(path, "r") : NULL;
    ds_status status = trajectory_head(file, point);
    if (status == DS_OK && old != NULL)
        status = trajectory_copy(old, file, from_step);
    if (old != NULL)
        fclose(old);
    if (status == DS_OK && rename(next, path) != 0)
        status = DS_FAIL(DS_ERR_WRITE, "cannot rename %s: %s", next, strerror(errno));
    if (status != DS_OK) {
        fclose(file);
        unlink(next);
        return status;
    }
    *out = file;
    return DS_OK;
}

ds_status trajectory_write(FILE *file, int64_t step, const ds_trajectory *point)
{
    fprintf(file, "%" PRId64, step);
    for (size_t i = 0; i < point->n; i++)
        fprintf(file, ",%.9g", ds_shown((double)point->w[i]));
    DS_CHECK(fprintf(file, ",%.17g\n", ds_shown(point->loss)) > 0 && fflush(file) == 0,
             DS_ERR_WRITE, "cannot write trajectory.csv: %s", strerror(errno));
    return DS_OK;
}
