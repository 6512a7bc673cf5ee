/* The progress of a run for a person. On a terminal one line is drawn over and over; elsewhere
 * plain lines, few of them. Under mpirun a rank's own stdout is always a pseudo-terminal, so
 * mpirun's stdout is asked instead. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "descent/clock.h"
#include "descent/option.h"

#include "report_parts.h"

static int progress_width(void)
{
    char path[64] = "/proc/self/fd/1";
    if (getenv("OMPI_COMM_WORLD_RANK") != NULL)
        snprintf(path, sizeof path, "/proc/%d/fd/1", (int)getppid());
    int fd = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    struct winsize size = {0};
    int width = isatty(fd) ? 80 : 0;
    if (width > 0 && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    close(fd);
    return width;
}

void progress_open(progress *self, bool quiet, int64_t total)
{
    memset(self, 0, sizeof *self);
    self->quiet = quiet;
    self->total = total;
    self->first_step = -1;
    outlet_open(&self->out);
    if (!quiet)
        self->width = progress_width();
    self->start_ns = ds_clock_ns();
}

static void progress_wipe(progress *self)
{
    if (self->open_line)
        outlet_write(&self->out, "\r\033[K");
    self->open_line = false;
}

void progress_say(progress *self, const char *fmt, ...)
{
    if (self->quiet)
        return;
    progress_wipe(self);
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    strcat(line, "\n");
    outlet_write(&self->out, line);
}

static void progress_eta(const progress *self, int64_t step, int64_t now, size_t room, char *text)
{
    text[0] = '\0';
    if (self->total == INT64_MAX || step <= self->first_step)
        return;
    double each = (double)(now - self->start_ns) * 1e-9 / (double)(step - self->first_step);
    long left = (long)(each * (double)(self->total - step) + 0.5);
    if (left >= 3600)
        snprintf(text, room, "  ETA %ld:%02ld:%02ld", left / 3600, left / 60 % 60, left % 60);
    else
        snprintf(text, room, "  ETA %ld:%02ld", left / 60, left % 60);
}

void progress_beat(progress *self, int64_t step, double loss, double rate)
{
    int64_t now = ds_clock_ns();
    if (self->first_step < 0) {
        self->first_step = step;
        self->start_ns = now;
    }
    int64_t wait = self->width > 0 ? 100000000 : 2000000000;
    if (self->quiet || now - self->last_ns < wait || !outlet_clear(&self->out))
        return;
    self->last_ns = now;
    char eta[64], line[256], drawn[320], of[32] = "";
    progress_eta(self, step, now, sizeof eta, eta);
    if (self->total != INT64_MAX)
        snprintf(of, sizeof of, "/%lld", (long long)self->total);
    snprintf(line, sizeof line, "step %lld%s  loss %.4f  %.0f samples/s%s", (long long)step, of,
             ds_shown(loss), rate, eta);
    if (self->width == 0)
        snprintf(drawn, sizeof drawn, "%s\n", line);
    else
        snprintf(drawn, sizeof drawn, "\r%.*s\033[K", self->width - 1, line);
    self->open_line = self->width > 0;
    outlet_write(&self->out, drawn);
}

void progress_finish(progress *self, bool patient)
{
    if (self->quiet)
        return;
    progress_wipe(self);
    outlet_finish(&self->out, patient);
}

void progress_close(progress *self)
{
    progress_finish(self, false);
    outlet_close(&self->out);
}
