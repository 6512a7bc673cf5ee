/* Every key of the config outside the registries, as tables: they parse, fill in, write out and
 * document. Sections that hold a registry's member (loss, optimizer, lr) list what is common. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "descent/preset.h"

#include "config_parts.h"

#define REQUIRED DS_OPTION_REQUIRED
#define NEUTRAL DS_OPTION_NEUTRAL
#define BOOL(S, m, d, f, h)                                     \
    {                                                           \
#m, DS_OPTION_BOOL, offsetof(S, m), d, 0, 0, NULL, f, h \
    }
#define INT(S, m, d, lo, f, h)                                         \
    {                                                                  \
#m, DS_OPTION_INT, offsetof(S, m), d, lo, HUGE_VAL, NULL, f, h \
    }
#define REAL(S, m, d, lo, hi, h)                                  \
    {                                                             \
#m, DS_OPTION_REAL, offsetof(S, m), d, lo, hi, NULL, 0, h \
    }
#define BYTES(S, m, d, lo, f, h)                                         \
    {                                                                    \
#m, DS_OPTION_BYTES, offsetof(S, m), d, lo, HUGE_VAL, NULL, f, h \
    }
#define TEXT(S, m, d, f, h)                                     \
    {                                                           \
#m, DS_OPTION_TEXT, offsetof(S, m), d, 0, 0, NULL, f, h \
    }
#define CHOICE(S, m, d, c, f, h)                               \
    {                                                          \
#m, DS_OPTION_CHOICE, offsetof(S, m), d, 0, 0, c, f, h \
    }
#define VALUE(S, m, c, f, h)                                     \
    {                                                            \
#m, DS_OPTION_VALUE, offsetof(S, m), NULL, 0, 0, c, f, h \
    }
#define END          \
    {                \
        .name = NULL \
    }

const ds_option ds_config_root_options[] = {
    TEXT(ds_raw_root, name, NULL, NEUTRAL, "names the run's directory; default: the config's file"),
    INT(ds_raw_root, seed, "1", 0, 0, "all randomness follows from it"),
    VALUE(ds_raw_root, data, "a map", 0, "what is learned from"),
    VALUE(ds_raw_root, model, "a map", 0,
          "input and layers, or a preset; required without a problem"),
    VALUE(ds_raw_root, loss, "a loss, as cross_entropy (classes) or mse (numbers)", 0,
          "what is minimised; required without a problem"),
    VALUE(ds_raw_root, problem, "a map, as {name: rosenbrock} or {plugin: FILE}", 0,
          "a function or a plug-in instead of model and loss"),
    VALUE(ds_raw_root, batch, "a map", 0, "samples of a step and how they are cut"),
    VALUE(ds_raw_root, optimizer, "a name or a map", 0, "the update; default: adamw"),
    VALUE(ds_raw_root, lr, "a schedule or a map", 0, "how the rate changes; default: constant"),
    VALUE(ds_raw_root, sync, "a map", 0, "how the ranks meet"),
    VALUE(ds_raw_root, compute, "a map", 0, "kernels and instruction sets"),
    VALUE(ds_raw_root, train, "a map", REQUIRED, "how long, what is reported"),
    VALUE(ds_raw_root, eval, "a map", 0, "evaluation"),
    VALUE(ds_raw_root, stop, "a map", 0, "rules that end a run early"),
    VALUE(ds_raw_root, checkpoint, "a map", 0, "when state is saved and what is kept"),
    VALUE(ds_raw_root, watch, "a map", NEUTRAL, "when a rank is late"),
    END,
};
const ds_option ds_config_data_options[] = {
    VALUE(ds_raw_data, train, "a source, as {format: csv, path: FILE, target: COLUMN}", 0,
          "the training split"),
    VALUE(ds_raw_data, test, "a source", 0, "the test split"),
    VALUE(ds_raw_data, validation, "a source, {fraction: F} or {fold: I, of: K}", 0,
          "the validation split"),
    CHOICE(ds_raw_data, normalize, NULL, "none|unit|standard", 0,
           "inputs as they are, bytes to [0, 1], or mean 0 and deviation 1"),
    VALUE(ds_raw_data, augment, "a map", 0, "what training does to images on their way in"),
    END,
};
const ds_option ds_config_fraction_options[] = {
    REAL(ds_raw_fraction, fraction, "0", 0, DS_BELOW_1, "part of the training data set aside"),
    INT(ds_raw_fraction, fold, "0", 0, 0, "which of `of` parts is set aside, from 1; 0: none"),
    INT(ds_raw_fraction, of, "0", 0, 0, "parts of a cross-validation: disjoint, together all"),
    END,
};
const ds_option ds_config_augment_options[] = {
    BOOL(ds_augment, flip, "false", 0, "every second image is mirrored, left to right"),
    INT(ds_augment, shift, "0", 0, 0,
        "pixels by which it moves at most, up, down, left, right; what comes in is 0 (black)"),
    REAL(ds_augment, noise, "0", 0, 1e6, "standard deviation of what is added after normalisation"),
    END,
};
const ds_option ds_config_loss_options[] = {
    TEXT(ds_raw_named, name, NULL, REQUIRED, "the loss"),
    VALUE(ds_raw_named, class_weights, "none, balanced, or a list of numbers >= 0", 0,
          "what a sample of each class counts; balanced: as the training data have few of it"),
    END,
};
const ds_option ds_config_batch_options[] = {
    INT(ds_raw_batch, size, "256", 1, 0, "samples of a micro-batch"),
    VALUE(ds_raw_batch, shards, "int >= 1, or ranks", 0,
          "pieces of a micro-batch; default: a power of two near size/32"),
    INT(ds_raw_batch, accumulate, "1", 1, 0, "micro-batches a step"),
    END,
};
const ds_option ds_config_optimizer_options[] = {
    TEXT(ds_raw_optimizer, name, "adamw", 0, "the optimizer"),
    REAL(ds_raw_optimizer, lr, "0.001", DS_ABOVE_0, HUGE_VAL, "the base learning rate"),
    REAL(ds_raw_optimizer, clip_norm, "0", 0, HUGE_VAL, "largest norm of the gradient; 0: any"),
    REAL(ds_raw_optimizer, l1, "0", 0, HUGE_VAL, "adds l1 sum |w| to the training loss"),
    REAL(ds_raw_optimizer, l2, "0", 0, HUGE_VAL, "adds l2/2 sum w^2 to the training loss"),
    REAL(ds_raw_optimizer, ema, "0", 0, DS_BELOW_1,
         "evaluate running means of the weights, as 0.999; 0: the weights"),
    BOOL(ds_raw_optimizer, decay_bias, "true", 0,
         "false: no weight decay or penalty on biases and gains"),
    VALUE(ds_raw_optimizer, groups, "a list, as [{match: dense1/*, lr_scale: 0.1}]", 0,
          "tensors that are treated otherwise; the first that fits counts"),
    END,
};
const ds_option ds_config_group_options[] = {
    TEXT(ds_raw_group, match, NULL, REQUIRED, "pattern of tensor names: dense1/weight, */bias"),
    REAL(ds_raw_group, lr_scale, "1", 0, HUGE_VAL, "their rate as a part of lr"),
    VALUE(ds_raw_group, weight_decay, "real >= 0", 0, "instead of the optimizer's"),
    REAL(ds_raw_group, l1, NULL, 0, HUGE_VAL, "instead of optimizer.l1"),
    REAL(ds_raw_group, l2, NULL, 0, HUGE_VAL, "instead of optimizer.l2"),
    BOOL(ds_raw_group, as_vector, "false", 0, "treat matrices as biases (muon, lars)"),
    END,
};
const ds_option ds_config_lr_options[] = {
    {"schedule", DS_OPTION_TEXT, offsetof(ds_raw_named, name), "constant", 0, 0, NULL, 0,
     "the schedule"},
    INT(ds_raw_named, warmup_steps, "0", 0, 0, "steps of linear growth before it"),
    CHOICE(ds_raw_named, scale, NULL, "none|linear|sqrt", 0, "the rate grows with the batch"),
    INT(ds_raw_named, scale_batch, "256", 1, 0, "the batch that optimizer.lr was found for"),
    END,
};
const ds_option ds_config_sync_options[] = {
    TEXT(ds_raw_sync, strategy, "exact", 0, "how gradients become one update"),
    TEXT(ds_raw_sync, compress, "none", 0,
         "codec of what is sent, its options beside it; or none; diloco's default is bf16"),
    CHOICE(ds_raw_sync, transport, NULL, "auto|shared|direct", NEUTRAL, "memory or messages"),
    CHOICE(ds_raw_sync, overlap, NULL, "auto|true|false", NEUTRAL,
           "send gradients while others are computed"),
    BYTES(ds_raw_sync, bucket, "4 MiB", 1, NEUTRAL, "gradients sent at once"),
    VALUE(ds_raw_sync, replicas, "int >= 1, or ranks", 0,
          "what quantises or trains on its own; default ranks: as many as the run starts on"),
    END,
};
#define LOCAL_STEPS(d)                                                                           \
    {                                                                                            \
        "local_steps", DS_OPTION_INT, offsetof(ds_raw_local, local_steps), d, 1, HUGE_VAL, NULL, \
            0, "updates of a replica between two meetings"                                       \
    }
#define LOCAL_STATE                                                      \
    CHOICE(ds_raw_local, optimizer_state, NULL, "keep|average|reset", 0, \
           "what a meeting does with the replicas' optimizer state")
#define LOCAL_AFTER                                                   \
    VALUE(ds_raw_local, local_after, "N steps or N epochs", REQUIRED, \
          "post-local: until here as exact")
#define LOCAL_OUTER                                           \
    REAL(ds_raw_local, outer_lr, "0.7", DS_ABOVE_0, HUGE_VAL, \
         "diloco: rate of the outer Nesterov step"),          \
        REAL(ds_raw_local, outer_momentum, "0.9", 0, DS_BELOW_1, "diloco: its momentum")

static const ds_option tables_local_sgd[] = {LOCAL_STEPS("8"), LOCAL_STATE, END};
static const ds_option tables_post_local[] = {LOCAL_AFTER, LOCAL_STEPS("8"), LOCAL_STATE, END};
static const ds_option tables_diloco[] = {LOCAL_STEPS("50"), LOCAL_STATE, LOCAL_OUTER, END};
const ds_strategy_options ds_config_strategies[] = {{"local-sgd", tables_local_sgd},
                                                    {"post-local", tables_post_local},
                                                    {"diloco", tables_diloco},
                                                    {NULL, NULL}};
/* For the list of keys. */
static const ds_option tables_local_keys[] = {
    {.name = "local_steps",
     .choices = "int >= 1",
     .fallback = "8, diloco 50",
     .help = "local-sgd, post-local, diloco: updates of a replica between two meetings"},
    {.name = "optimizer_state",
     .choices = "keep, average, reset",
     .fallback = "keep",
     .help = "the same: what a meeting does with the replicas' optimizer state"},
    LOCAL_AFTER,
    LOCAL_OUTER,
    END,
};
const ds_option ds_config_compute_options[] = {
    CHOICE(ds_raw_compute, kernels, NULL, "auto|native|ref|openblas|onednn", 0, "who multiplies"),
    CHOICE(ds_raw_compute, precision, NULL, "fp32|bf16", 0,
           "of the factors of products; sums, parameters and all else are fp32"),
    CHOICE(ds_raw_compute, isa, NULL, "auto|base|avx2|avx512", 0, "highest instruction set"),
    {"threads", DS_OPTION_INT, offsetof(ds_raw_compute, threads), "1", 1, 1024, NULL, 0,
     "threads of a rank"},
    BOOL(ds_raw_compute, strict, "false", NEUTRAL, "refuse to resume under other numerics"),
    END,
};
const ds_option ds_config_train_options[] = {
    INT(ds_raw_train, epochs, "0", 0, 0, "passes over the data; 0: no limit"),
    INT(ds_raw_train, max_steps, "0", 0, 0, "updates; 0: no limit"),
    VALUE(ds_raw_train, eval_every, "N steps, N epochs or 0", 0,
          "how often to evaluate; default 1 epoch; 0: at the end"),
    INT(ds_raw_train, log_every, "10", 1, NEUTRAL, "steps between two lines of metrics"),
    CHOICE(ds_raw_train, on_nan, NULL, "stop|skip", 0, "what a loss that is no number does"),
    INT(ds_raw_train, max_skips, "100", 0, 0,
        "on_nan: skip gives up after so many steps in a row; 0: never"),
    BOOL(ds_raw_train, log_layers, "false", NEUTRAL,
         "norms, update ratio and dead units of each layer with every line of metrics"),
    VALUE(ds_raw_train, sharpness_every, "N steps, N epochs or 0", NEUTRAL,
          "how often to find the largest eigenvalue of the Hessian; default 0: never"),
    INT(ds_raw_train, sharpness_iterations, "20", 1, NEUTRAL,
        "at most so many products with the Hessian each time"),
    VALUE(ds_raw_train, spike, "a map, as {z: 6}", 0,
          "skip the update of a step whose loss or gradient norm stands out; default: off"),
    END,
};
const ds_option ds_config_spike_options[] = {
    {"window", DS_OPTION_INT, offsetof(ds_raw_spike, window), "128", 2, 1 << 20, NULL, 0,
     "the steps before it that a step is compared with"},
    REAL(ds_raw_spike, z, "6", 0, HUGE_VAL,
         "by how many standard deviations above their mean; 0: off"),
    END,
};
const ds_option ds_config_eval_options[] = {
    INT(ds_raw_eval, batch, "1000", 1, 0, "samples at once in evaluation and predict, at most"),
    END,
};
const ds_option ds_config_stop_options[] = {
    REAL(ds_raw_stop, grad_norm, "0", 0, HUGE_VAL, "stop below this norm; 0: off"),
    VALUE(ds_raw_stop, plateau, "a map", 0, "the training loss no longer falls"),
    VALUE(ds_raw_stop, early, "a map", 0, "the validation loss no longer falls"),
    END,
};
const ds_option ds_config_patience_options[] = {
    INT(ds_raw_patience, patience, "0", 0, 0, "how often in a row it may fail to fall; 0: off"),
    REAL(ds_raw_patience, min_delta, "0", 0, HUGE_VAL, "by how much it must fall"),
    END,
};
const ds_option ds_config_checkpoint_options[] = {
    INT(ds_checkpoint_config, every_steps, "500", 0, NEUTRAL,
        "steps between two; 0: the last only"),
    BOOL(ds_checkpoint_config, initial, "false", NEUTRAL, "save step 0 too"),
    INT(ds_checkpoint_config, keep, "3", 0, NEUTRAL, "how many stay; 0: all"),
    INT(ds_checkpoint_config, margin, "0", 0, NEUTRAL,
        "seconds kept before the end of a batch job to save in; 0: half a minute, at most a "
        "quarter of the job"),
    END,
};

const ds_option ds_config_watch_options[] = {
    {"timeout", DS_OPTION_REAL, offsetof(ds_watch_config, timeout), "600", 0, 1e9, NULL, NEUTRAL,
     "seconds without progress until late ranks are named and the run ends, resumable; 0: never"},
    END,
};

/* What the owners of data and model read; listed here so that `descent list keys` is complete. */
static const ds_option tables_source_options[] = {
    {.name = "format",
     .choices = "idx, csv, hdf5, npy, libsvm, cifar10, cifar100, text, tokens, synthetic",
     .help = "how the data is kept"},
    {.name = "images", .choices = "path", .help = "idx: file of images, .gz or not"},
    {.name = "labels", .choices = "path", .help = "idx: file of labels"},
    {.name = "path", .choices = "path", .help = "the file; cifar10: a list of them, or a folder"},
    {.name = "target", .choices = "name or list", .help = "csv: column(s) to predict"},
    {.name = "header", .choices = "auto, true, false", .help = "csv: is the first line a header"},
    {.name = "inputs", .choices = "name", .help = "hdf5: data set of the inputs; npy: their file"},
    {.name = "targets",
     .choices = "name",
     .help = "hdf5: data set of the targets; npy: their file"},
    {.name = "kind", .choices = "lines, blobs, spirals, digits", .help = "synthetic: which"},
    {.name = "samples", .choices = "int >= 1", .help = "synthetic: how many"},
    {.name = "features",
     .choices = "int >= 0",
     .help = "libsvm: how many a sample has; 0: as found"},
    {.name = "base", .choices = "0, 1", .help = "libsvm: the first index"},
    {.name = "vocab", .choices = "int >= 1", .help = "tokens: how many there are"},
    END,
};
static const ds_option tables_model_options[] = {
    {.name = "input", .choices = "list of int", .help = "shape of a sample: [784] or [1, 28, 28]"},
    {.name = "layers", .choices = "list", .help = "in order, as - dense: {units: 10}"},
    {.name = "preset",
     .choices = "name",
     .help = "instead of both: a whole model, its options beside"},
    END,
};

static const ds_option tables_problem_options[] = {
    {.name = "name", .choices = "a function", .help = "see descent list problems"},
    {.name = "start", .choices = "list of numbers", .help = "functions: where they begin"},
    {.name = "dims", .choices = "int >= 1", .help = "functions: how many parameters"},
    {.name = "noise", .choices = "real >= 0", .help = "functions: of each sample's gradient"},
    {.name = "record_every", .choices = "int >= 0", .help = "functions: lines of trajectory.csv"},
    {.name = "plugin", .choices = "path", .help = "instead of name: a shared object of yours"},
    {.name = "input", .choices = "list of int", .help = "plug-ins: shape of a sample"},
    {.name = "targets", .choices = "int >= 1", .help = "plug-ins: numbers to predict, or classes"},
    {.name = "options", .choices = "a map", .help = "plug-ins: their own"},
    END,
};

static const struct {
    const char *prefix;
    const ds_option *table;
} tables_keys[] = {
    {"", ds_config_root_options},
    {"data.", ds_config_data_options},
    {"data.train.", tables_source_options},
    {"data.validation.", ds_config_fraction_options},
    {"data.augment.", ds_config_augment_options},
    {"model.", tables_model_options},
    {"problem.", tables_problem_options},
    {"loss.", ds_config_loss_options},
    {"batch.", ds_config_batch_options},
    {"optimizer.", ds_config_optimizer_options},
    {"optimizer.groups.", ds_config_group_options},
    {"lr.", ds_config_lr_options},
    {"sync.", ds_config_sync_options},
    {"sync.", tables_local_keys},
    {"compute.", ds_config_compute_options},
    {"train.", ds_config_train_options},
    {"train.spike.", ds_config_spike_options},
    {"eval.", ds_config_eval_options},
    {"stop.", ds_config_stop_options},
    {"stop.plateau.", ds_config_patience_options},
    {"stop.early.", ds_config_patience_options},
    {"checkpoint.", ds_config_checkpoint_options},
    {"watch.", ds_config_watch_options},
};

static void tables_describe(const char *prefix, const ds_option *o, ds_config_key *out)
{
    *out = (ds_config_key){.help = o->help};
    snprintf(out->path, sizeof out->path, "%s%s", prefix, o->name);
    if (o->choices != NULL && o->type != DS_OPTION_CHOICE)
        snprintf(out->type, sizeof out->type, "%s", o->choices);
    else
        ds_option_describe(o, sizeof out->type, out->type);
    if ((o->flags & DS_OPTION_REQUIRED) != 0)
        snprintf(out->fallback, sizeof out->fallback, "required");
    else if (o->fallback != NULL)
        snprintf(out->fallback, sizeof out->fallback, "%s", o->fallback);
    else if (o->type == DS_OPTION_CHOICE)
        snprintf(out->fallback, sizeof out->fallback, "%.*s", (int)strcspn(o->choices, "|"),
                 o->choices);
}

/* The i-th option of all presets. */
static bool tables_preset_at(size_t i, ds_config_key *out)
{
    for (size_t p = 0; ds_preset_at(p) != NULL; p++) {
        const ds_preset_ops *ops = ds_preset_at(p);
        size_t n = ds_options_count(ops->options);
        if (i < n) {
            tables_describe("model.", &ops->options[i], out);
            snprintf(out->path, sizeof out->path, "model.%s (%s)", ops->options[i].name, ops->name);
            return true;
        }
        i -= n;
    }
    return false;
}

bool ds_config_key_at(size_t i, ds_config_key *out)
{
    for (size_t s = 0; s < sizeof tables_keys / sizeof *tables_keys; s++) {
        size_t n = ds_options_count(tables_keys[s].table);
        if (i < n) {
            tables_describe(tables_keys[s].prefix, &tables_keys[s].table[i], out);
            return true;
        }
        i -= n;
    }
    return tables_preset_at(i, out);
}
