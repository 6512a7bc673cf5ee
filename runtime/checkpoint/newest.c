/* Which checkpoint to go on from. Names decide the order, hashes decide whether a file counts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "descent/log.h"

#include "retention.h"
#include "scan.h"

static ds_status newest_set_aside(const char *path)
{
    char aside[DS_PATH_ROOM];
    DS_TRY(ds_path_print(aside, "%s.damaged", path));
    DS_CHECK(rename(path, aside) == 0, DS_ERR_WRITE, "%s: damaged and cannot be set aside: %s",
             path, strerror(errno));
    ds_log(DS_LOG_WARN, "%s; set aside as %s", ds_last_error(), aside);
    return DS_OK;
}

/* Rank 0. The newest of `step` (n, rising) that verifies; *best -1 where none does. */
static ds_status newest_good(const char *dir, size_t n, const int64_t *step, int64_t *best)
{
    char path[DS_PATH_ROOM];
    *best = -1;
    for (size_t i = n; i-- > 0;) {
        DS_TRY(ds_step_path(dir, step[i], path));
        bool damaged = false;
        ds_status st = ds_checkpoint_examine(path, &damaged);
        if (st == DS_OK) {
            *best = step[i];
            return DS_OK;
        }
        if (!damaged)
            return st;
        DS_TRY(newest_set_aside(path));
    }
    return DS_OK;
}

static ds_status newest_find(const char *dir, char path[DS_PATH_ROOM])
{
    char folder[DS_PATH_ROOM];
    size_t n, n_aside;
    int64_t *step, *aside, good = -1;
    *path = '\0';
    DS_TRY(ds_path_print(folder, "%s/checkpoints", dir));
    DS_TRY(ds_steps_list(folder, "", &n, &step));
    ds_status st = newest_good(dir, n, step, &good);
    free(step);
    DS_TRY(st);
    if (good >= 0) {
        if (ds_link_read(dir, "latest") != good)
            DS_TRY(ds_link_step(dir, "latest", good));
        return ds_step_path(dir, good, path);
    }
    /* Starting afresh over the remains of a run would lose it silently. */
    DS_TRY(ds_steps_list(folder, ".damaged", &n_aside, &aside));
    free(aside);
    DS_CHECK(n_aside == 0, DS_ERR_CHECKPOINT,
             "%s: no good checkpoint, %zu damaged ones (step-*.h5.damaged); remove them or use "
             "--overwrite to start afresh",
             folder, n_aside);
    return DS_OK;
}

ds_status ds_checkpoint_newest(ds_world *world, const char *dir, size_t room, char *path,
                               bool *found)
{
    char name[DS_PATH_ROOM] = "";
    ds_status st = DS_OK;
    if (ds_world_rank(world) == 0) {
        st = newest_find(dir, name);
        if (st == DS_OK && strlen(name) >= room)
            st = DS_FAIL(DS_ERR_USAGE, "%s: path too long, at most %zu characters", name, room);
    }
    st = ds_agree(world, st);
    if (st == DS_OK)
        st = ds_world_broadcast(world, name, sizeof name, 0);
    if (st != DS_OK)
        return st;
    *found = *name != '\0';
    if (*found)
        memcpy(path, name, strlen(name) + 1);
    return DS_OK;
}

/* The newest checkpoint's name in a folder, into out; false where there is none. */
static ds_status newest_in(const char *folder, char out[DS_PATH_ROOM], bool *found)
{
    size_t n;
    int64_t *step;
    DS_TRY(ds_steps_list(folder, "", &n, &step));
    *found = n > 0;
    ds_status st = DS_OK;
    if (n > 0)
        st = ds_path_print(out, "%s/step-%08lld.h5", folder, (long long)step[n - 1]);
    free(step);
    return st;
}

static ds_status newest_of_directory(const char *argument, char out[DS_PATH_ROOM])
{
    char folder[DS_PATH_ROOM];
    bool found = false;
    int64_t latest = ds_link_read(argument, "latest");
    if (latest >= 0)
        return ds_step_path(argument, latest, out);
    DS_TRY(ds_path_print(folder, "%s/checkpoints", argument));
    DS_TRY(newest_in(folder, out, &found));
    if (!found)
        DS_TRY(newest_in(argument, out, &found));
    DS_CHECK(found, DS_ERR_CHECKPOINT,
             "%s: no checkpoint here: tried %s/latest, %s/step-*.h5 and %s/step-*.h5", argument,
             argument, folder, argument);
    return DS_OK;
}

ds_status ds_checkpoint_resolve(const char *argument, size_t room, char *path)
{
    char name[DS_PATH_ROOM];
    struct stat st;
    DS_CHECK(stat(argument, &st) == 0, DS_ERR_CHECKPOINT,
             "%s: %s; a checkpoint file or a run's directory was expected", argument,
             strerror(errno));
    DS_CHECK(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode), DS_ERR_CHECKPOINT,
             "%s: neither a regular file nor a directory; a checkpoint is a file", argument);
    if (S_ISREG(st.st_mode))
        DS_TRY(ds_path_print(name, "%s", argument));
    else
        DS_TRY(newest_of_directory(argument, name));
    DS_CHECK(strlen(name) < room, DS_ERR_USAGE, "%s: path too long, at most %zu characters", name,
             room);
    memcpy(path, name, strlen(name) + 1);
    return DS_OK;
}
