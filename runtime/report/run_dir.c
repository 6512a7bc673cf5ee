/* A run's directory: who may use it, and its small files. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descent/checkpoint.h"

#include "report_parts.h"

static ds_status run_dir_make(const char *dir)
{
    char path[4096];
    DS_CHECK(strlen(dir) > 0 && strlen(dir) < sizeof path - 64, DS_ERR_USAGE,
             "the run's directory has a name of %zu characters; expected 1 to %zu", strlen(dir),
             sizeof path - 65);
    snprintf(path, sizeof path, "%s", dir);
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        DS_CHECK(mkdir(path, 0777) == 0 || errno == EEXIST, DS_ERR_WRITE,
                 "cannot create directory %s: %s", path, strerror(errno));
        *p = end;
        if (end == '\0')
            break;
    }
    struct stat info;
    DS_CHECK(stat(dir, &info) == 0 && S_ISDIR(info.st_mode), DS_ERR_WRITE,
             "%s is there and no directory: give another --out", dir);
    DS_CHECK(access(dir, W_OK | X_OK) == 0, DS_ERR_WRITE, "cannot write into %s: %s", dir,
             strerror(errno));
    return DS_OK;
}

static bool run_dir_has(const char *dir, const char *name)
{
    char path[4200];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &info) == 0;
}

static ds_status run_dir_remove(const char *dir, const char *name)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    DS_CHECK(unlink(path) == 0 || errno == ENOENT, DS_ERR_WRITE, "cannot remove %s: %s", path,
             strerror(errno));
    return DS_OK;
}

static ds_status run_dir_remove_checkpoints(const char *dir)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return DS_OK;
    ds_status status = DS_OK;
    for (struct dirent *item; status == DS_OK && (item = readdir(folder)) != NULL;)
        if (strncmp(item->d_name, "step-", 5) == 0)
            status = run_dir_remove(path, item->d_name);
    closedir(folder);
    return status;
}

static const char *const run_dir_files[] = {"latest",      "best",           "metrics.jsonl",
                                            "status.json", "trajectory.csv", "config.yaml"};
enum { RUN_DIR_FILES = sizeof run_dir_files / sizeof *run_dir_files };

ds_status ds_run_dir_clear(const char *dir)
{
    for (size_t i = 0; i < RUN_DIR_FILES; i++)
        DS_TRY(run_dir_remove(dir, run_dir_files[i]));
    return run_dir_remove_checkpoints(dir);
}

ds_status ds_run_dir_open(const char *dir, ds_run_mode mode, bool *holds, int *lock)
{
    DS_TRY(run_dir_make(dir));
    int handle = -1;
    DS_TRY(ds_run_lock(dir, &handle));
    ds_status status = DS_OK;
    *holds = run_dir_has(dir, "config.yaml") || run_dir_has(dir, "metrics.jsonl") ||
             run_dir_has(dir, "checkpoints");
    if (*holds && mode == DS_RUN_NEW)
        status = DS_FAIL(DS_ERR_USAGE,
                         "%s holds a run: go on with --resume, start anew with --overwrite, or "
                         "give another --out",
                         dir);
    if (status != DS_OK) {
        ds_run_unlock(handle);
        return status;
    }
    *lock = handle;
    return DS_OK;
}

ds_status ds_run_dir_config(const char *dir, const char *text)
{
    return report_replace(dir, "config.yaml", text);
}
