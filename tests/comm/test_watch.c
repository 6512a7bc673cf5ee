/* The watch on 1 and 3 ranks, as a C program would use it: its hooks return, so the program lives
 * on and can tell what they were told. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "descent/clock.h"
#include "descent/session.h"
#include "descent/watch.h"

typedef struct told {
    volatile int stop;
    volatile int64_t killed_ns;
    _Atomic int asked, left, late, printed;
    _Atomic int64_t asked_until;
    char line[2048];
} told;

static int failures;

static void expect(int good, const char *what)
{
    if (!good)
        fprintf(stderr, "FAILED: %s; last error: %s\n", what, ds_last_error());
    failures += !good;
}

static void told_asked(void *context, int64_t killed_ns)
{
    told *t = context;
    t->asked_until = killed_ns;
    t->asked++;
}
static void told_line(told *t, _Atomic int *count, const char *line)
{
    snprintf(t->line, sizeof t->line, "%s", line);
    (*count)++;
}
static void told_print(void *context, const char *line)
{
    told *t = context;
    told_line(t, &t->printed, line);
}
static void told_late(void *context, const char *line)
{
    told *t = context;
    told_line(t, &t->late, line);
}
static void told_leave(void *context)
{
    told *t = context;
    t->left++;
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static int wait_for(_Atomic int *count, int ms)
{
    for (; ms > 0 && *count == 0; ms -= 10)
        pause_ms(10);
    return *count;
}

static void start(ds_world *world, told *t, double timeout_s)
{
    const ds_watch_hooks hooks = {t,    &t->stop,   &t->killed_ns, told_asked,
                                  NULL, told_print, told_late,     told_leave};
    memset(t, 0, sizeof *t);
    expect(ds_watch_start(world, &hooks) == DS_OK, "start");
    expect(ds_watch_arm(world, timeout_s) == DS_OK, "arm");
}

/* Many short works of the last rank, longer together than the timeout; then a long one with beats.
 */
static void test_slow(ds_world *world, told *t)
{
    bool last = ds_world_rank(world) == ds_world_size(world) - 1;
    start(world, t, 1);
    for (int i = 0; i < 5; i++) {
        ds_watch_note(world, DS_PHASE_COMPUTING, i);
        pause_ms(last ? 400 : 0);
        expect(ds_world_barrier(world) == DS_OK, "barrier");
    }
    for (int i = 0; i < 5 && last; i++) {
        pause_ms(400);
        ds_watch_beat(world);
    }
    expect(ds_world_barrier(world) == DS_OK, "barrier");
    expect(t->late == 0 && t->left == 0, "slow is not late");
    ds_watch_stop(world);
}

static void test_late(ds_world *world, told *t)
{
    int rank = ds_world_rank(world), size = ds_world_size(world);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "rank %d of %d on ", size - 1, size);
    start(world, t, 1);
    int64_t begin = ds_clock_ns();
    ds_watch_note(world, DS_PHASE_COMPUTING, 7);
    int left = 0;
    if (rank == size - 1)
        left = wait_for(&t->left, 8000);
    expect(ds_world_barrier(world) == DS_OK, "barrier");
    expect(rank != size - 1 || left == 1, "the late rank leaves");
    expect(wait_for(&t->left, 1000) == 1, "all leave");
    expect(t->late == (rank == 0), "rank 0 speaks for all");
    if (rank == 0) {
        expect(strstr(t->line, wanted) != NULL && strstr(t->line, "computing, step 7") != NULL &&
                   (size == 1 || strstr(t->line, "rank 0 of") == NULL),
               t->line);
        printf("after %.1f s: %s\n", (double)(ds_clock_ns() - begin) * 1e-9, t->line);
    }
    ds_watch_stop(world);
    expect(ds_world_barrier(world) == DS_OK, "barrier");
}

static void test_asked(ds_world *world, told *t)
{
    int rank = ds_world_rank(world), size = ds_world_size(world);
    start(world, t, 0);
    expect(ds_watch_wake(world) >= 0, "wake");
    expect(write(ds_watch_wake(world), "?", 1) == 1 && wait_for(&t->printed, 2000) == 1, "state");
    expect(strstr(t->line, "set-up") != NULL, t->line);
    int64_t until = ds_clock_ns() + 5000000000;
    if (rank == size - 1) {
        t->killed_ns = until;
        t->stop = 1;
        expect(write(ds_watch_wake(world), "!", 1) == 1, "wake");
    }
    if (rank == 0) {
        expect(wait_for(&t->asked, 2000) == 1, "rank 0 hears that the last rank is to stop");
        expect(llabs(t->asked_until - until) < 1000000000, "and when it will be killed");
    }
    expect(ds_world_barrier(world) == DS_OK, "barrier");
    ds_watch_stop(world);
    expect(rank == 0 ? t->asked == 1 : t->asked == 0, "asked once, on rank 0");
    expect(ds_world_barrier(world) == DS_OK, "barrier");
}

static void test_none(ds_world *world)
{
    ds_watch_note(world, DS_PHASE_COMPUTING, 1);
    ds_watch_beat(world);
    ds_watch_hush(world);
    expect(ds_watch_wake(world) == -1 && ds_watch_arm(world, 1) == DS_OK, "no watch");
    ds_watch_stop(world);
}

int main(int argc, char **argv)
{
    static told t;
    ds_world *world = NULL;
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    test_none(world);
    test_asked(world, &t);
    test_slow(world, &t);
    test_late(world, &t);
    printf("rank %d of %d: %d failures\n", ds_world_rank(world), ds_world_size(world), failures);
    ds_world_destroy(&world);
    ds_session_end();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
