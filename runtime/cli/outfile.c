/* Written beside its place, synced, renamed. What is no regular file (/dev/stdout, a pipe) is
 * written as it is: a rename would put a file in a device's place. */
#include "outfile.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ds_status outfile_open(const char *path, outfile *self)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    char *real = exists && S_ISREG(st.st_mode) ? realpath(path, NULL) : NULL;
    *self = (outfile){.name = path, .direct = exists && !S_ISREG(st.st_mode)};
    int n = snprintf(self->path, sizeof self->path, "%s", real == NULL ? path : real);
    free(real);
    DS_CHECK(n > 0 && (size_t)n < sizeof self->path, DS_ERR_USAGE,
             "the output's name has %d characters; expected 1 to %zu", n, sizeof self->path - 1);
    snprintf(self->next, sizeof self->next, "%s.%ld.tmp", self->path, (long)getpid());
    self->file = self->direct ? fopen(path, "w") : fopen(self->next, "w+");
    DS_CHECK(self->file != NULL, DS_ERR_WRITE, "cannot write %s: %s", path, strerror(errno));
    errno = 0;
    return DS_OK;
}

ds_status outfile_close(outfile *self, ds_status st)
{
    bool good = !ferror(self->file) && fflush(self->file) == 0 &&
                (self->direct || fsync(fileno(self->file)) == 0);
    int why = errno;
    if (fclose(self->file) != 0 && good) {
        good = false;
        why = errno;
    }
    if (st == DS_OK && good && (self->direct || rename(self->next, self->path) == 0))
        return DS_OK;
    why = good ? errno : why;
    if (!self->direct)
        unlink(self->next);
    if (st != DS_OK)
        return st;
    return DS_FAIL(DS_ERR_WRITE, "cannot write %s: %s", self->name, strerror(why));
}
