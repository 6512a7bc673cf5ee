/* A rank's side of its watch: notes, which cost a few stores, and its start and end. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "descent/clock.h"
#include "descent/log.h"

#include "watch_parts.h"

enum { WATCH_REACH_MS = 3000 };

const char *ds_phase_name(ds_phase phase)
{
    static const char *const name[DS_PHASE_N] = {
        "set-up", "reading data", "evaluation", "checkpoint", "report", "computing", "exchange"};
    return phase < DS_PHASE_N ? name[phase] : "unknown";
}

#define put(at, value) atomic_store_explicit(&(at), (value), memory_order_relaxed)
#define get(at) atomic_load_explicit(&(at), memory_order_relaxed)

void ds_watch_note(ds_world *world, ds_phase phase, int64_t step)
{
    if (world->watch == NULL)
        return;
    watch_notes *n = &world->watch->notes;
    int64_t now = ds_clock_ns();
    int before = get(n->phase);
    put(n->spent_ns[before], get(n->spent_ns[before]) + now - get(n->since_ns));
    if (step != get(n->step))
        for (int p = 0; p < DS_PHASE_N; p++) {
            put(n->last_ns[p], get(n->spent_ns[p]));
            put(n->spent_ns[p], 0);
        }
    if (step != get(n->step) || before != (int)phase)
        put(n->since_ns, now);
    put(n->step, step);
    put(n->phase, (int)phase);
    put(n->beats, get(n->beats) + 1);
}

void ds_watch_beat(ds_world *world)
{
    if (world->watch != NULL)
        put(world->watch->notes.beats, get(world->watch->notes.beats) + 1);
}

void ds_watch_wait(const ds_world *world, bool waiting)
{
    if (world->watch == NULL)
        return;
    watch_notes *n = &world->watch->notes;
    put(n->waiting, waiting);
    if (!waiting)
        put(n->beats, get(n->beats) + 1);
}

static void watch_free(ds_watch **watch)
{
    ds_watch *self = *watch;
    if (self == NULL)
        return;
    watch_wire_close(&self->wire);
    for (int i = 0; i < 2; i++)
        if (self->wake[i] >= 0)
            close(self->wake[i]);
    if (self->io >= 0)
        close(self->io);
    pthread_mutex_destroy(&self->lock);
    free(self->host);
    free(self->seen);
    free(self);
    *watch = NULL;
}

static ds_status watch_make(ds_world *world, const ds_watch_hooks *hooks, ds_watch **out)
{
    ds_watch *self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "no memory for a watch");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/io", (int)gettid());
    *out = self;
    self->world = world;
    self->hooks = *hooks;
    self->wake[0] = self->wake[1] = self->wire.fd = -1;
    self->io = open(path, O_RDONLY | O_CLOEXEC);
    self->start_ns = self->loop_ns = self->tick_ns = self->idle_from_ns = ds_clock_ns();
    self->notes.since_ns = self->start_ns;
    self->reached = world->rank == 0;
    pthread_mutex_init(&self->lock, NULL);
    self->host = calloc((size_t)world->size, WATCH_HOST);
    self->seen = calloc((size_t)world->size, sizeof *self->seen);
    DS_CHECK(self->host != NULL && self->seen != NULL, DS_ERR_NOMEM,
             "no memory for a watch of %d ranks", world->size);
    DS_CHECK(pipe2(self->wake, O_CLOEXEC | O_NONBLOCK) == 0 &&
                 pthread_getcpuclockid(pthread_self(), &self->processor) == 0,
             DS_ERR_INTERNAL, "no pipe for a watch: too many open files?");
    return DS_OK;
}

/* Signals are for the rank's own thread. */
static ds_status watch_run(ds_watch *self)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    self->running = pthread_create(&self->thread, NULL, watch_thread, self) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    DS_CHECK(self->running, DS_ERR_INTERNAL, "no thread for a watch: too many processes?");
    return DS_OK;
}

ds_status ds_watch_start(ds_world *world, const ds_watch_hooks *hooks)
{
    ds_watch *self = NULL;
    ds_status st = ds_agree(world, watch_make(world, hooks, &self));
    if (st == DS_OK && world->size > 1) {
        char host[WATCH_HOST] = "";
        snprintf(host, sizeof host, "%.*s", WATCH_HOST - 1, world->host);
        st = watch_wire_open(world, &self->wire);
        if (st == DS_OK)
            st = ds_world_gather_all(world, host, sizeof host, self->host);
    } else if (st == DS_OK) {
        snprintf(self->host, WATCH_HOST, "%.*s", WATCH_HOST - 1, world->host);
    }
    if (st == DS_OK)
        st = ds_agree(world, watch_run(self));
    world->watch = self;
    if (st != DS_OK)
        ds_watch_stop(world);
    return st;
}

void ds_watch_stop(ds_world *world)
{
    ds_watch *self = world->watch;
    if (self == NULL)
        return;
    self->over = true;
    if (self->running) {
        (void)!write(self->wake[1], "", 1);
        pthread_join(self->thread, NULL);
    }
    watch_free(&world->watch);
}

/* A wall between ranks and rank 0 is found now, not when it matters. */
ds_status ds_watch_arm(ds_world *world, double timeout_s)
{
    ds_watch *self = world->watch;
    if (self == NULL)
        return DS_OK;
    for (int ms = 0; ms < WATCH_REACH_MS && !self->reached && timeout_s > 0; ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    int64_t deaf = timeout_s > 0 && !self->reached;
    DS_TRY(ds_world_sum_int(world, &deaf, 1));
    if (deaf > 0 && world->rank == 0)
        ds_log(
            DS_LOG_WARN,
            "watch: %lld of %d ranks cannot exchange UDP with rank 0 on %s (a firewall?): if one "
            "of them is lost it takes longer to notice, and it is not named",
            (long long)deaf, world->size, world->host);
    ds_watch_beat(world);
    self->timeout_ns = (int64_t)(timeout_s * 1e9);
    return DS_OK;
}

int ds_watch_wake(const ds_world *world)
{
    return world->watch == NULL ? -1 : world->watch->wake[1];
}

void ds_watch_hush(ds_world *world)
{
    if (world->watch == NULL)
        return;
    pthread_mutex_lock(&world->watch->lock);
    world->watch->hushed = true;
    pthread_mutex_unlock(&world->watch->lock);
}
