/* What stays: the newest checkpoints and the best; what is left over from a killed run goes. Rank 0
 * does it, all learn how it went. */
#include "retention.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descent/log.h"

#include "scan.h"

static ds_status retention_remove(const char *path)
{
    DS_CHECK(unlink(path) == 0 || errno == ENOENT, DS_ERR_WRITE, "%s: cannot be removed: %s", path,
             strerror(errno));
    return DS_OK;
}

static ds_status retention_stale(const char *dir, const char *folder)
{
    char path[DS_PATH_ROOM];
    static const char *const link[] = {".latest.tmp", ".best.tmp"};
    for (size_t i = 0; i < sizeof link / sizeof *link; i++) {
        DS_TRY(ds_path_print(path, "%s/%s", dir, link[i]));
        DS_TRY(retention_remove(path));
    }
    size_t n;
    int64_t *step;
    DS_TRY(ds_steps_list(folder, ".tmp", &n, &step));
    ds_status st = DS_OK;
    for (size_t i = 0; i < n && st == DS_OK; i++) {
        st = ds_path_print(path, "%s/step-%08lld.h5.tmp", folder, (long long)step[i]);
        if (st == DS_OK)
            st = retention_remove(path);
    }
    free(step);
    return st;
}

/* `latest` at the newest there is, no `best` that leads nowhere. */
static ds_status retention_links(const char *dir, int64_t newest)
{
    char link[DS_PATH_ROOM];
    if (newest >= 0 && ds_link_read(dir, "latest") != newest)
        DS_TRY(ds_link_step(dir, "latest", newest));
    if (newest < 0) {
        DS_TRY(ds_path_print(link, "%s/latest", dir));
        DS_TRY(retention_remove(link));
    }
    if (ds_link_read(dir, "best") < 0) {
        DS_TRY(ds_path_print(link, "%s/best", dir));
        DS_TRY(retention_remove(link));
    }
    return DS_OK;
}

/* Remove the steps of `step` (n, rising) that are out: beyond `after`, or older than the newest
 * `keep`. */
static ds_status retention_drop(const char *dir, size_t n, const int64_t *step, int64_t keep,
                                int64_t after)
{
    char path[DS_PATH_ROOM];
    int64_t best = ds_link_read(dir, "best"), newest = -1;
    for (size_t i = 0; i < n; i++) {
        bool old = keep > 0 && (int64_t)(n - i) > keep && step[i] != best;
        if (!old && step[i] <= after) {
            newest = step[i];
            continue;
        }
        DS_TRY(ds_step_path(dir, step[i], path));
        DS_TRY(retention_remove(path));
    }
    return retention_links(dir, newest);
}

static ds_status retention_run(const char *dir, int64_t keep, int64_t after)
{
    char folder[DS_PATH_ROOM];
    DS_TRY(ds_path_print(folder, "%s/checkpoints", dir));
    DS_TRY(retention_stale(dir, folder));
    size_t n;
    int64_t *step;
    DS_TRY(ds_steps_list(folder, "", &n, &step));
    /* What is later than `latest` is no part of this run (it went on from an older checkpoint):
     * ds_checkpoint_drop_after's business, and no reason to count this run's own as old. */
    int64_t latest = ds_link_read(dir, "latest");
    while (after == INT64_MAX && latest >= 0 && n > 0 && step[n - 1] > latest)
        n--;
    ds_status st = retention_drop(dir, n, step, keep, after);
    free(step);
    return st;
}

ds_status ds_checkpoint_prune(ds_world *world, const char *dir, int64_t keep)
{
    ds_status st = DS_OK;
    if (ds_world_rank(world) == 0)
        st = retention_run(dir, keep, INT64_MAX);
    return ds_agree(world, st);
}

ds_status ds_checkpoint_drop_after(ds_world *world, const char *dir, int64_t step)
{
    ds_status st = DS_OK;
    if (ds_world_rank(world) == 0)
        st = retention_run(dir, 0, step);
    return ds_agree(world, st);
}

ds_status ds_checkpoint_mark_best(ds_world *world, const char *dir, int64_t step)
{
    ds_status st = DS_OK;
    if (ds_world_rank(world) == 0) {
        char path[DS_PATH_ROOM];
        struct stat info;
        st = ds_step_path(dir, step, path);
        if (st == DS_OK && stat(path, &info) != 0)
            st = DS_FAIL(DS_ERR_INTERNAL, "%s: cannot become the best: %s", path, strerror(errno));
        if (st == DS_OK)
            st = ds_link_step(dir, "best", step);
    }
    return ds_agree(world, st);
}
