/* descent status: what a run's status.json says, and whether anybody is still at it. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "descent/clock.h"

#include "args.h"
#include "command.h"

static ds_status status_read(const char *dir, size_t room, char *text)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/status.json", dir);
    FILE *file = fopen(path, "r");
    DS_CHECK(file != NULL, DS_ERR_USAGE, "cannot read %s: %s; expected a run directory", path,
             strerror(errno));
    size_t n = fread(text, 1, room - 1, file);
    fclose(file);
    text[n] = '\0';
    return DS_OK;
}

static const char *status_text(const cJSON *status, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(status, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static double status_number(const cJSON *status, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(status, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* On this host the process can be asked for; of others only the heartbeat tells. */
static bool status_is_silent(const cJSON *status, double age)
{
    char host[256] = "";
    double pid = status_number(status, "pid");
    gethostname(host, sizeof host - 1);
    if (strcmp(host, status_text(status, "host")) == 0 && pid > 0)
        return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    return age > 60;
}

/* Killed without a last word: `latest` tells what stands. */
static void status_print_what_stands(const char *dir)
{
    char path[4200], target[256];
    long long step = 0;
    snprintf(path, sizeof path, "%s/latest", dir);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    if (sscanf(target, "checkpoints/step-%lld.h5", &step) == 1)
        printf(
            "nobody is at it: killed without a word, or its host is lost; the checkpoint of step "
            "%lld stands: go on with descent train ... --resume\n",
            step);
    else
        printf("nobody is at it: killed without a word, or its host is lost, before its first "
               "checkpoint: start again with descent train ... --resume\n");
}

static void status_print(const char *dir, const cJSON *status)
{
    const char *state = status_text(status, "state"), *reason = status_text(status, "reason");
    double age = ds_clock_wall_s() - status_number(status, "heartbeat");
    bool silent = strcmp(state, "running") == 0 && status_is_silent(status, age);
    printf("%s: %s%s at step %.0f, code %.0f%s%s\n", dir, state, silent ? " but silent" : "",
           status_number(status, "step"), status_number(status, "code"),
           reason[0] == '\0' ? "" : ", ", reason);
    printf("last sign %.0f s ago, from process %.0f on %s\n", age, status_number(status, "pid"),
           status_text(status, "host"));
    if (silent)
        status_print_what_stands(dir);
}

static ds_status status_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    arg_list positional;
    bool json = false;
    const arg table[] = {{"--json", ARG_FLAG, &json}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("status", &positional, 1, 1, "one run directory"));
    char text[8192];
    DS_TRY(status_read(positional.item[0], sizeof text, text));
    cJSON *status = cJSON_Parse(text);
    bool known = status_text(status, "state")[0] != '\0';
    if (known && json)
        printf("%s\n", text);
    else if (known)
        status_print(positional.item[0], status);
    cJSON_Delete(status);
    DS_CHECK(known, DS_ERR_USAGE, "%s/status.json is damaged: it names no state",
             positional.item[0]);
    return DS_OK;
}

extern const ds_command ds_command_status;
const ds_command ds_command_status = {
    .name = "status",
    .usage = "status RUN [--json]",
    .help = "What the run directory RUN says of itself: running, done, resumable or failed, its "
            "step, why, and its last sign of life.\n",
    .run = status_run,
};
