#include "shared_text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/config.h"

ds_status shared_absolute(const char *path, size_t room, char *out)
{
    char here[4096] = "";
    DS_CHECK(path[0] == '/' || getcwd(here, sizeof here) != NULL, DS_ERR_USAGE,
             "the working directory has no name: %s", strerror(errno));
    int n =
        path[0] == '/' ? snprintf(out, room, "%s", path) : snprintf(out, room, "%s/%s", here, path);
    DS_CHECK(n >= 0 && (size_t)n < room, DS_ERR_USAGE, "path too long: %.100s...", path);
    return DS_OK;
}

static ds_status shared_take(ds_world *world, char **text, int64_t length)
{
    if (ds_world_rank(world) != 0) {
        *text = malloc((size_t)length);
        DS_CHECK(*text != NULL, DS_ERR_NOMEM, "out of memory for a config of %lld bytes",
                 (long long)length);
    }
    return DS_OK;
}

ds_status shared_config_text(ds_world *world, const char *config, char **text, size_t room,
                             char *path)
{
    bool first = ds_world_rank(world) == 0;
    ds_status mine = DS_OK;
    if (first)
        mine = shared_absolute(config, room, path);
    if (first && mine == DS_OK)
        mine = ds_config_read(config, text);
    DS_TRY(ds_follow(world, mine));
    int64_t length = first ? (int64_t)strlen(*text) + 1 : 0;
    DS_TRY(ds_world_broadcast(world, &length, sizeof length, 0));
    DS_TRY(ds_agree(world, shared_take(world, text, length)));
    DS_TRY(ds_world_broadcast(world, *text, (size_t)length, 0));
    return ds_world_broadcast(world, path, room, 0);
}

static bool shared_reads_done(const char *dir)
{
    char path[4200], text[4096];
    snprintf(path, sizeof path, "%s/status.json", dir);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    cJSON *status = cJSON_Parse(text);
    const cJSON *state = cJSON_GetObjectItemCaseSensitive(status, "state");
    bool done = cJSON_IsString(state) && strcmp(state->valuestring, "done") == 0;
    cJSON_Delete(status);
    return done;
}

bool shared_run_is_done(ds_world *world, const char *dir)
{
    int done = ds_world_rank(world) == 0 && shared_reads_done(dir);
    return ds_world_broadcast(world, &done, sizeof done, 0) == DS_OK && done != 0;
}
