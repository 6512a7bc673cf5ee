/* What keeps a long command answerable: its signals, its watch, and the last word in status.json.
 */
#ifndef DS_CLI_LIFELINE_H
#define DS_CLI_LIFELINE_H

#include "descent/trainer.h"

typedef struct lifeline {
    ds_world *world;
    const ds_trainer *_Atomic trainer;
    char dir[4096];
    _Atomic bool ours; /* dir's status.json is this run's to write */
} lifeline;

/* Local. INT, TERM and USR1 ask to stop, USR2 for the ranks' states; before MPI_Init. */
void lifeline_catch_signals(void);
/* Local. Set by those signals, on this rank or (on rank 0) any other; and when, by ds_clock_ns, the
 * launcher will kill, 0: not known. */
const volatile int *lifeline_stop(void);
const volatile int64_t *lifeline_killed_ns(void);
/* Collective. Start the watch. */
ds_status lifeline_begin(lifeline *self, ds_world *world) DS_NODISCARD;
/* Local. From now on DIR/status.json may say that this run was asked to stop, or is stuck. */
void lifeline_may_write(lifeline *self, const char *dir);
/* Local. The program itself has the last word. */
void lifeline_end(lifeline *self);

#endif
