/* A trainer: config, data, model, plan and synchronisation of one run, and the step. What the
 * command line and C programs drive. All ranks of the world make the same calls. */
#ifndef DS_TRAINER_H
#define DS_TRAINER_H

#include "descent/dataset.h"
#include "descent/report.h"
#include "descent/sync.h"

typedef struct ds_trainer ds_trainer;

/* Samples from memory, equal on all ranks; borrowed for the trainer's life. One of label and value
 * is set. */
typedef struct ds_memory_data {
    size_t n;
    const float *x;       /* (n, input elements), dense */
    const int32_t *label; /* (n), 0 <= label < n_classes */
    size_t n_classes;
    const float *value; /* (n, n_targets), dense */
    size_t n_targets;
} ds_memory_data;

typedef struct ds_trainer_spec {
    const char *config; /* YAML text; equal on all ranks */
    const char *path;   /* where it came from; relative data paths start there. NULL: memory, the
                           working directory */
    size_t n_set;
    const char *const *set;             /* KEY=VALUE edits */
    const ds_memory_data *train, *test; /* instead of the config's data; NULL: read those */
    const char *checkpoint; /* take parameters, normalisation and classes from this file; NULL:
                               initial values */
    bool resume; /* take also optimizer state, counters and history from it: training goes on where
                    it stopped. The config must agree in all that shapes the numbers but what `set`
                    says */
    bool inference; /* no training data, no optimizer: evaluate and predict only */
    bool evaluate;  /* with inference: read the test and validation data all the same */
} ds_trainer_spec;

/* Collective. Errors: USAGE, DATA, CHECKPOINT, NOMEM, the same on all ranks. */
DS_API ds_status ds_trainer_open(ds_world *world, const ds_trainer_spec *spec,
                                 ds_trainer **out) DS_NODISCARD;
DS_API void ds_trainer_destroy(ds_trainer **trainer);

/* Local. What each class counts, (n), or NULL: alike. */
DS_API const float *ds_trainer_class_weights(const ds_trainer *self, size_t *n);

/* Collective. One update on the next batch of the run. Errors: DIVERGED with step, layer, shard and
 * samples (unless train.on_nan is skip: then outcome->finite is false and nothing was updated). */
DS_API ds_status ds_trainer_step(ds_trainer *self, ds_outcome *outcome) DS_NODISCARD;
/* Collective. One update on n samples from memory (n <= batch.size x accumulate), equal on all
 * ranks: x (n, elements), label (n) or value (n, n_targets). They are used as they are, without
 * normalisation. Counts as a step. */
DS_API ds_status ds_trainer_step_on(ds_trainer *self, size_t n, const float *x,
                                    const int32_t *label, const float *value,
                                    ds_outcome *outcome) DS_NODISCARD;
/* Collective. Scores of a split: "train", "validation", "test". The confusion table belongs to the
 * trainer until the next call. Errors: USAGE for a split the config has not. */
DS_API ds_status ds_trainer_evaluate(ds_trainer *self, const char *split,
                                     ds_scores *out) DS_NODISCARD;
/* Collective. Model outputs of n samples from memory, normalised as in training; out (n, output
 * elements) is complete on all ranks. */
DS_API ds_status ds_trainer_predict(ds_trainer *self, size_t n, const float *x,
                                    float *out) DS_NODISCARD;
/* Collective. The same of a dataset read by ds_dataset_read_file. */
DS_API ds_status ds_trainer_predict_data(ds_trainer *self, const ds_dataset *data,
                                         float *out) DS_NODISCARD;
/* Collective. Write DIR/checkpoints/step-N.h5 and move DIR/latest. */
DS_API ds_status ds_trainer_save(ds_trainer *self, const char *dir) DS_NODISCARD;
/* Collective. Parameters from a checkpoint of a like model: tensors whose names and shapes match;
 * the rest keep their values and are named through ds_log. At least one must match. */
DS_API ds_status ds_trainer_init_from(ds_trainer *self, const char *path) DS_NODISCARD;

/* Local. Facts. */
DS_API int64_t ds_trainer_steps(const ds_trainer *self); /* updates done */
/* Of the newest checkpoint that stands, this run's or the one it goes on from; -1: none. May be
 * asked by any thread. */
DS_API int64_t ds_trainer_saved_step(const ds_trainer *self);
DS_API const ds_config *ds_trainer_config(const ds_trainer *self);
DS_API const ds_model *ds_trainer_model(const ds_trainer *self);
DS_API const ds_plan *ds_trainer_plan(const ds_trainer *self);     /* NULL with inference */
DS_API const ds_splits *ds_trainer_splits(const ds_trainer *self); /* NULL with inference alone */
DS_API const float *ds_trainer_params(const ds_trainer *self);     /* flat block, ds_model_layout */
DS_API const ds_numerics *ds_trainer_numerics(const ds_trainer *self);
/* Local. Names of the classes, input columns or target columns; NULL when there are none (plain
 * numbers, images). */
typedef enum ds_names {
    DS_NAMES_CLASSES,
    DS_NAMES_INPUTS,
    DS_NAMES_TARGETS,
    DS_NAMES_KINDS
} ds_names;
DS_API const char *const *ds_trainer_names(const ds_trainer *self, ds_names which, size_t *n);
DS_API ds_status ds_trainer_hash(const ds_trainer *self, uint64_t *params_hash) DS_NODISCARD;

/* How a whole run goes. */
typedef struct ds_fit_spec {
    const char *dir;          /* of the run; NULL: no checkpoints */
    ds_report *report;        /* rank 0's, or NULL */
    const volatile int *stop; /* becomes non-zero when the program was asked to stop; rank 0's
                                 counts. May be NULL */
    const volatile int64_t *killed_ns; /* with stop: when, by ds_clock_ns, the program will be
                                          killed; 0: not known. May be NULL */
    int64_t end_ns; /* of ds_clock_ns, rank 0's counts: stop and save before it; 0: no end */
} ds_fit_spec;
/* Collective. Steps, evaluations, checkpoints until a limit or a stopping rule ends the run
 * (`reason` says which) or STOPPED: asked to stop, a checkpoint stands: of the last step, or, where
 * saving takes more than half of the time that is left, an earlier one (ds_trainer_saved_step). */
DS_API ds_status ds_trainer_fit(ds_trainer *self, const ds_fit_spec *spec,
                                const char **reason) DS_NODISCARD;
/* Local. True when this run has nothing left to do (resumed from its last checkpoint). */
DS_API bool ds_trainer_finished(const ds_trainer *self);

#endif
