/* The watch: a thread a rank that knows what its rank is doing and hears of the others by messages
 * of its own (UDP, beside MPI, which hangs when a peer does). It names the ranks that hold up a
 * run, passes a wish to stop on, and answers while everything else is stuck. It never ends a
 * program: its owner's hooks do. A world without a watch pays one look at a pointer a call. */
#ifndef DS_WATCH_H
#define DS_WATCH_H

#include "descent/world.h"

/* What a rank is doing. Work shows as notes, beats, and messages and meetings that are done; before
 * DS_PHASE_COMPUTING also as processor time and bytes read or written. */
typedef enum ds_phase {
    DS_PHASE_SETUP,
    DS_PHASE_READING,
    DS_PHASE_EVALUATION,
    DS_PHASE_CHECKPOINT,
    DS_PHASE_REPORT,
    DS_PHASE_COMPUTING,
    DS_PHASE_EXCHANGE,
    DS_PHASE_N
} ds_phase;
DS_API const char *ds_phase_name(ds_phase phase);

/* Called by the watch's thread. Any may be NULL but `context`'s meaning is theirs. */
typedef struct ds_watch_hooks {
    void *context;
    /* This rank was asked to stop; when its program will be killed by the clock of ds_clock_ns, 0:
     * not known. Both are set by a signal handler. */
    const volatile int *stop;
    const volatile int64_t *killed_ns;
    /* On rank 0, once: some rank was asked to stop. */
    void (*asked)(void *context, int64_t killed_ns);
    /* On rank 0, about every ten seconds until somebody is asked to stop: the process lives. */
    void (*alive)(void *context, int64_t step);
    /* A line about this rank, as ds_watch_wake asked for. */
    void (*print)(void *context, const char *line);
    /* On the rank that speaks for all, before `leave`: who is late, in one line. */
    void (*late)(void *context, const char *line);
    /* On every rank that can still be reached: the run is over. Not expected to return. */
    void (*leave)(void *context);
} ds_watch_hooks;

/* Collective. Start this world's watch; it ends with ds_watch_stop, or with the world. Borrows
 * hooks->stop and killed_ns. Nobody is judged before ds_watch_arm. Errors: INTERNAL, the same on
 * all ranks. */
DS_API ds_status ds_watch_start(ds_world *world, const ds_watch_hooks *hooks) DS_NODISCARD;
/* Local. Accepts a world without a watch; no hook runs after it. */
DS_API void ds_watch_stop(ds_world *world);
/* Collective. From now on a rank that shows no work for so many seconds, while it is not waiting
 * for another, is late; 0: never. Time in which the whole program was suspended does not count. */
DS_API ds_status ds_watch_arm(ds_world *world, double timeout_s) DS_NODISCARD;
/* Local, wait-free. What this rank does now, in which step (updates done); a sign of work. */
DS_API void ds_watch_note(ds_world *world, ds_phase phase, int64_t step);
/* Local, wait-free. A sign of work within a phase. */
DS_API void ds_watch_beat(ds_world *world);
/* Local. A descriptor for a signal handler: a byte written to it wakes the watch, which looks at
 * hooks->stop, and prints this rank's state for a '?'. -1 without a watch. */
DS_API int ds_watch_wake(const ds_world *world);
/* Local. No `asked` and `alive` run after it: the caller has the last word. */
DS_API void ds_watch_hush(ds_world *world);

#endif
