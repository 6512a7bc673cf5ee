/* Which checkpoints there are: the directory's names are the only list, links are hints. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "retention.h"

ds_status ds_step_path(const char *dir, int64_t step, char out[DS_PATH_ROOM])
{
    return ds_path_print(out, "%s/checkpoints/step-%08lld.h5", dir, (long long)step);
}

ds_status ds_link_step(const char *dir, const char *name, int64_t step)
{
    char target[64];
    snprintf(target, sizeof target, "checkpoints/step-%08lld.h5", (long long)step);
    return ds_link_move(dir, name, target);
}

int64_t ds_step_of(const char *name, const char *suffix)
{
    if (strncmp(name, "step-", 5) != 0)
        return -1;
    size_t digits = strspn(name + 5, "0123456789");
    const char *rest = name + 5 + digits;
    if (digits < 8 || digits > 18 || strncmp(rest, ".h5", 3) != 0 || strcmp(rest + 3, suffix) != 0)
        return -1;
    return strtoll(name + 5, NULL, 10);
}

static int steps_rising(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static ds_status steps_collect(DIR *stream, const char *suffix, size_t *n, int64_t **out)
{
    size_t room = 0;
    for (struct dirent *e = readdir(stream); e != NULL; e = readdir(stream)) {
        int64_t step = ds_step_of(e->d_name, suffix);
        if (step < 0)
            continue;
        if (*n == room) {
            room = room * 2 + 16;
            int64_t *more = realloc(*out, room * sizeof *more);
            DS_CHECK(more != NULL, DS_ERR_NOMEM, "out of memory for a list of checkpoints");
            *out = more;
        }
        (*out)[(*n)++] = step;
    }
    return DS_OK;
}

ds_status ds_steps_list(const char *folder, const char *suffix, size_t *n, int64_t **out)
{
    *n = 0;
    *out = NULL;
    DIR *stream = opendir(folder);
    if (stream == NULL && (errno == ENOENT || errno == ENOTDIR))
        return DS_OK;
    DS_CHECK(stream != NULL, DS_ERR_CHECKPOINT, "%s: cannot be listed: %s", folder,
             strerror(errno));
    ds_status st = steps_collect(stream, suffix, n, out);
    closedir(stream);
    if (st != DS_OK) {
        free(*out);
        *out = NULL;
        return st;
    }
    if (*n > 0)
        qsort(*out, *n, sizeof **out, steps_rising);
    return DS_OK;
}

int64_t ds_link_read(const char *dir, const char *name)
{
    char link[DS_PATH_ROOM], target[DS_PATH_ROOM];
    struct stat st;
    if (ds_path_print(link, "%s/%s", dir, name) != DS_OK || stat(link, &st) != 0)
        return -1;
    ssize_t n = readlink(link, target, sizeof target - 1);
    if (n <= 0)
        return -1;
    target[n] = '\0';
    const char *base = strrchr(target, '/');
    return ds_step_of(base == NULL ? target : base + 1, "");
}
