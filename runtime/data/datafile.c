/* Plain files by read(2), gzip (RFC 1952) by zlib's inflate. Not by gzread: that takes garbage
 * after a gzip for its end, and data files must be refused when they are longer than they say. */
#include "datafile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { FILE_ROOM = 1 << 18, FILE_GZIP_RATIO = 1032 };

struct ds_datafile {
    char name[512];
    int fd;
    size_t most;
    bool gzip, member; /* inside a gzip member */
    bool ended;        /* of the bytes on disk */
    size_t at, have;   /* of room */
    z_stream z;
    unsigned char room[FILE_ROOM];
};

void ds_datafile_destroy(ds_datafile **file)
{
    if (*file == NULL)
        return;
    if ((*file)->gzip)
        inflateEnd(&(*file)->z);
    if ((*file)->fd >= 0)
        close((*file)->fd);
    free(*file);
    *file = NULL;
}

const char *ds_datafile_name(const ds_datafile *self)
{
    return self->name;
}

size_t ds_datafile_most(const ds_datafile *self)
{
    return self->most;
}

static ds_status file_fill(ds_datafile *self)
{
    memmove(self->room, self->room + self->at, self->have - self->at);
    self->have -= self->at;
    self->at = 0;
    while (self->have < FILE_ROOM && !self->ended) {
        ssize_t n = read(self->fd, self->room + self->have, FILE_ROOM - self->have);
        if (n < 0 && errno == EINTR)
            continue;
        DS_CHECK(n >= 0, DS_ERR_DATA, "%s: cannot be read: %s", self->name, strerror(errno));
        self->ended = n == 0;
        self->have += (size_t)n;
    }
    return DS_OK;
}

static ds_status file_check(ds_datafile *self, bool pipe)
{
    struct stat s;
    DS_CHECK(fstat(self->fd, &s) == 0, DS_ERR_DATA, "%s: %s", self->name, strerror(errno));
    DS_CHECK(!S_ISDIR(s.st_mode), DS_ERR_DATA, "%s: is a directory, expected a file", self->name);
    DS_CHECK(S_ISREG(s.st_mode) || pipe, DS_ERR_DATA,
             "%s: is no regular file (a pipe or device), expected a file", self->name);
    self->most = S_ISREG(s.st_mode) ? (size_t)s.st_size : SIZE_MAX;
    int flags = fcntl(self->fd, F_GETFL);
    DS_CHECK(flags >= 0 && fcntl(self->fd, F_SETFL, flags & ~O_NONBLOCK) == 0, DS_ERR_DATA,
             "%s: %s", self->name, strerror(errno));
    return DS_OK;
}

ds_status ds_datafile_open(const char *what, const char *path, bool pipe, ds_datafile **out)
{
    ds_auto(ds_datafile) self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for reading '%s'", path);
    snprintf(self->name, sizeof self->name, "%s '%s'", what, path);
    /* Of pipes only standard input is waited for. */
    bool standard = strcmp(path, "-") == 0;
    self->fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    DS_CHECK(self->fd >= 0, DS_ERR_DATA, "%s: %s; give a file that every rank can read", self->name,
             strerror(errno));
    DS_TRY(file_check(self, pipe && standard));
    DS_TRY(file_fill(self));
    if (self->have >= 2 && self->room[0] == 0x1f && self->room[1] == 0x8b) {
        DS_CHECK(inflateInit2(&self->z, 15 + 16) == Z_OK, DS_ERR_NOMEM,
                 "out of memory for reading %s", self->name);
        self->gzip = self->member = true;
        self->most =
            self->most > SIZE_MAX / FILE_GZIP_RATIO ? SIZE_MAX : self->most * FILE_GZIP_RATIO;
    }
    *out = ds_steal(self);
    return DS_OK;
}

/* Between members: either the file's end or the next member's magic. */
static ds_status file_next_member(ds_datafile *self)
{
    DS_TRY(file_fill(self));
    if (self->have == 0)
        return DS_OK;
    DS_CHECK(self->have >= 2 && self->room[0] == 0x1f && self->room[1] == 0x8b, DS_ERR_DATA,
             "%s: has bytes after the end of its gzip data; download it again", self->name);
    DS_CHECK(inflateReset(&self->z) == Z_OK, DS_ERR_INTERNAL, "%s: zlib refused", self->name);
    self->member = true;
    return DS_OK;
}

static ds_status file_inflate(ds_datafile *self, unsigned char *out, size_t n, size_t *got)
{
    size_t done = 0;
    while (done < n && (self->member || self->have > self->at || !self->ended)) {
        if (!self->member) {
            DS_TRY(file_next_member(self));
            continue;
        }
        if (self->at == self->have)
            DS_TRY(file_fill(self));
        size_t room = n - done < (1u << 30) ? n - done : 1u << 30;
        self->z.next_in = self->room + self->at;
        self->z.avail_in = (uInt)(self->have - self->at);
        self->z.next_out = out + done;
        self->z.avail_out = (uInt)room;
        int code = inflate(&self->z, Z_NO_FLUSH);
        self->at = self->have - self->z.avail_in;
        done += room - self->z.avail_out;
        DS_CHECK(code != Z_MEM_ERROR, DS_ERR_NOMEM, "out of memory for reading %s", self->name);
        DS_CHECK(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, DS_ERR_DATA,
                 "%s: its gzip data is damaged (%s); download it again", self->name,
                 self->z.msg == NULL ? "bad data" : self->z.msg);
        self->member = code != Z_STREAM_END;
        DS_CHECK(!self->member || self->at < self->have || !self->ended || done == n, DS_ERR_DATA,
                 "%s: is truncated (its gzip data stops early); download it again", self->name);
    }
    *got = done;
    return DS_OK;
}

ds_status ds_datafile_read(ds_datafile *self, void *out, size_t n, size_t *got)
{
    if (self->gzip)
        return file_inflate(self, out, n, got);
    size_t done = 0;
    while (done < n) {
        if (self->at == self->have) {
            DS_TRY(file_fill(self));
            if (self->have == 0)
                break;
        }
        size_t part = self->have - self->at < n - done ? self->have - self->at : n - done;
        memcpy((unsigned char *)out + done, self->room + self->at, part);
        self->at += part;
        done += part;
    }
    *got = done;
    return DS_OK;
}

ds_status ds_datafile_slurp(ds_datafile *self, char **text, size_t *n)
{
    size_t room = !self->gzip && self->most < SIZE_MAX / 2 ? self->most + 2 : FILE_ROOM;
    size_t used = 0, got = 0;
    char *all = malloc(room);
    ds_status status = DS_OK;
    while (all != NULL && status == DS_OK) {
        status = ds_datafile_read(self, all + used, room - 1 - used, &got);
        used += got;
        if (status != DS_OK || used < room - 1)
            break;
        char *more = realloc(all, room * 2);
        if (more == NULL)
            free(all);
        all = more;
        room *= 2;
    }
    DS_CHECK(all != NULL, DS_ERR_NOMEM, "out of memory for reading %s (%zu bytes)", self->name,
             room);
    if (status != DS_OK) {
        free(all);
        return status;
    }
    all[used] = '\0';
    *text = all;
    *n = used;
    return DS_OK;
}
