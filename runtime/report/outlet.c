/* Standard output that never holds up a run. A terminal, a pipe or mpirun that does not read would
 * block a writer: mpirun sleeps between the signals it sends on its own end, and a rank that waits
 * for it to read is killed before it has saved. Text waits here until it can go; what finds no
 * room is left out and counted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report_parts.h"

enum { OUTLET_PIECE = 512, OUTLET_LAST_MS = 300 };

/* O_NONBLOCK belongs to the open file, which other programs share: pipes and terminals are opened
 * anew. A regular file has its own place to write at, and never blocks. */
void outlet_open(outlet *self)
{
    *self = (outlet){.fd = 1};
    struct stat kind;
    if (fstat(1, &kind) != 0 || !(S_ISFIFO(kind.st_mode) || isatty(1)))
        return;
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        self->fd = fd;
}

/* Where it could not be opened anew, small pieces after a look at the room almost never wait. */
static bool outlet_piece(outlet *self, int wait_ms)
{
    struct pollfd ready = {.fd = self->fd, .events = POLLOUT};
    if (poll(&ready, 1, wait_ms) <= 0)
        return false;
    size_t n = self->n < OUTLET_PIECE ? self->n : OUTLET_PIECE;
    ssize_t wrote = write(self->fd, self->held, n);
    if (wrote < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (wrote <= 0) /* nobody reads, a full disk: it is only for show */
        wrote = (ssize_t)self->n;
    self->n -= (size_t)wrote;
    memmove(self->held, self->held + wrote, self->n);
    return true;
}

static void outlet_push(outlet *self)
{
    while (self->n > 0 && outlet_piece(self, 0)) {
    }
}

/* Room for new text: the older half of the whole lines that wait goes; the first one may have been
 * begun. */
static void outlet_drop(outlet *self)
{
    char note[80];
    const char *first = memchr(self->held, '\n', self->n);
    size_t keep = first == NULL ? 0 : (size_t)(first - self->held) + 1, to = keep;
    while (to < self->n && to < sizeof self->held / 2) {
        const char *end = memchr(self->held + to, '\n', self->n - to);
        to = end == NULL ? self->n : (size_t)(end - self->held) + 1;
        self->missing++;
    }
    size_t n = (size_t)snprintf(note, sizeof note,
                                "(%zu lines left out so far: nobody was reading)\n", self->missing);
    if (keep + n > to)
        return;
    memcpy(self->held + keep, note, n);
    memmove(self->held + keep + n, self->held + to, self->n - to);
    self->n -= to - keep - n;
}

void outlet_write(outlet *self, const char *text)
{
    size_t n = strlen(text);
    outlet_push(self);
    if (self->n + n > sizeof self->held)
        outlet_drop(self);
    if (self->n + n > sizeof self->held)
        return;
    memcpy(self->held + self->n, text, n);
    self->n += n;
    outlet_push(self);
}

bool outlet_clear(const outlet *self)
{
    return self->n == 0;
}

void outlet_finish(outlet *self, bool patient)
{
    while (self->n > 0 && outlet_piece(self, patient ? -1 : OUTLET_LAST_MS)) {
    }
}

void outlet_close(outlet *self)
{
    if (self->fd > 1)
        close(self->fd);
    self->fd = -1;
}
