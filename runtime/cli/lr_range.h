/* The verdict of a learning-rate range test. */
#ifndef DS_LR_RANGE_H
#define DS_LR_RANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "descent/status.h"

enum { LR_RANGE_NONE = -1 };

typedef struct lr_range {
    size_t n;               /* steps taken so far */
    const double *loss;     /* (n) of the step at rate from ratio^i */
    double *smoothed;       /* (n) */
    double smooth;          /* 0 <= smooth < 1: the weight of the past */
    long steepest, minimum; /* steps; LR_RANGE_NONE where there is none */
    double fall, noise;     /* from the mean loss of the first half of the way to the minimum to the
                               smoothed minimum; and what chance makes of that, as a deviation */
    long diverged;
} lr_range;

/* Local. Smooth the loss of step n - 1, of which the ones before have been smoothed; true while the
 * sweep may go on, false where it has diverged: not finite, or above best + 3 |best|. */
bool lr_range_add(lr_range *self);
/* Local. Minimum of the smoothed loss, and the steepest point on the way to it, by differences over
 * the logarithm of the rate; none where the fall is at most four times its noise and less than
 * half of the loss, or lost in float: a millionth of the loss. */
void lr_range_judge(lr_range *self);

#endif
