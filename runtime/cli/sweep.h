/* A sweep: KEY=V1,V2,... for one or more keys; its points are all combinations, numbered from 0,
 * the last key's values next to each other. */
#ifndef DS_SWEEP_H
#define DS_SWEEP_H

#include "descent/arena.h"

#include "args.h"

enum { SWEEP_AXES = 8, SWEEP_POINTS = 1000 }; /* Slurm's arrays end at 1000 unless told otherwise */

typedef struct sweep_axis {
    size_t key; /* the length of KEY in each edit */
    size_t n;
    const char **edit; /* (n), KEY=VALUE */
} sweep_axis;

typedef struct sweep {
    size_t n_axes, n_points; /* no axes: one point */
    sweep_axis axis[SWEEP_AXES];
} sweep;

/* Local. `given`: KEY=V1,V2,...; commas within [], {} and quotes belong to the value. `set`: edits
 * of all points, which must not name a key of the sweep. Errors: USAGE, NOMEM. */
ds_status sweep_parse(ds_arena *arena, const arg_list *given, const arg_list *set,
                      sweep *out) DS_NODISCARD;
/* Local. The edits of point i: edit[n_axes]. */
void sweep_point(const sweep *self, size_t i, const char **edit);
/* Local. A name for the directory of point i: the edits, in characters that need no quotes. */
void sweep_name(const sweep *self, size_t i, size_t room, char *name);

#endif
