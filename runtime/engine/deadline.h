/* The end of the time that this run has: a save must begin before it. Only when to stop is decided
 * here, never a number, and on rank 0 alone. */
#ifndef DS_DEADLINE_H
#define DS_DEADLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct deadline {
    int64_t end_ns; /* of ds_clock_ns; 0: no end */
    int64_t margin_ns;
    int64_t save_ns; /* the last save's duration; before it, an estimate */
    int64_t step_ns; /* the longest step so far, without saves and evaluations */
    int64_t eval_ns; /* the last evaluation's duration */
    int64_t mark_ns; /* start of the present step */
} deadline;

/* Local. margin_s 0: half a minute, but no more than a quarter of what is left now. A checkpoint
 * will have some `bytes`. */
void deadline_start(deadline *self, int64_t end_ns, int64_t margin_s, size_t bytes);
/* Local. A save or an evaluation took so long. */
void deadline_saved(deadline *self, int64_t ns);
void deadline_evaluated(deadline *self, int64_t ns);
/* Local. At a step border: will there be too little left to save in once one more step, and what
 * is due after it, is done? */
bool deadline_is_near(deadline *self, bool evaluation_due);

#endif
