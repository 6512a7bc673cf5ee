/* The checked config. Rank 0 reads the text; all ranks parse the same text. `root` is the resolved
 * tree: every key present, defaults filled, paths absolute, `--set` applied; writing it out gives a
 * config.yaml that can be run again. */
#ifndef DS_CONFIG_H
#define DS_CONFIG_H

#include <stdint.h>

#include "descent/codec.h"
#include "descent/loss.h"
#include "descent/lr.h"
#include "descent/optim.h"
#include "descent/problem.h"

typedef struct ds_batch_config {
    int64_t size;
    int64_t
        shards; /* of one micro-batch; resolved, or 0 when `ranks` was asked for: then one a rank */
    int64_t accumulate;
} ds_batch_config;

/* "100 steps", "2 epochs" */
typedef struct ds_count {
    int64_t n;
    bool in_epochs;
} ds_count;

/* What a meeting does with the state of the replicas' own optimizers. */
typedef enum ds_optimizer_state {
    DS_STATE_KEEP,    /* each replica goes on with its own */
    DS_STATE_AVERAGE, /* all go on with the mean */
    DS_STATE_RESET    /* all start anew */
} ds_optimizer_state;

typedef struct ds_sync_config {
    const char *strategy;  /* "exact", "allreduce", later ones; checked against the registry by
                              runtime/sync */
    const char *compress;  /* "none", or the codec's name */
    ds_codec codec;        /* ops NULL: none; scale 1 */
    const char *transport; /* "auto", "shared", "direct" */
    const char *overlap;   /* "auto", "true", "false" */
    int64_t bucket;        /* bytes */
    int64_t replicas;      /* 0: as many as ranks; see plan.h */
    /* Of the strategies that train locally: */
    int64_t local_steps;  /* between two meetings */
    ds_count local_after; /* post-local: until here as exact */
    ds_optimizer_state optimizer_state;
    double outer_lr, outer_momentum; /* diloco */
} ds_sync_config;

typedef struct ds_compute_config {
    const char *kernels; /* auto, native, ref, openblas, onednn */
    bool bf16;           /* products of bfloat16 */
    const char *isa;     /* auto, or an upper bound: base, avx2, avx512 */
    int64_t threads;
    bool strict;
} ds_compute_config;

typedef struct ds_train_config {
    int64_t epochs, max_steps; /* 0: no such limit */
    int64_t eval_every;        /* in steps or epochs by the flag below; 0: only at the end */
    bool eval_in_epochs;
    int64_t log_every;
    bool skip_nan;     /* on_nan: skip, else stop */
    int64_t max_skips; /* steps in a row that may be skipped for it; 0: any number */
    bool log_layers;
    ds_count sharpness_every; /* n 0: never */
    int64_t sharpness_iterations;
    int64_t spike_window;
    double spike_z; /* skip updates of steps that stand out by more deviations; 0: off */
} ds_train_config;

typedef struct ds_stop_config {
    double grad_norm; /* stop below; 0: off */
    int64_t
        plateau_patience; /* in steps without the (training) loss falling by min_delta; 0: off */
    double plateau_min_delta;
    int64_t early_patience; /* in evaluations on validation; 0: off */
    double early_min_delta;
} ds_stop_config;

typedef struct ds_checkpoint_config {
    int64_t every_steps; /* 0: only the last */
    bool initial;
    int64_t keep;   /* 0: all */
    int64_t margin; /* s before the end of a batch job to save in; 0: chosen */
} ds_checkpoint_config;

typedef struct ds_watch_config {
    double timeout; /* seconds without progress until a rank is late; 0: off */
} ds_watch_config;

typedef enum ds_normalize {
    DS_NORMALIZE_NONE,
    DS_NORMALIZE_UNIT,
    DS_NORMALIZE_STANDARD
} ds_normalize;

/* What training does to images on their way in; see dataset.h. */
typedef struct ds_augment {
    bool flip;
    int64_t shift;
    double noise;
} ds_augment;

typedef struct ds_data_config {
    const ds_value *train, *test, *validation; /* source maps ({format, ...}); NULL when absent */
    double validation_fraction; /* of the training data, 0: none; excludes `validation` */
    int64_t fold, folds;        /* part `fold` (from 1) of `folds` is for validation; 0: none */
    ds_normalize normalize;
    ds_augment augment;
} ds_data_config;

/* How the optimizer treats tensors whose names fit a pattern, where not as all others. */
typedef struct ds_optim_group {
    const char *match;   /* as fnmatch: "dense1/?*" */
    const ds_value *at;  /* of `match` */
    const void *options; /* the optimizer's, with the group's weight_decay; NULL: it gives none */
    double lr_scale;
    double l1, l2;  /* below 0: it gives none */
    bool as_vector; /* a matrix is treated as a bias is: by Adam in muon, without a rate of its own
                       in lars */
} ds_optim_group;

typedef struct ds_config {
    const char *path; /* of the file, absolute, or "" for a text from memory */
    const ds_value *root;
    const char *name;
    uint64_t seed;
    ds_data_config data;
    const ds_value *model;   /* {input, layers}, whatever was given; NULL with a problem */
    const ds_value *preset;  /* as it was given, where that names a preset; else NULL */
    const ds_value *problem; /* instead of model and loss, or NULL */
    const ds_loss_ops *loss; /* with a problem: ds_problem_objective */
    const void *loss_options;
    size_t n_class_weights;    /* 0: classes count alike, or by their number (below) */
    const float *class_weight; /* (n_class_weights), not all 0 */
    bool balanced;             /* class weights from the training data */
    const ds_optim_ops *optimizer;
    const void *optimizer_options;
    double lr, clip_norm;     /* lr: of the schedule, scaled where lr.scale says so; of no meaning
                                 to an optimizer that drives */
    const char *lr_note;      /* what lr.scale did, for people; "" where nothing */
    double l1, l2;            /* penalties l1 sum |w| + l2/2 sum w^2 */
    double ema;               /* 0: no averaged weights */
    const void *bias_options; /* of biases and gains, without decay; NULL: as all others */
    size_t n_groups;
    const ds_optim_group *group; /* the first that fits counts */
    const ds_lr_ops *schedule;
    const void *schedule_options;
    int64_t warmup_steps;
    ds_batch_config batch;
    ds_sync_config sync;
    ds_compute_config compute;
    ds_train_config train;
    int64_t eval_batch;
    ds_stop_config stop;
    ds_checkpoint_config checkpoint;
    ds_watch_config watch;
    ds_arena *arena; /* owns all of it */
} ds_config;

/* Local. Read the file; *text is NUL-terminated and the caller frees it. Errors: USAGE (missing,
 * unreadable, a directory). */
DS_API ds_status ds_config_read(const char *path, char **text) DS_NODISCARD;
/* Local, a pure function of its arguments and of which data files exist. `path` names the text in
 * messages and is where relative data paths start (then $DESCENT_DATA, then Debian's
 * share/datasets/fashion-mnist). `set` are n KEY=VALUE edits. Errors: USAGE with file:line:column,
 * what was found, the closest match. */
DS_API ds_status ds_config_create(const char *text, const char *path, size_t n_set,
                                  const char *const *set, ds_config **out) DS_NODISCARD;
DS_API void ds_config_destroy(ds_config **config);
/* Local. Where the model is a preset: write it out anew for that many classes or target columns (0:
 * not known), which only the data tell. A model made before is of another config. */
DS_API ds_status ds_config_fit(ds_config *self, size_t outputs) DS_NODISCARD;
/* Local. The resolved config as YAML text; free() it. */
DS_API ds_status ds_config_text(const ds_config *self, char **text) DS_NODISCARD;
/* Local. A config's text as a tree, unchecked: a checkpoint's may be of another program's version,
 * its data gone. *out is NULL for an empty text. Errors: USAGE (no YAML). */
DS_API ds_status ds_config_tree(ds_arena *arena, const char *text, ds_value **out) DS_NODISCARD;
/* Local. Optimizers that drive have no learning rate: "optimizer.lr" or "lr" where one is given all
 * the same; NULL: none is. */
DS_API const char *ds_config_idle_rate(const ds_config *self);
/* Local. Keys that shape the numbers and differ between two configs, as "optimizer.lr, batch.size"
 * in text; *n their number. Keys in `set` (KEY=VALUE edits of the second) are left out of the list.
 */
DS_API ds_status ds_config_compare(const ds_config *a, const ds_config *b, size_t n_set,
                                   const char *const *set, size_t room, char *text,
                                   size_t *n) DS_NODISCARD;
/* Local. The same of the keys that choose numerics (compute.isa, compute.threads), which
 * ds_config_compare leaves out: the checkpoint's numerics tell whether bits move. */
DS_API ds_status ds_config_compare_numerics(const ds_config *a, const ds_config *b, size_t n_set,
                                            const char *const *set, size_t room, char *text,
                                            size_t *n) DS_NODISCARD;
/* Local. Each key in which two trees of resolved configs differ; a or b is NULL where only the
 * other has it. `shapes`: it shapes the numbers, by the rule of ds_config_compare. */
typedef void ds_config_change(void *context, const char *key, const ds_value *a, const ds_value *b,
                              bool shapes);
DS_API void ds_config_changes(const ds_value *a, const ds_value *b, ds_config_change *each,
                              void *context);
/* Local. For `descent list keys` and `help`: the i-th key of the config with its description, false
 * past the end. */
typedef struct ds_config_key {
    char path[96], type[96], fallback[48];
    const char *help;
} ds_config_key;
DS_API bool ds_config_key_at(size_t i, ds_config_key *out);
/* Local. Options that stand in `sync` where this strategy is chosen; NULL: none of its own. */
DS_API const ds_option *ds_config_strategy_options(const char *strategy);

#endif
