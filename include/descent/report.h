/* What a run tells the world while it goes on: DIR/metrics.jsonl, DIR/status.json and the progress
 * line. Lives on rank 0 only; every function accepts NULL and then does nothing, so that callers
 * need not ask who they are. */
#ifndef DS_REPORT_H
#define DS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/status.h"

typedef struct ds_report ds_report;

/* Scores of one split. */
typedef struct ds_scores {
    size_t samples;
    double loss;
    bool loss_only; /* nothing below: what is minimised gives no outputs */
    bool classes;   /* accuracy and the tables below; else mae and r2 */
    double accuracy;
    double bits;    /* of sequences: the loss in bits a token, which is a byte of text; else 0 */
    double mae, r2; /* r2 is averaged over the targets */
    size_t n_classes;
    const int64_t *confusion; /* (n_classes, n_classes): rows true, columns predicted; NULL when not
                                 asked for */
} ds_scores;

typedef struct ds_report_spec {
    const char *dir;          /* of the run; NULL: no files, progress only */
    bool quiet;               /* nothing on the terminal */
    int64_t total_steps;      /* INT64_MAX: unknown */
    const volatile int *stop; /* once it is not 0 status.json is no longer said to be running; may
                                 be NULL */
    int64_t from_step;        /* steps after it are cut from metrics.jsonl; -1: a new file */
} ds_report_spec;

/* Local. Opens (and on resume cuts back) metrics.jsonl and writes the first status.json. Errors:
 * WRITE. */
DS_API ds_status ds_report_create(const ds_report_spec *spec, ds_report **out) DS_NODISCARD;
DS_API void ds_report_destroy(ds_report **report);

typedef struct ds_run_facts {
    const char *name;
    int ranks, hosts, shards;
    size_t parameters, samples, batch;
    int64_t total_steps;
    const char *numerics;
    const char *lr_note; /* what lr.scale did, "" where nothing */
    uint64_t seed;
} ds_run_facts;
typedef struct ds_step_facts {
    int64_t step;
    double epoch, loss, lr, grad_norm, samples_per_s;
} ds_step_facts;

/* Local. One event each: a line of metrics.jsonl, flushed, and what belongs on the terminal.
 * Errors: WRITE. */
DS_API ds_status ds_report_start(ds_report *self, const ds_run_facts *facts) DS_NODISCARD;
/* From the checkpoint at `path`; a kill may have fallen between that checkpoint and its line, which
 * is then written first. */
DS_API ds_status ds_report_resume(ds_report *self, int64_t step, int ranks,
                                  const char *path) DS_NODISCARD;
DS_API ds_status ds_report_step(ds_report *self, const ds_step_facts *facts) DS_NODISCARD;
DS_API ds_status ds_report_eval(ds_report *self, int64_t step, const char *split,
                                const ds_scores *scores) DS_NODISCARD;
DS_API ds_status ds_report_checkpoint(ds_report *self, int64_t step, const char *path) DS_NODISCARD;
/* A step that was skipped because it was not finite, with the diagnosis. */
DS_API ds_status ds_report_skip(ds_report *self, int64_t step, const char *why) DS_NODISCARD;
/* A layer at a logged step; what is not known is NAN. */
typedef struct ds_layer_facts {
    const char *name;    /* "dense1" */
    double grad_norm;    /* of the mean gradient, before clipping */
    double weight_norm;  /* after the update */
    double update_ratio; /* |change| / |weights before it| */
    bool frozen;         /* nothing of it learns */
    size_t units;        /* that can die: of the relu behind the layer; 0: none */
    double dead;         /* share of them that were zero for the whole batch */
} ds_layer_facts;
DS_API ds_status ds_report_layers(ds_report *self, int64_t step, size_t n,
                                  const ds_layer_facts *layer) DS_NODISCARD;
/* A step that stood out: its update was skipped. z: deviations above the mean of the window. */
typedef struct ds_spike_facts {
    double loss, grad_norm, z_loss, z_norm;
} ds_spike_facts;
DS_API ds_status ds_report_spike(ds_report *self, int64_t step,
                                 const ds_spike_facts *facts) DS_NODISCARD;
/* The largest eigenvalue of the Hessian, found in so many products with it, and 2 / lr, above which
 * plain gradient descent is not stable. */
typedef struct ds_sharpness_facts {
    double sharpness, bound;
    int64_t iterations;
} ds_sharpness_facts;
DS_API ds_status ds_report_sharpness(ds_report *self, int64_t step,
                                     const ds_sharpness_facts *facts) DS_NODISCARD;
/* Training seems to go wrong; `cause` is one word. */
DS_API ds_status ds_report_warning(ds_report *self, int64_t step, const char *cause,
                                   const char *text) DS_NODISCARD;
/* Where the time of the steps went, in seconds, as means over the ranks. */
typedef struct ds_spent {
    double computing, waiting; /* waiting: for other ranks; together all of the steps' time */
    double hidden; /* part of computing during which messages that had been sent were under way */
    int ranks;
} ds_spent;
DS_API ds_status ds_report_end(ds_report *self, int64_t step, const char *reason,
                               uint64_t params_hash, const ds_spent *spent) DS_NODISCARD;
/* A linear regression's distance from its closed-form least squares solution. */
typedef struct ds_linear_gap {
    double loss, best_loss; /* mean squared errors over the training data, in double */
    double distance;        /* |w - w*| / |w*|, bias included, on normalised inputs */
} ds_linear_gap;
DS_API ds_status ds_report_linear_gap(ds_report *self, int64_t step,
                                      const ds_linear_gap *gap) DS_NODISCARD;
/* Local. DIR/trajectory.csv of a small problem without data: a line a point, step, the parameters
 * (n, in these columns) and the loss there. The first call opens it: where the report goes on from
 * a step, lines after that one are cut. Errors: WRITE. */
typedef struct ds_trajectory {
    size_t n;
    const char *const *column;
    const float *w; /* (n) */
    double loss;
} ds_trajectory;
DS_API ds_status ds_report_point(ds_report *self, int64_t step,
                                 const ds_trajectory *point) DS_NODISCARD;
/* Local. Called once a step: the heartbeat of status.json and the progress line, at most about once
 * a second. */
DS_API void ds_report_beat(ds_report *self, int64_t step, double loss, double samples_per_s);
/* Local. Asked to stop, before the last checkpoint is tried: status.json says which step stands
 * already. */
DS_API void ds_report_stopping(ds_report *self, int code, int64_t step, const char *reason);
/* Local. The final state of status.json: done, resumable or failed. Errors are ignored: it is the
 * last thing a run says. Waits until standard output has taken what the run printed: while somebody
 * reads, or, where the run is done, however long that takes. */
DS_API void ds_report_close(ds_report *self, const char *state, int code, int64_t step,
                            const char *reason);

/* Local, on rank 0. Make DIR a run's: created where missing, locked (*lock, see ds_run_unlock). A
 * DIR that holds a run (*holds) is refused (USAGE) unless it is to be resumed or overwritten.
 * Errors: WRITE. */
typedef enum ds_run_mode { DS_RUN_NEW, DS_RUN_RESUME, DS_RUN_OVERWRITE } ds_run_mode;
DS_API ds_status ds_run_dir_open(const char *dir, ds_run_mode mode, bool *holds,
                                 int *lock) DS_NODISCARD;
/* Local, on rank 0. Remove the files of the run that DIR holds, and nothing else. */
DS_API ds_status ds_run_dir_clear(const char *dir) DS_NODISCARD;
/* Local. Replace DIR/config.yaml. */
DS_API ds_status ds_run_dir_config(const char *dir, const char *text) DS_NODISCARD;

/* Local. Write DIR/status.json for a run that has no report yet. */
DS_API ds_status ds_status_file_write(const char *dir, const char *state, int code, int64_t step,
                                      const char *reason) DS_NODISCARD;
/* Local. True unless DIR/status.json can be read and says something else than running: another
 * rank, which found this one stopped, has had the last word. */
DS_API bool ds_status_file_is_open(const char *dir);

#endif
