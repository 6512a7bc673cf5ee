/* A race: the same config under several optimizers, rates and batches. */
#ifndef DS_RACE_H
#define DS_RACE_H

#include <stdio.h>

#include "descent/trainer.h"

#include "args.h"

enum { RACE_MOST = 64, RACE_POINTS = 512, RACE_NAME = 96, RACE_WHY = 200, RACE_GRID = 121 };

/* One of its runs: what it was, then what became of it. */
typedef struct race_run {
    char optimizer[32], name[RACE_NAME];
    double lr;              /* 0: the optimizer has no use for one */
    int64_t batch;          /* samples of a step */
    bool own_lr, own_batch; /* as an axis of the race says, not the config */
    bool diverged;
    char why[RACE_WHY];
    int64_t steps, samples;
    double first, last, best;   /* losses over all training data */
    int64_t best_step, reached; /* the target; -1: never */
    size_t n;                   /* points kept; every stride-th measure */
    int64_t stride, measures;
    int64_t step[RACE_POINTS];
    double loss[RACE_POINTS];
    double w[RACE_POINTS][2]; /* where there are two parameters */
} race_run;

typedef struct race {
    arg_list set, positional;
    const char *optimizers, *rates, *batches, *steps_text, *target_text, *points_text, *out;
    bool json;
    char *text, path[4096]; /* the config's */
    double steps, target;   /* target NaN: found from the runs */
    size_t points;
    size_t n;
    race_run *run;                   /* (RACE_MOST) */
    char subject[64], optimizer[32]; /* the config's own */
    double lr, clip_norm;
    bool together; /* all ranks do each run, else each run is one rank's */
    bool plane;    /* two parameters: there are paths and a surface */
    char axis[2][64];
    size_t best; /* n: none */
} race;

/* race_runs.c. Local. The runs that the axes make. Errors: USAGE. */
ds_status race_plan(race *self, const ds_config *config) DS_NODISCARD;
/* race_runs.c. Collective. All runs, known to all ranks afterwards; then target and best. */
ds_status race_all(ds_world *world, race *self) DS_NODISCARD;

/* The loss on a grid, in rows from the lowest y. */
typedef struct race_surface {
    double x0, x1, y0, y1;
    size_t columns, rows;
    double *level; /* (rows, columns): which part of the grid lies lower, 0 to 1 */
} race_surface;
/* race_surface.c. Local. Around the runs' paths; free(level). */
ds_status race_surface_make(const race *self, size_t columns, size_t rows,
                            race_surface *out) DS_NODISCARD;
/* race_text.c. Local. The table, and in the terminal the surface with the paths, and the curves. */
ds_status race_print(const race *self, const race_surface *surface) DS_NODISCARD;
/* race_files.c. Local. To standard output; as DIR/race.json, race.csv and, with gnuplot, race.svg;
 * or as a picture alone, where `out` ends in .svg or .png. race_room: before the runs, can it be
 * written? USAGE, WRITE. */
bool race_out_is_picture(const char *out);
ds_status race_room(const race *self) DS_NODISCARD;
ds_status race_json(const race *self, FILE *file) DS_NODISCARD;
ds_status race_write(const race *self) DS_NODISCARD;
/* race_picture.c. Local. USAGE where gnuplot is missing. */
ds_status race_picture(const race *self, const race_surface *surface, const char *out) DS_NODISCARD;

#endif
