/* The inside of a trainer, shared by the files of this folder. */
#ifndef DS_TRAINER_PARTS_H
#define DS_TRAINER_PARTS_H

#include "descent/checkpoint.h"
#include "descent/hash.h"
#include "descent/log.h"
#include "descent/trainer.h"
#include "descent/watch.h"

#include "watching.h"

enum { DS_MAX_DEPTH = 32, DS_HISTORY = 4096 };

/* Losses of past steps: every `stride`-th step; when full, every second one goes and the stride
 * doubles. */
typedef struct history {
    size_t n;
    int64_t stride;
    int64_t *step; /* (DS_HISTORY) */
    double *loss;
} history;

/* Counters of the stopping rules; all of it lives in the checkpoint. */
typedef struct stopping {
    double plateau_best, early_best;
    double early_reference; /* the loss that the next must undercut by min_delta */
    int64_t plateau_wait, early_wait;
    int64_t best_step; /* of the best validation loss; -1: none yet */
    char reason[32];   /* set once a rule has ended the run */
} stopping;

typedef struct name_list {
    size_t n;
    const char *const *name; /* (n) or NULL */
} name_list;

typedef struct driver driver; /* drive.c */

struct ds_trainer {
    ds_arena *arena;
    ds_world *world;
    ds_config *config;
    const ds_kernels *kernels;  /* of sums and updates */
    const ds_kernels *products; /* of the model: of bfloat16 where asked */
    ds_numerics numerics;
    ds_model *model;
    ds_splits *splits;
    ds_plan *plan;
    ds_sync *sync; /* NULL with inference: then `own_params` */
    float *own_params;
    ds_workspace *training, *evaluating;
    bool inference;
    ds_normalizer kept;              /* of the checkpoint it was opened from */
    name_list names[DS_NAMES_KINDS]; /* likewise */
    /* the batch */
    uint64_t *index;  /* (rows of a pass or an evaluation block) */
    size_t positions; /* labels a sample: ds_model_positions */
    int32_t *label;
    float *value;
    ds_shard *shard;              /* (V) */
    double *loss;                 /* (V) */
    size_t n_class_weights;       /* 0: classes count alike */
    const float *class_weight;    /* (n_class_weights), or NULL */
    double *shard_weight;         /* (V) what each shard's samples count */
    bool *bad;                    /* (V) */
    float *scratch[DS_MAX_DEPTH]; /* right-hand sums of nodes larger than a pass */
    float *staging;               /* flat block for reading and writing optimizer slots */
    /* scores */
    double *block_sum;
    int64_t *confusion;
    /* the run */
    driver *driver;   /* NULL unless the optimizer drives */
    ds_rule *penalty; /* (n_params), NULL where no tensor has an l1 or l2 penalty */
    int64_t step;
    int64_t loaded_step;           /* of the checkpoint this run goes on from; -1: a fresh run */
    _Atomic int64_t saved_step;    /* of the newest checkpoint that stands; -1: none */
    int64_t stepped_ns, waited_ns; /* in all steps of this process; part of it */
    stopping stopping;
    ds_lr_state lr_state; /* of a schedule that watches the loss */
    ds_lr_watch lr_watch; /* which it watches; AUTO: none */
    history history;
    bool initialised; /* from a checkpoint's weights: step 0 is saved, a resumed run needs them */
    char *lineage;    /* JSON list of resumptions */
    char why[1024];   /* diagnosis of the last step that was not finite */
    int64_t skips;    /* steps in a row, up to the last, that were not finite */
    /* what watches it: NULL where not asked for */
    layer_watch *layers;
    sharpness *sharpness;
    spike_guard spike;
    alarms alarms;
};

/* The samples of one update: from the run's data, or from memory. */
typedef struct batch_source {
    size_t n, position; /* samples; epoch position of the first */
    uint64_t epoch;
    ds_order order;
    const float *x; /* (n, elements), or NULL: the training split */
    const int32_t *label;
    const float *value;
} batch_source;

/* trainer.c. Local. What training and its stopping rules learn from: training and validation
 * samples. */
uint64_t trainer_data_identity(const ds_trainer *self);
/* memory.c. Local. USAGE when the plan needs more memory than this host has. */
ds_status memory_check(const ds_trainer *self) DS_NODISCARD;
/* create_data.c. Collective: the splits, from files or memory. Local: do they fit the model and the
 * loss? USAGE, DATA. */
ds_status create_data(ds_trainer *self, const ds_trainer_spec *spec,
                      const ds_kept_data *kept) DS_NODISCARD;
ds_status create_data_fits(const ds_trainer *self) DS_NODISCARD;
/* create_problem.c. Local: does the config have the data that its problem wants? Collective: have
 * all ranks the same plug-in? Local: a sample a position of the batch, for a problem without data.
 */
ds_status create_problem_fits(const ds_trainer *self, const ds_trainer_spec *spec) DS_NODISCARD;
ds_status create_problem_same(ds_trainer *self) DS_NODISCARD;
ds_status create_problem_targets(const ds_trainer *self, const ds_dataset *data,
                                 const char *split) DS_NODISCARD;
ds_status create_problem_data(const ds_trainer *self, ds_dataset **out) DS_NODISCARD;
/* gradient.c. Local. Gradients of this rank's nodes into the sync's partial blocks, losses and
 * verdicts. */
ds_status gradient_of_batch(ds_trainer *self, const batch_source *batch) DS_NODISCARD;
/* gradient.c. Local. Fill the workspace with shard k alone, for a replay. */
void gradient_fetch(ds_trainer *self, const batch_source *batch, int lo, int hi);
/* evaluate.c. Local. Sums kept by evaluation block; the data of a split, or NULL. */
/* Samples a block: eval.batch, or fewer of a large model's. A function of config and model. */
size_t evaluate_rows(const ds_trainer *self);
size_t evaluate_columns(const ds_trainer *self);
const ds_dataset *evaluate_split(const ds_trainer *self, const char *split);
/* class_weights.c. Local, alike on all ranks. From the config, the training data or the checkpoint
 * (NULL: none). Then: what a batch's samples count, by shard, NULL where one each; and a split's
 * together. */
ds_status class_weights_create(ds_trainer *self, const ds_checkpoint *file) DS_NODISCARD;
const double *class_weights_of_batch(ds_trainer *self, const batch_source *batch);
double class_weights_of_split(const ds_trainer *self, const ds_dataset *data);
/* diagnose.c. Collective. Why was the step not finite? One line into text, the same on all ranks.
 */
ds_status diagnose_step(ds_trainer *self, const batch_source *batch, int bad_shard, size_t room,
                        char *text) DS_NODISCARD;

/* What a caller wants of a step besides the update. */
typedef struct step_wish {
    int word;    /* rank 0's word to all */
    bool norm;   /* the gradient norm is needed whatever the config says */
    bool layers; /* and what each layer does (watching.h) */
} step_wish;
/* drive.c. Local. Room for an optimizer that drives; nothing for others. USAGE where it cannot. */
ds_status drive_create(ds_trainer *self) DS_NODISCARD;
/* drive.c. Collective. A step of such an optimizer. */
ds_status drive_step(ds_trainer *self, const batch_source *batch, const step_wish *wish,
                     ds_outcome *outcome) DS_NODISCARD;
/* drive.c. Local. Its state: a slot's flat block (NULL: not in use), its numbers. */
float *drive_slot(const ds_trainer *self, size_t s);
double *drive_numbers(const ds_trainer *self, size_t *n);
/* drive.c. Local. What it knows is of another objective: the next step begins afresh. */
void drive_forget(ds_trainer *self);
/* trainer_step.c. Local. The penalties' part of the loss at the parameters. */
double step_penalty(const ds_trainer *self);
/* trainer_step.c. Local. The learning rate of the next update; NaN: the optimizer has none. */
double step_rate(const ds_trainer *self);
/* trainer_step.c. Collective. Where the time of this process's steps went. */
ds_status step_spent(ds_trainer *self, ds_spent *out) DS_NODISCARD;
/* trainer_step.c. Collective. The next batch of the run; any batch. */
ds_status step_next(ds_trainer *self, const step_wish *wish, ds_outcome *outcome) DS_NODISCARD;
ds_status step_batch(ds_trainer *self, const batch_source *batch, const step_wish *wish,
                     ds_outcome *outcome) DS_NODISCARD;

/* Attributes of /run that hold the names, by kind. */
static const char *const names_attr[DS_NAMES_KINDS] = {"classes", "columns", "target_columns"};

/* linear_gap.c. Local. How far a linear regression is from its closed form; *applies false where
 * there is none. */
ds_status linear_gap_find(ds_trainer *self, bool *applies, ds_linear_gap *out) DS_NODISCARD;

/* snapshot.c. Collective. */
ds_status snapshot_write(ds_trainer *self, const char *dir, size_t room, char *path) DS_NODISCARD;
/* restore.c. Local, alike on all ranks. Parameters of a file; state of a run. */
ds_status restore_params(ds_trainer *self, const ds_checkpoint *file, float *flat) DS_NODISCARD;
ds_status restore_run(ds_trainer *self, const ds_checkpoint *file,
                      const ds_trainer_spec *spec) DS_NODISCARD;
/* restore_sync.c. Local, before the plan is made: as many replicas as the file has, unless the
 * config or `set` say a number. CHECKPOINT where there are more ranks than that. */
ds_status restore_replicas(ds_trainer *self, const ds_checkpoint *file,
                           const ds_trainer_spec *spec) DS_NODISCARD;
/* restore_sync.c. Collective. What the strategy keeps besides parameters and slots. Warns where the
 * config now asks for another way to synchronise. */
ds_status restore_sync(ds_trainer *self, const ds_checkpoint *file) DS_NODISCARD;
/* restore.c. Local. Tensors of the layout below `group` into a flat block: all, the trainable ones,
 * or those that use a slot (from 0). */
/* Local. Where a checkpoint keeps it. */
static inline const char *restore_group_of(const ds_param *param)
{
    return param->kind == DS_PARAM_FACTOR ? "/optimizer/factors" : "/parameters";
}
enum { RESTORE_PARAMETERS = -1, RESTORE_TRAINABLE = -2 };
ds_status restore_block(const ds_trainer *self, const ds_checkpoint *file, const char *group,
                        int slot, float *flat) DS_NODISCARD;
/* restore.c. Local. An attribute of /run. */
ds_status restore_text(const ds_checkpoint *file, const char *name, const char **out) DS_NODISCARD;
/* restore.c. Local. Normalisation and names of a file, into kept and names. */
ds_status restore_data(ds_trainer *self, const ds_checkpoint *file) DS_NODISCARD;
/* restore.c. Local. The config that the file was made with. */
ds_status restore_config(const ds_checkpoint *file, ds_config **out) DS_NODISCARD;
/* restore.c. Local. The keys in which this config differs from the file's in what shapes the
 * numbers, but for those that `set` covers. */
typedef struct restore_keys {
    size_t n;
    char text[4096];
} restore_keys;
ds_status restore_differences(const ds_trainer *self, const ds_checkpoint *file, size_t n_set,
                              const char *const *set, restore_keys *out) DS_NODISCARD;
/* restore_numerics.c. Local. Are numerics and plug-in the file's? Others are warned of by rank 0;
 * CHECKPOINT under compute.strict. */
ds_status restore_surroundings(const ds_trainer *self, const ds_checkpoint *file,
                               const ds_trainer_spec *spec) DS_NODISCARD;
/* restore_watch.c. Local. What steps have been skipped, and what the guard knows. */
ds_status restore_skips(ds_trainer *self, const ds_checkpoint *file) DS_NODISCARD;
void restore_alarms(ds_trainer *self, const ds_checkpoint *file);
/* restore.c. Local. Does this config go on from that file? CHECKPOINT naming the keys. */
ds_status restore_check(ds_trainer *self, const ds_checkpoint *file,
                        const ds_trainer_spec *spec) DS_NODISCARD;

/* stopping.c. Local, alike on all ranks. */
void stopping_reset(stopping *self);
/* The run ends, for the first reason given. */
void stopping_end(stopping *self, const char *reason);
/* After a step; after an evaluation of the validation split (true when it is the best so far). */
void stopping_after_step(stopping *self, const ds_stop_config *rules, const ds_outcome *outcome);
bool stopping_after_eval(stopping *self, const ds_stop_config *rules, int64_t step, double loss);

/* rate_state.c. Local, alike on all ranks. What a schedule that watches the loss gets to see: each
 * step's loss (an epoch's mean goes on), and the validation loss of a regular evaluation. */
ds_status rate_create(ds_trainer *self) DS_NODISCARD;
void rate_after_step(ds_trainer *self, double loss);
void rate_after_eval(ds_trainer *self, double loss);

/* trajectory.c. Local, on rank 0 (report NULL elsewhere): the point of this step, where it is to be
 * recorded. */
ds_status trajectory_add(ds_trainer *self, ds_report *report) DS_NODISCARD;

/* history.c. Local. */
ds_status history_create(ds_arena *arena, history *self) DS_NODISCARD;
void history_add(history *self, int64_t step, double loss);

#endif
