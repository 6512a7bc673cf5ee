/* DIR/metrics.jsonl: one compact JSON object a line, flushed line by line. On resume it is cut back
 * to the checkpoint's step: a new file takes the lines that stay and is renamed over the old one,
 * so a kill in between loses nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report_parts.h"

/* A whole line of a run up to `step`? What the end of an earlier part said does not stay: the end
 * will say it again. */
static bool metrics_stays(const char *line, int64_t from_step, bool *saved)
{
    if (strchr(line, '\n') == NULL)
        return false;
    cJSON *event = cJSON_Parse(line);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(event, "step");
    const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "event"));
    bool stays = kind != NULL && strcmp(kind, "end") != 0 && strcmp(kind, "least_squares") != 0 &&
                 (!cJSON_IsNumber(step) || step->valuedouble <= (double)from_step);
    if (stays && strcmp(kind, "checkpoint") == 0 && cJSON_IsNumber(step))
        *saved = *saved || step->valuedouble == (double)from_step;
    cJSON_Delete(event);
    return stays;
}

static ds_status metrics_copy(FILE *from, FILE *to, int64_t from_step, bool *saved)
{
    char *line = NULL;
    size_t room = 0;
    bool good = true;
    while (good && getline(&line, &room, from) > 0)
        if (metrics_stays(line, from_step, saved))
            good = fputs(line, to) >= 0;
    free(line);
    good = good && !ferror(from) && fflush(to) == 0;
    DS_CHECK(good, DS_ERR_WRITE, "cannot write metrics.jsonl: %s", strerror(errno));
    return DS_OK;
}

ds_status metrics_open(const char *dir, int64_t from_step, FILE **out, bool *saved)
{
    *saved = false;
    char path[4096], next[4112];
    snprintf(path, sizeof path, "%s/metrics.jsonl", dir);
    snprintf(next, sizeof next, "%s.tmp", path);
    FILE *old = from_step >= 0 ? fopen(path, "r") : NULL;
    FILE *file = fopen(next, "w");
    ds_status status = DS_OK;
    if (file == NULL)
        status = DS_FAIL(DS_ERR_WRITE, "cannot write %s: %s", next, strerror(errno));
    if (status == DS_OK && old != NULL)
        status = metrics_copy(old, file, from_step, saved);
    if (old != NULL)
        fclose(old);
    if (status == DS_OK && rename(next, path) != 0)
        status = DS_FAIL(DS_ERR_WRITE, "cannot rename %s: %s", next, strerror(errno));
    if (status != DS_OK) {
        if (file != NULL)
            fclose(file);
        unlink(next);
        return status;
    }
    *out = file;
    return DS_OK;
}

ds_status metrics_write(FILE *file, cJSON *event)
{
    DS_CHECK(event != NULL, DS_ERR_NOMEM, "out of memory for a line of metrics.jsonl");
    char *text = cJSON_PrintUnformatted(event);
    cJSON_Delete(event);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for a line of metrics.jsonl");
    bool good = fprintf(file, "%s\n", text) > 0 && fflush(file) == 0;
    int why = errno;
    cJSON_free(text);
    DS_CHECK(good, DS_ERR_WRITE, "cannot write metrics.jsonl: %s", strerror(why));
    return DS_OK;
}
