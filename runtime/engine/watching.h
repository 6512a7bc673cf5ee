/* What watches a run. Layers, alarms and sharpness never change its numbers; the spike guard skips
 * updates. */
#ifndef DS_WATCHING_H
#define DS_WATCHING_H

#include "descent/report.h"

typedef struct ds_trainer ds_trainer;

/* layer_watch.c: gradient norms of each layer; with train.log_layers weight norms, update ratio and
 * dead units too. */
typedef struct layer_watch layer_watch;
/* Local. Nothing for inference. */
ds_status layer_watch_create(ds_trainer *self) DS_NODISCARD;
/* Local, around a step that is to be watched; during it, after each pass of `rows` samples. */
void layer_watch_begin(ds_trainer *self);
void layer_watch_pass(ds_trainer *self, size_t rows);
/* Collective, after the step. Then, on rank 0, what was found. */
ds_status layer_watch_end(ds_trainer *self) DS_NODISCARD;
const ds_layer_facts *layer_watch_facts(const ds_trainer *self, size_t *n);

/* spike.c: the guard of train.spike. Alike on all ranks. */
typedef struct spike_guard {
    size_t n;               /* steps seen, at most the window */
    double *loss, *norm;    /* (window) of these, the oldest first */
    int64_t skipped;        /* updates, in all of the run */
    ds_spike_facts verdict; /* on the last step */
} spike_guard;
/* Local. USAGE where the optimizer leaves nothing to guard. */
ds_status spike_create(ds_trainer *self) DS_NODISCARD;
/* Local. ds_step's veto; context is the trainer. Remembers the step. */
bool spike_veto(void *context, double loss, double grad_norm);

/* sharpness.c: the largest eigenvalue of the Hessian (train.sharpness_every). */
typedef struct sharpness sharpness;
/* Collective, after the trainer's own synchronisation stands. Nothing unless the config asks. */
ds_status sharpness_create(ds_trainer *self) DS_NODISCARD;
void sharpness_destroy(ds_trainer *self);
/* Local. Is it due after this many steps? */
bool sharpness_due(const ds_trainer *self);
/* Collective, between two steps; changes nothing. */
ds_status sharpness_measure(ds_trainer *self, ds_sharpness_facts *out) DS_NODISCARD;

/* alarms.c: signs that training goes wrong. Rank 0's. */
enum { ALARMS_NORMS = 64, ALARMS_KINDS = 4 };
typedef struct alarms {
    double norm[ALARMS_NORMS]; /* of the latest lines of metrics, in a ring */
    int64_t n_norms;
    double early_norm;                    /* the largest of the first lines */
    int64_t vanishing, dead, overfitting; /* times in a row */
    double train_sum, train_last, eval_last, eval_best;
    int64_t train_n, evals;
    int64_t lines;               /* of metrics seen */
    int64_t quiet[ALARMS_KINDS]; /* until this line (0: never rung) */
    bool said[ALARMS_KINDS];     /* on stderr, by this process */
} alarms;
/* Local. After each finite step; with a line of metrics (layers may be NULL); after a regular
 * evaluation of the split that is not trained on. Errors: WRITE. */
void alarms_loss(alarms *self, double loss);
ds_status alarms_line(alarms *self, ds_report *report, const ds_step_facts *step, size_t n_layers,
                      const ds_layer_facts *layer, size_t batch) DS_NODISCARD;
ds_status alarms_eval(alarms *self, ds_report *report, int64_t step, const char *split,
                      double loss) DS_NODISCARD;
/* alarms_saved.c. Local. All but `said` as a text for the checkpoint, in memory of the arena; and
 * back, where a text that is not of this form changes nothing. */
ds_status alarms_text(const alarms *self, ds_arena *arena, const char **out) DS_NODISCARD;
void alarms_restore(alarms *self, const char *text);

#endif
