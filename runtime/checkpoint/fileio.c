/* POSIX files for checkpoints. Reads and writes are cut at 1 GiB, since one call moves at most
 * 2^31 - 4096 bytes. */
#include "fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILEIO_CHUNK ((size_t)1 << 30)

ds_status ds_path_print(char out[DS_PATH_ROOM], const char *fmt, ...)
{
    char text[DS_PATH_ROOM];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    DS_CHECK(n >= 0 && (size_t)n < sizeof text, DS_ERR_USAGE,
             "a path of %d characters, at most %d are possible: use a shorter directory", n,
             DS_PATH_ROOM - 1);
    memcpy(out, text, (size_t)n + 1);
    return DS_OK;
}

ds_status ds_file_open(const char *path, int *fd, uint64_t *bytes)
{
    struct stat st;
    int f = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    DS_CHECK(f >= 0, DS_ERR_CHECKPOINT, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(f, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(f);
        return DS_FAIL(DS_ERR_CHECKPOINT, "%s: not a regular file%s; a checkpoint is one", path,
                       S_ISDIR(st.st_mode) ? " but a directory" : "");
    }
    *fd = f;
    *bytes = (uint64_t)st.st_size;
    return DS_OK;
}

ds_status ds_file_read(int fd, const char *path, void *out, size_t n, uint64_t offset)
{
    unsigned char *to = out;
    while (n > 0) {
        ssize_t got = pread(fd, to, n < FILEIO_CHUNK ? n : FILEIO_CHUNK, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        DS_CHECK(got >= 0, DS_ERR_CHECKPOINT, "%s: cannot be read at byte %llu: %s", path,
                 (unsigned long long)offset, strerror(errno));
        DS_CHECK(got > 0, DS_ERR_CHECKPOINT, "%s: ends at byte %llu, %zu more were expected", path,
                 (unsigned long long)offset, n);
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return DS_OK;
}

ds_status ds_file_write(int fd, const char *path, const void *bytes, size_t n, uint64_t offset)
{
    const unsigned char *from = bytes;
    while (n > 0) {
        ssize_t put = pwrite(fd, from, n < FILEIO_CHUNK ? n : FILEIO_CHUNK, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        DS_CHECK(put > 0, DS_ERR_WRITE, "%s: cannot write %zu bytes: %s", path, n, strerror(errno));
        from += put;
        n -= (size_t)put;
        offset += (uint64_t)put;
    }
    return DS_OK;
}

ds_status ds_file_sync(int fd, const char *path)
{
    DS_CHECK(fsync(fd) == 0, DS_ERR_WRITE, "%s: cannot be brought to disk: %s", path,
             strerror(errno));
    return DS_OK;
}

ds_status ds_file_check(int fd, const char *path, uint64_t bytes)
{
    struct rlimit limit;
    DS_CHECK(getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes <= limit.rlim_cur, DS_ERR_WRITE,
             "%s: needs %llu bytes, the file size limit is %llu; raise it with ulimit -f", path,
             (unsigned long long)bytes, (unsigned long long)limit.rlim_cur);
    struct stat st;
    struct statvfs vfs;
    uint64_t held = fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
    if (fstatvfs(fd, &vfs) == 0) {
        uint64_t room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
        DS_CHECK(bytes <= room + held, DS_ERR_WRITE,
                 "%s: no space: needs %llu bytes, the file system has %llu free; make room", path,
                 (unsigned long long)bytes, (unsigned long long)(room + held));
    }
    return DS_OK;
}

ds_status ds_file_reserve(int fd, const char *path, uint64_t bytes)
{
    DS_TRY(ds_file_check(fd, path, bytes));
    if (fallocate(fd, 0, 0, (off_t)bytes) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        return DS_FAIL(DS_ERR_WRITE, "%s: cannot reserve %llu bytes: %s", path,
                       (unsigned long long)bytes, strerror(errno));
    return DS_OK;
}

ds_status ds_dir_make(const char *path)
{
    char part[DS_PATH_ROOM];
    DS_TRY(ds_path_print(part, "%s", path));
    for (char *p = part + 1; *part != '\0'; p++) {
        bool end = *p == '\0';
        if (*p != '/' && !end)
            continue;
        *p = '\0';
        if (mkdir(part, 0777) != 0) {
            int cause = errno;
            struct stat st;
            DS_CHECK(stat(part, &st) == 0 && S_ISDIR(st.st_mode), DS_ERR_WRITE,
                     "%s: cannot make the directory: %s", part,
                     cause == EEXIST ? "a file is in its place" : strerror(cause));
        }
        if (end)
            break;
        *p = '/';
    }
    return DS_OK;
}

ds_status ds_dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DS_CHECK(fd >= 0, DS_ERR_WRITE, "%s: cannot open the directory: %s", path, strerror(errno));
    int bad = fsync(fd);
    int cause = errno;
    close(fd);
    /* Some network file systems know no fsync of directories. */
    DS_CHECK(bad == 0 || cause == EINVAL || cause == ENOTSUP, DS_ERR_WRITE,
             "%s: the directory cannot be brought to disk: %s", path, strerror(cause));
    return DS_OK;
}

ds_status ds_link_move(const char *dir, const char *name, const char *target)
{
    char temporary[DS_PATH_ROOM], link[DS_PATH_ROOM];
    DS_TRY(ds_path_print(temporary, "%s/.%s.tmp", dir, name));
    DS_TRY(ds_path_print(link, "%s/%s", dir, name));
    unlink(temporary);
    DS_CHECK(symlink(target, temporary) == 0, DS_ERR_WRITE, "%s: cannot make the link: %s",
             temporary, strerror(errno));
    if (rename(temporary, link) != 0) {
        int cause = errno;
        unlink(temporary);
        return DS_FAIL(DS_ERR_WRITE, "%s: cannot be moved to %s: %s", link, target,
                       strerror(cause));
    }
    return ds_dir_sync(dir);
}
