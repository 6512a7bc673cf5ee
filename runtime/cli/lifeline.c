/* Signals set flags and wake the watch (descent/watch.h), whose thread then does what a handler may
 * not, even while the program's own thread is stuck: it writes status.json, prints, and ends the
 * program when the run is lost. */
#include "lifeline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/clock.h"
#include "descent/log.h"
#include "descent/watch.h"

enum { LIFELINE_LAST_WORD_S = 5, LIFELINE_MPIRUN_S = 5 };

/* What signals leave: the flag of INT, TERM and USR1 (a second INT ends the program at once), when
 * mpirun will kill its ranks, and where the watch is woken. */
static volatile int lifeline_flag, lifeline_wake = -1;
static volatile int64_t lifeline_end_ns;
static pid_t lifeline_launcher; /* mpirun or its daemon on this host; 0: no such */

const volatile int *lifeline_stop(void)
{
    return &lifeline_flag;
}

const volatile int64_t *lifeline_killed_ns(void)
{
    return &lifeline_end_ns;
}

/* mpirun's KILL follows its TERM after a second; a TERM from anybody else has no such end. */
static void lifeline_signal(int number, siginfo_t *info, void *context)
{
    static volatile sig_atomic_t interrupts;
    (void)context;
    int before = errno;
    if (number != SIGUSR2) {
        if (number != SIGUSR1 && lifeline_launcher != 0 && info->si_pid == lifeline_launcher)
            lifeline_end_ns = ds_clock_ns() + 1000000000;
        lifeline_flag = 1;
    }
    if (lifeline_wake >= 0)
        (void)!write(lifeline_wake, number == SIGUSR2 ? "?" : "!", 1);
    errno = before;
    if (number != SIGINT || ++interrupts < 2)
        return;
    signal(SIGINT, SIG_DFL);
    raise(SIGINT); /* comes when this handler returns */
}

/* Handlers run on a stack of their own: oneDNN's generated kernels keep other things below their
 * stack pointer, and a signal frame written there corrupted the heap in two stops of three. */
void lifeline_catch_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    static _Alignas(64) char room[1 << 16];
    const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = lifeline_signal,
                               .sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO};
    sigset_t open; /* a launcher may have left them blocked */
    sigemptyset(&open);
    sigemptyset(&action.sa_mask);
    if (getenv("OMPI_COMM_WORLD_RANK") != NULL)
        lifeline_launcher = getppid();
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        sigaction(caught[i], &action, NULL);
        sigaddset(&open, caught[i]);
    }
    sigprocmask(SIG_UNBLOCK, &open, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int64_t lifeline_stands(const lifeline *self)
{
    const ds_trainer *trainer = self->trainer;
    return trainer == NULL ? -1 : ds_trainer_saved_step(trainer);
}

static void lifeline_resumable(const lifeline *self, const char *why)
{
    int64_t stands = lifeline_stands(self);
    if (self->ours && ds_status_file_write(self->dir, "resumable", ds_exit_code(DS_STOPPED),
                                           stands < 0 ? 0 : stands, why) != DS_OK)
        ds_log(DS_LOG_DEBUG, "%s", ds_last_error());
}

static void lifeline_say(const char *before, const char *line)
{
    char text[3072];
    int n = snprintf(text, sizeof text, "descent: %s%s\n", before, line);
    (void)!write(STDERR_FILENO, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

static void lifeline_asked(void *context, int64_t killed_ns)
{
    const lifeline *self = context;
    if (lifeline_end_ns == 0)
        lifeline_end_ns = killed_ns;
    lifeline_flag = 1;
    if (!ds_status_file_is_open(self->dir)) /* it was stopped, and the others have had to leave */
        return;
    lifeline_resumable(self, lifeline_stands(self) < 0
                                 ? "asked to stop; no checkpoint yet"
                                 : "asked to stop; the checkpoint of this step stands");
}

/* A step, an evaluation or a save may take long: others judge by the heartbeat. */
static void lifeline_alive(void *context, int64_t step)
{
    const lifeline *self = context;
    if (self->trainer != NULL && self->ours && lifeline_flag == 0 &&
        ds_status_file_is_open(self->dir) &&
        ds_status_file_write(self->dir, "running", 0, step, "") != DS_OK)
        ds_log(DS_LOG_DEBUG, "%s", ds_last_error());
}

static void lifeline_print(void *context, const char *line)
{
    (void)context;
    lifeline_say("", line);
}

static bool lifeline_is_mpirun(pid_t pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t n = fread(name, 1, sizeof name - 1, file);
    fclose(file);
    name[n > 0 ? n - 1 : 0] = '\0';
    return strcmp(name, "mpirun") == 0 || strcmp(name, "mpiexec") == 0 ||
           strcmp(name, "orterun") == 0;
}

/* mpirun waits for ever (TCP's quarter of an hour) for the daemon behind a dead link. A child that
 * outlives this rank ends it, if it has not ended by itself. */
static void lifeline_outlive_mpirun(void)
{
    pid_t mpirun = lifeline_launcher;
    if (mpirun == 0 || !lifeline_is_mpirun(mpirun) || fork() != 0)
        return;
    setsid();
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    for (int i = 0; i < 10 * LIFELINE_MPIRUN_S; i++) {
        usleep(100000);
        if (kill(mpirun, 0) != 0)
            _exit(0);
    }
    if (lifeline_is_mpirun(mpirun))
        kill(mpirun, SIGKILL);
    _exit(0);
}

/* All is said before anybody leaves: mpirun kills the rest within milliseconds of the first exits
 * (SIGCHLD wakes it from its second of patience). The directory may be what hangs: the alarm ends
 * this rank even within a system call, and the others find out alone. */
static void lifeline_late(void *context, const char *line)
{
    const lifeline *self = context;
    char why[2600];
    int64_t stands = lifeline_stands(self);
    int n = snprintf(why, sizeof why, "%s; go on with --resume, from ", line);
    if (stands >= 0)
        snprintf(why + n, sizeof why - (size_t)n, "step %lld", (long long)stands);
    else
        snprintf(why + n, sizeof why - (size_t)n, "where this run began");
    lifeline_say("error: ", why);
    if (ds_world_hosts(self->world) > 1)
        lifeline_outlive_mpirun();
    signal(SIGALRM, SIG_DFL);
    alarm(LIFELINE_LAST_WORD_S);
    if (ds_status_file_is_open(self->dir)) /* somebody nearer to rank 0 may have written */
        lifeline_resumable(self, why);
    alarm(0);
}

static void lifeline_leave(void *context)
{
    (void)context;
    _exit(ds_exit_code(DS_STOPPED));
}

ds_status lifeline_begin(lifeline *self, ds_world *world)
{
    const ds_watch_hooks hooks = {.context = self,
                                  .stop = &lifeline_flag,
                                  .killed_ns = &lifeline_end_ns,
                                  .asked = lifeline_asked,
                                  .alive = lifeline_alive,
                                  .print = lifeline_print,
                                  .late = lifeline_late,
                                  .leave = lifeline_leave};
    self->world = world;
    DS_TRY(ds_watch_start(world, &hooks));
    lifeline_wake = ds_watch_wake(world);
    return DS_OK;
}

void lifeline_may_write(lifeline *self, const char *dir)
{
    if (!self->ours)
        snprintf(self->dir, sizeof self->dir, "%s", dir);
    self->ours = true;
}

void lifeline_end(lifeline *self)
{
    lifeline_wake = -1;
    if (self->world != NULL)
        ds_watch_stop(self->world);
}
