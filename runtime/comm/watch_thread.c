/* The watch's thread. Every tick (an eighth of the timeout, at most a second) it looks at its rank,
 * tells rank 0, and on rank 0 judges; between ticks it takes what comes. It allocates nothing and
 * calls no MPI. A pause of its own means that the program was suspended: everything it knows is
 * then taken as new, so nobody is late for having slept. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "descent/clock.h"

#include "watch_parts.h"

enum { WATCH_NS_MS = 1000000 };
static const int64_t thread_second = 1000000000;

static int64_t thread_period(const ds_watch *self, int64_t now)
{
    int64_t period = self->timeout_ns / 8;
    if (self->wire.fd >= 0 && !self->reached && now - self->start_ns < 2 * thread_second)
        return 20 * WATCH_NS_MS;
    if (period == 0 || period > thread_second)
        return thread_second;
    return period < 50 * WATCH_NS_MS ? 50 * WATCH_NS_MS : period;
}

static int64_t thread_io(const ds_watch *self)
{
    char text[512];
    int64_t sum = 0;
    ssize_t n = self->io < 0 ? 0 : pread(self->io, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    static const char *const key[] = {"rchar: ", "wchar: "};
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(text, key[i]);
        sum += at == NULL ? 0 : strtoll(at + strlen(key[i]), NULL, 10);
    }
    return sum;
}

static int64_t thread_processor(const ds_watch *self)
{
    struct timespec t = {0};
    clock_gettime(self->processor, &t);
    return t.tv_sec * thread_second + t.tv_nsec;
}

/* Has the rank done anything since the last look? */
static bool thread_works(ds_watch *self)
{
    const watch_notes *n = &self->notes;
    int64_t signs = n->beats, io = thread_io(self), cpu = thread_processor(self);
    bool works = signs != self->signs;
    if (n->phase < DS_PHASE_COMPUTING && !n->waiting)
        works |= io != self->io_bytes || cpu - self->processor_ns > WATCH_NS_MS;
    self->signs = signs;
    self->io_bytes = io;
    self->processor_ns = cpu;
    return works;
}

static watch_state thread_state(const ds_watch *self, int64_t now)
{
    const watch_notes *n = &self->notes;
    return (watch_state){.phase = n->phase,
                         .waiting = n->waiting,
                         .step = n->step,
                         .idle_ns = now - self->idle_from_ns};
}

static void thread_print(const ds_watch *self, const char *line)
{
    if (self->hooks.print != NULL)
        self->hooks.print(self->hooks.context, line);
}

/* What '?' asks for: this rank's state, and on rank 0 who does not answer. */
static void thread_tell(const ds_watch *self, int64_t now)
{
    const watch_notes *n = &self->notes;
    const ds_world *w = self->world;
    char line[768];
    size_t at = (size_t)snprintf(
        line, sizeof line, "rank %d of %d on %s: %s%s, step %" PRId64 ", for %.3f s; ", w->rank,
        w->size, w->host, ds_phase_name((ds_phase)n->phase),
        n->waiting ? " (waiting for others)" : "", n->step, (double)(now - n->since_ns) * 1e-9);
    at += (size_t)snprintf(line + at, sizeof line - at, "last step:");
    for (int p = 0; p < DS_PHASE_N; p++)
        if (n->last_ns[p] > 0)
            at += (size_t)snprintf(line + at, sizeof line - at, " %s %.6f s,",
                                   ds_phase_name((ds_phase)p), (double)n->last_ns[p] * 1e-9);
    if (line[at - 1] == ',')
        line[at - 1] = '\0';
    else
        snprintf(line + at, sizeof line - at, " none yet");
    thread_print(self, line);
    for (int r = 1; w->rank == 0 && r < w->size; r++) {
        const watch_seen *seen = &self->seen[r];
        int64_t silent = now - seen->heard_ns;
        if (!seen->heard || seen->gone || silent < 3 * thread_second)
            continue;
        snprintf(line, sizeof line,
                 "rank %d of %d on %s: silent for %.1f s, last seen in %s, step "
                 "%" PRId64,
                 r, w->size, self->host + r * WATCH_HOST, (double)silent * 1e-9,
                 ds_phase_name((ds_phase)seen->state.phase), seen->state.step);
        thread_print(self, line);
    }
}

static void thread_send(ds_watch *self, int kind, int to, int64_t now)
{
    watch_message m = {.kind = kind, .state = thread_state(self, now)};
    const watch_seen *peer = &self->seen[self->world->rank == 0 ? to : 0];
    m.stop = self->hooks.stop != NULL && *self->hooks.stop != 0;
    if (self->hooks.killed_ns != NULL && *self->hooks.killed_ns != 0)
        m.killed_in_ns = *self->hooks.killed_ns - now;
    bool lost = !peer->heard || now - peer->heard_ns > 3 * thread_second;
    watch_wire_send(&self->wire, to, lost || kind == WATCH_LEAVE, &m);
}

/* Rank 0 talks to all, the others to rank 0. */
static void thread_send_all(ds_watch *self, int kind, int64_t now)
{
    int rank = self->world->rank;
    for (int r = 0; r < self->wire.size; r++)
        if (r != rank && (rank == 0 || r == 0 || kind == WATCH_LEAVE))
            thread_send(self, kind, r, now);
}

static void thread_asked(ds_watch *self, int64_t killed_ns)
{
    pthread_mutex_lock(&self->lock);
    if (!self->asked && !self->hushed && self->hooks.asked != NULL)
        self->hooks.asked(self->hooks.context, killed_ns);
    self->asked = true;
    pthread_mutex_unlock(&self->lock);
}

static void thread_check_stop(ds_watch *self, int64_t now)
{
    if (self->told || self->hooks.stop == NULL || *self->hooks.stop == 0)
        return;
    self->told = true;
    if (self->world->rank == 0)
        thread_asked(self, self->hooks.killed_ns == NULL ? 0 : *self->hooks.killed_ns);
    else
        thread_send_all(self, WATCH_BEAT, now);
}

static void thread_leave(ds_watch *self)
{
    if (self->hooks.leave != NULL)
        self->hooks.leave(self->hooks.context);
    self->over = true;
}

/* The run is over: this rank says why, then all go. */
static void thread_end_run(ds_watch *self, const char *why, int64_t now)
{
    if (self->hooks.late != NULL)
        self->hooks.late(self->hooks.context, why);
    for (int i = 0; i < 3; i++) {
        thread_send_all(self, WATCH_LEAVE, now);
        nanosleep(&(struct timespec){.tv_nsec = 10 * WATCH_NS_MS}, NULL);
    }
    thread_leave(self);
}

static void thread_take(ds_watch *self, int64_t now)
{
    watch_message m;
    bool first = self->world->rank == 0;
    while (watch_wire_receive(&self->wire, &m)) {
        if (m.kind == WATCH_LEAVE) {
            thread_leave(self);
            return;
        }
        if (!first && m.from != 0)
            continue;
        watch_seen *seen = &self->seen[m.from];
        if (!seen->heard && m.kind == WATCH_BEAT) /* answer at once: a start takes no second */
            thread_send(self, WATCH_BEAT, m.from, now);
        *seen = (watch_seen){true, m.kind == WATCH_BYE, now, m.state};
        if (m.heard)
            self->reached = true;
        if (first && m.stop)
            thread_asked(self, m.killed_in_ns == 0 ? 0 : now + m.killed_in_ns);
    }
}

/* Rank 0 is gone, or nobody can tell: alone, and the lowest of those who see it first. */
static void thread_judge_alone(ds_watch *self, int64_t now)
{
    const ds_world *w = self->world;
    const watch_seen *first = &self->seen[0];
    int64_t turn = (w->rank < 5 ? w->rank - 1 : 4) * thread_second;
    int64_t patience = self->timeout_ns + 2 * thread_second + turn;
    if (!self->reached)
        patience = WATCH_DEAF * self->timeout_ns + 2 * thread_second + turn;
    int64_t silent = first->heard ? now - first->heard_ns : now - self->start_ns;
    int64_t idle = now - self->idle_from_ns;
    if (first->gone || idle < patience || silent < patience)
        return;
    char line[512];
    snprintf(line, sizeof line,
             "no progress for %.0f s (watch.timeout): late: rank 0 of %d on %s (silent for %.0f s: "
             "stopped, or its host or link is down), says rank %d on %s in %s, step %" PRId64,
             (double)self->timeout_ns * 1e-9, w->size, self->host, (double)silent * 1e-9, w->rank,
             w->host, ds_phase_name((ds_phase)self->notes.phase), self->notes.step);
    thread_end_run(self, line, now);
}

static void thread_judge(ds_watch *self, int64_t now)
{
    if (self->timeout_ns == 0)
        return;
    if (self->world->rank != 0) {
        thread_judge_alone(self, now);
        return;
    }
    char line[2048];
    self->seen[0] = (watch_seen){true, false, now, thread_state(self, now)};
    watch_table table = {self->world->size, now, self->timeout_ns, self->seen, self->host};
    if (watch_judge(&table, sizeof line, line))
        thread_end_run(self, line, now);
}

static void thread_forget(ds_watch *self, int64_t now)
{
    self->idle_from_ns = now;
    for (int r = 0; r < self->world->size; r++) {
        self->seen[r].heard_ns = now;
        self->seen[r].state.idle_ns = 0;
    }
}

static void thread_alive(ds_watch *self, int64_t now)
{
    if (self->world->rank != 0 || self->hooks.alive == NULL ||
        now - self->alive_ns < 10 * thread_second)
        return;
    self->alive_ns = now;
    pthread_mutex_lock(&self->lock);
    if (!self->asked && !self->hushed)
        self->hooks.alive(self->hooks.context, self->notes.step);
    pthread_mutex_unlock(&self->lock);
}

static void thread_tick(ds_watch *self, int64_t now)
{
    self->tick_ns = now;
    thread_alive(self, now);
    if (thread_works(self))
        self->idle_from_ns = now;
    thread_send_all(self, WATCH_BEAT, now);
    thread_judge(self, now);
}

/* Until a message, a wish, or the next tick. */
static void thread_pause(ds_watch *self, int64_t now, int64_t period)
{
    struct pollfd on[2] = {{.fd = self->wake[0], .events = POLLIN},
                           {.fd = self->wire.fd, .events = POLLIN}};
    int64_t left = self->tick_ns + period - now;
    int n = poll(on, 2, left > 0 ? (int)(left / WATCH_NS_MS) + 1 : 0);
    char wish[64];
    ssize_t got = n > 0 ? read(self->wake[0], wish, sizeof wish) : 0;
    if (got > 0 && memchr(wish, '?', (size_t)got) != NULL)
        thread_tell(self, ds_clock_ns());
}

void *watch_thread(void *watch)
{
    ds_watch *self = watch;
    thread_send_all(self, WATCH_BEAT, self->start_ns);
    while (!self->over) {
        int64_t now = ds_clock_ns(), period = thread_period(self, now);
        if (now - self->loop_ns > 3 * period + thread_second / 3)
            thread_forget(self, now);
        self->loop_ns = now;
        thread_check_stop(self, now);
        thread_take(self, now);
        if (now - self->tick_ns >= period && !self->over)
            thread_tick(self, now);
        if (!self->over)
            thread_pause(self, ds_clock_ns(), period);
    }
    thread_send_all(self, WATCH_BYE, ds_clock_ns());
    return NULL;
}
