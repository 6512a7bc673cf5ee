/* What plot reads: the curves that a run's metrics.jsonl holds. */
#ifndef DS_CURVES_H
#define DS_CURVES_H

#include "textplot.h"

enum { CURVES_MOST = 64, CURVES_NAME = 200 };

typedef struct curves {
    size_t n, n_runs;
    size_t run[CURVES_MOST]; /* which run a curve is of, counted as they were read */
    textplot_curve curve[CURVES_MOST];
    size_t room[CURVES_MOST];
    char name[CURVES_MOST][CURVES_NAME]; /* "RUN: train" */
    const char *split[CURVES_MOST];      /* of the name: "train" */
} curves;

/* Local. Add the curves of `what` (loss, lr, accuracy) of RUN, a directory or a metrics.jsonl: over
 * steps, "train" from the steps, one a split from the evaluations, one a layer of what layers have
 * (grad_norm, ...), sharpness and its bound. Numbers that are not finite leave gaps; a line that is
 * not whole (a run under way) is passed over. Errors: USAGE. */
ds_status curves_read(const char *run, const char *what, curves *out) DS_NODISCARD;
void curves_free(curves *self);

#endif
