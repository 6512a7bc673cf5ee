/* What the files of this folder share. */
#ifndef DS_CONFIG_PARTS_H
#define DS_CONFIG_PARTS_H

#include "descent/config.h"

enum { CONFIG_MOST_BYTES = 1 << 20, CONFIG_MOST_VALUES = 100000, CONFIG_MOST_DEPTH = 64 };

/* Local. YAML text -> tree. `source` names it in messages; with `places` values carry line and
 * column (a --set value has none). *out is NULL for a text without a document. */
ds_status ds_yaml_parse(ds_arena *arena, const char *source, bool places, const char *text,
                        ds_value **out) DS_NODISCARD;
/* Local. A deep copy under another key; places are kept. */
ds_status ds_value_copy(ds_arena *arena, const char *key, const ds_value *from,
                        ds_value **out) DS_NODISCARD;
size_t ds_value_count(const ds_value *self); /* itself and all below it */
/* Local. Fail at the first byte that is no UTF-8 or a control character. */
ds_status ds_utf8_check(const char *source, bool places, const char *text) DS_NODISCARD;
/* Local. Apply one KEY=VALUE edit to the tree. */
ds_status ds_config_edit(ds_arena *arena, ds_value *root, const char *edit) DS_NODISCARD;
/* Local. True when `path` is `edit`'s key, lies below it or above it. */
bool ds_config_edit_covers(const char *edit, const char *path);

/* The raw members of each section, as the tables fill them. */
typedef struct ds_raw_root {
    const char *name;
    int64_t seed;
    const ds_value *data, *model, *problem, *loss, *batch, *optimizer, *lr, *sync, *compute, *train,
        *eval, *stop, *checkpoint, *watch;
} ds_raw_root;
typedef struct ds_raw_data {
    const ds_value *train, *test, *validation, *augment;
    int normalize;
} ds_raw_data;
typedef struct ds_raw_fraction {
    double fraction;
    int64_t fold, of;
} ds_raw_fraction;
typedef struct ds_raw_named { /* loss, lr: what is common to all members */
    const char *name;
    int64_t warmup_steps, scale_batch;
    int scale;
    const ds_value *class_weights;
} ds_raw_named;
typedef struct ds_raw_optimizer {
    const char *name;
    double lr, clip_norm, l1, l2, ema;
    bool decay_bias;
    const ds_value *groups;
} ds_raw_optimizer;
typedef struct ds_raw_group {
    const char *match;
    double lr_scale, l1, l2;
    const ds_value *weight_decay;
    bool as_vector;
} ds_raw_group;
typedef struct ds_raw_batch {
    int64_t size, accumulate;
    const ds_value *shards;
} ds_raw_batch;
typedef struct ds_raw_sync {
    const char *strategy;
    const char *compress;
    int transport, overlap;
    int64_t bucket;
    const ds_value *replicas;
} ds_raw_sync;
typedef struct ds_raw_local {
    int64_t local_steps;
    const ds_value *local_after;
    int optimizer_state;
    double outer_lr, outer_momentum;
} ds_raw_local;
typedef struct ds_raw_compute {
    int kernels, isa, precision;
    int64_t threads;
    bool strict;
} ds_raw_compute;
typedef struct ds_raw_train {
    int64_t epochs, max_steps, log_every, max_skips, sharpness_iterations;
    const ds_value *eval_every, *sharpness_every, *spike;
    int on_nan;
    bool log_layers;
} ds_raw_train;
typedef struct ds_raw_spike {
    int64_t window;
    double z;
} ds_raw_spike;
typedef struct ds_raw_eval {
    int64_t batch;
} ds_raw_eval;
typedef struct ds_raw_stop {
    double grad_norm;
    const ds_value *plateau, *early;
} ds_raw_stop;
typedef struct ds_raw_patience {
    int64_t patience;
    double min_delta;
} ds_raw_patience;

extern const ds_option ds_config_root_options[], ds_config_data_options[],
    ds_config_fraction_options[], ds_config_augment_options[], ds_config_loss_options[],
    ds_config_batch_options[], ds_config_optimizer_options[], ds_config_group_options[],
    ds_config_lr_options[], ds_config_sync_options[], ds_config_compute_options[],
    ds_config_train_options[], ds_config_spike_options[], ds_config_eval_options[],
    ds_config_stop_options[], ds_config_patience_options[], ds_config_checkpoint_options[],
    ds_config_watch_options[];

/* Options of a strategy beside those of the section; ends with a NULL name. */
typedef struct ds_strategy_options {
    const char *name;
    const ds_option *options;
} ds_strategy_options;
extern const ds_strategy_options ds_config_strategies[];

/* Local. Fail at the first key of `raw` that belongs to other strategies only. */
ds_status ds_config_sync_foreign(const ds_value *raw, const char *strategy) DS_NODISCARD;
/* Local. The options of self->sync.strategy into self->sync and the resolved map. */
ds_status ds_config_sync_own(ds_config *self, const ds_value *raw, ds_value *map) DS_NODISCARD;

/* Local. "100", "100 steps", "2 epochs"; USAGE with "`what` is 'x', expected `expected`". */
ds_status ds_config_count(const ds_value *v, const char *what, const char *expected,
                          ds_count *out) DS_NODISCARD;
enum { DS_COUNT_TEXT = 40 };
/* Local. The way back. */
void ds_config_count_text(const ds_count *count, char text[DS_COUNT_TEXT]);

/* Local. Fill part of `self` from the raw value of a section (NULL: absent) and append the resolved
 * map to `root`. */
ds_status ds_config_take_data(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_model(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
/* Local. Is there a model and a loss, or a problem? Then whichever is there. */
ds_status ds_config_check_subject(const ds_value *tree) DS_NODISCARD;
ds_status ds_config_take_subject(ds_config *self, const ds_raw_root *raw,
                                 ds_value *root) DS_NODISCARD;
ds_status ds_config_take_loss(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_batch(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_optimizer(ds_config *self, const ds_value *raw,
                                   ds_value *root) DS_NODISCARD;
ds_status ds_config_take_lr(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_sync(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_compute(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_train(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_eval(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_stop(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_watch(ds_config *self, const ds_value *raw, ds_value *root) DS_NODISCARD;
ds_status ds_config_take_checkpoint(ds_config *self, const ds_value *raw,
                                    ds_value *root) DS_NODISCARD;
/* Local. With an optimizer that drives: take a learning rate's keys that `raw` does not give out of
 * the resolved map just appended to `root`, an empty map too. */
void ds_config_drop_rate(const ds_config *self, const ds_value *raw, ds_value *root);
/* Local. sync.replicas of *raw (NULL: absent) into self; *raw becomes its resolved value. */
ds_status ds_config_read_replicas(ds_config *self, const ds_value **raw) DS_NODISCARD;
/* Local. Groups and the options of biases from the raw section (a missing list becomes an empty
 * one); options are those of all other tensors. */
ds_status ds_config_take_groups(ds_config *self, const void *options,
                                ds_raw_optimizer *raw) DS_NODISCARD;
/* Local. A new map `key` at the place of `raw` (may be NULL), appended to `root`. */
ds_status ds_config_open(ds_config *self, const char *key, const ds_value *raw, ds_value *root,
                         ds_value **out) DS_NODISCARD;
/* Local. Append a filled struct's options to `out`; those given in `raw` keep their place. */
ds_status ds_config_resolve(ds_config *self, const ds_option *table, const void *options,
                            const ds_value *raw, ds_value *out) DS_NODISCARD;
/* Local. Replace or append scalar `key` of `map` by `text`, at the place of `raw` (may be NULL). */
ds_status ds_config_put(ds_config *self, ds_value *map, const char *key, const char *text,
                        const ds_value *raw) DS_NODISCARD;
/* Local. The text of the table's CHOICE option `name` for index i, in the config's arena. */
ds_status ds_config_choice(ds_config *self, const ds_option *table, const char *name, int i,
                           const char **out) DS_NODISCARD;
/* Local. `text` made absolute: as it is, or beside the config, in $DESCENT_DATA, in Debian's data
 * sets, whichever has it; beside the config when none has. */
ds_status ds_config_path(ds_config *self, const char *text, char **out) DS_NODISCARD;

#endif
