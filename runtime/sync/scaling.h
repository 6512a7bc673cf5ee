/* The scale of a codec whose range is short (fp16): a power of two that keeps what is sent within
 * the range, from the largest value of each step, on which all ranks agree. */
#ifndef DS_SCALING_H
#define DS_SCALING_H

#include <stdint.h>

#include "descent/codec.h"

typedef struct ds_scaling {
    float scale;
    int64_t clean; /* steps in a row that would have borne twice the scale; -1: none measured yet */
    int64_t cuts;  /* steps in which values were cut off */
} ds_scaling;

void ds_scaling_begin(ds_scaling *self);
/* Local, alike on all ranks. After a step whose largest value was `peak` (finite). Returns true
 * when that was beyond `limit` (0: the codec has none, nothing changes). */
bool ds_scaling_learn(ds_scaling *self, float peak, float limit);

#endif
