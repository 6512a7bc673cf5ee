/* DIR/status.json, replaced atomically: what a batch script reads to know whether a run is done,
 * can be resumed, or failed. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "descent/clock.h"

#include "report_parts.h"

ds_status report_replace(const char *dir, const char *name, const char *text)
{
    char path[4200], next[4210];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(next, sizeof next, "%s.tmp", path);
    FILE *file = fopen(next, "w");
    DS_CHECK(file != NULL, DS_ERR_WRITE, "cannot write %s: %s", next, strerror(errno));
    bool good = fputs(text, file) >= 0;
    good = fclose(file) == 0 && good;
    DS_CHECK(good && rename(next, path) == 0, DS_ERR_WRITE, "cannot write %s: %s", path,
             strerror(errno));
    return DS_OK;
}

ds_status ds_status_file_write(const char *dir, const char *state, int code, int64_t step,
                               const char *reason)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "state", state);
    cJSON_AddNumberToObject(o, "code", code);
    cJSON_AddNumberToObject(o, "step", (double)step);
    cJSON_AddStringToObject(o, "reason", reason);
    cJSON_AddNumberToObject(o, "heartbeat", ds_clock_wall_s());
    cJSON_AddNumberToObject(o, "pid", (double)getpid());
    cJSON_AddStringToObject(o, "host", host);
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for status.json");
    ds_status status = report_replace(dir, "status.json", text);
    cJSON_free(text);
    return status;
}
