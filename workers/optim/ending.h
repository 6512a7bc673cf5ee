/* How the run of an optimizer that drives ends, beside a gradient below its `tolerance`. */
#ifndef DS_ENDING_H
#define DS_ENDING_H

#include "descent/optim.h"

/* From drive->w along `direction`: w + t direction was tried up to t = step, and is lower there. */
typedef struct ds_ray {
    const float *direction; /* (n) */
    double loss, slope;     /* at w; slope < 0 */
    double step, at;        /* the loss there */
    float *point, *g;       /* (n) room: the point last asked for and its gradient */
} ds_ray;

/* Collective. Follow the ray as long as the loss falls along it. Errors: DIVERGED where the loss
 * falls below -1e15 max(1, |loss at w|), or -1e30; those of `ask`. */
ds_status ds_ending_ray(ds_drive *drive, const char *name, const ds_ray *ray) DS_NODISCARD;
/* Local. No lower point was found from drive->w, where the gradient is g: the run is done, and
 * `stuck` where the relative gradient max |g_i| max(|w_i|, 1) / max(|loss|, 1) is above the cube
 * root of float's epsilon. Errors: DIVERGED where that is so below a loss of -1e15. */
ds_status ds_ending_no_lower(ds_drive *drive, const char *name, const float *g) DS_NODISCARD;

#endif
