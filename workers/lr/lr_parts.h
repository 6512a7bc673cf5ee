/* What schedules share. */
#ifndef DS_LR_PARTS_H
#define DS_LR_PARTS_H

#include "descent/lr.h"

/* Local. From `from` (part 0) to `to` (part 1) along half a cosine wave. */
double ds_lr_half_wave(double from, double to, double part);

#endif
