/* One run a directory. flock: freed by the system when the process ends, however it ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "descent/checkpoint.h"
#include "descent/log.h"

#include "fileio.h"

static ds_status runlock_refuse(int fd, const char *dir)
{
    char who[300] = "";
    ssize_t n = pread(fd, who, sizeof who - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
    close(fd);
    return DS_FAIL(DS_ERR_USAGE,
                   "%s: in use by another run (%s); wait for it, or give another --out", dir,
                   *who == '\0' ? "its name is not known yet" : who);
}

ds_status ds_run_lock(const char *dir, int *handle)
{
    char path[DS_PATH_ROOM], host[200] = "?", who[300];
    DS_TRY(ds_dir_make(dir));
    DS_TRY(ds_path_print(path, "%s/.lock", dir));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    DS_CHECK(fd >= 0, DS_ERR_WRITE, "%s: cannot be opened: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return runlock_refuse(fd, dir);
        ds_log(DS_LOG_WARN, "%s: no locks on this file system (%s); two runs here would collide",
               path, strerror(errno));
    }
    gethostname(host, sizeof host - 1);
    int n = snprintf(who, sizeof who, "pid %ld on %s\n", (long)getpid(), host);
    ds_status st = ds_file_write(fd, path, who, (size_t)n, 0);
    if (st == DS_OK && ftruncate(fd, n) != 0)
        st = DS_FAIL(DS_ERR_WRITE, "%s: cannot be cut: %s", path, strerror(errno));
    if (st != DS_OK) {
        close(fd);
        return st;
    }
    *handle = fd;
    return DS_OK;
}

void ds_run_unlock(int handle)
{
    if (handle >= 0)
        close(handle);
}
