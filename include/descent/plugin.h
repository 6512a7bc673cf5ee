/* Plug-ins: a problem of your own in a shared object, trained by descent over MPI with the same
 * bits on any number of ranks. This header is all a plug-in needs; it uses nothing else of descent:
 *
 *     cc -shared -fPIC -O2 -I PREFIX/include -o libmine.so mine.c
 *     problem: {plugin: ./libmine.so, options: {...}}        # in the config, instead of model and
 * loss
 *
 * The file exports one object, `const ds_plugin descent_plugin`. Each rank loads the file.
 *
 * Rules. A rank calls from one thread at a time, any number of problems may be open. loss and
 * predict are pure functions of their arguments: they keep nothing between calls, know nothing of
 * ranks, call no MPI and should not allocate. Which shards of a step a rank is asked for depends on
 * the number of ranks; what is in a shard never does. Sum in a fixed order and the run has the same
 * bits everywhere; avoid libm where hosts have unlike CPUs (its last bit depends on them).
 * Ownership. What descent passes is borrowed for the call; what a plug-in hands out (names,
 * tensors, tables) stays valid until close. Errors. A function returns DS_PLUGIN_OK or one of the
 * other results, and may write a line into `message` (DS_PLUGIN_MESSAGE bytes, begins empty). It is
 * reported once for all ranks, and the run ends with that exit code. A loss or gradient that is not
 * finite needs no error: descent finds it, names the shard and its samples, and the run ends with 5
 * (or skips the step, where asked). */
#ifndef DS_PLUGIN_H
#define DS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DS_PLUGIN_ABI = 1, DS_PLUGIN_MESSAGE = 512, DS_PLUGIN_DIMS = 8 };

typedef enum ds_plugin_result {
    DS_PLUGIN_OK = 0,
    DS_PLUGIN_UNFIT = 2, /* options, sizes: the config is wrong; any other value counts as this */
    DS_PLUGIN_BAD_DATA = 3, /* samples or targets that it cannot take */
    DS_PLUGIN_DIVERGED = 5  /* the parameters have left where it is defined */
} ds_plugin_result;

/* What it learns from. Without data a sample is only a position in the batch. */
typedef enum ds_plugin_data {
    DS_PLUGIN_NO_DATA, /* a function of its parameters alone */
    DS_PLUGIN_NUMBERS, /* samples with numbers as targets */
    DS_PLUGIN_CLASSES  /* samples with a class each */
} ds_plugin_data;

/* An option that may stand in problem.options. */
typedef enum ds_plugin_kind { DS_PLUGIN_REAL, DS_PLUGIN_INTEGER, DS_PLUGIN_TEXT } ds_plugin_kind;
typedef struct ds_plugin_option {
    const char *name;
    ds_plugin_kind kind;
    const char *fallback; /* default, as text of its kind; NULL: it must be given */
    double min, max;      /* range of a number, both included; both 0: any */
    const char *help;     /* one line */
} ds_plugin_option;
typedef struct ds_plugin_value { /* the member that `kind` says */
    double real;
    int64_t integer;
    const char *text;
} ds_plugin_value;

/* What is known when a problem is opened. */
typedef struct ds_plugin_setup {
    size_t n_inputs;  /* numbers of a sample; 0 without data */
    size_t n_targets; /* numbers to predict, or classes; 0 without data */
    uint64_t seed;
    const ds_plugin_value *option; /* (n_options), in the table's order */
} ds_plugin_setup;

/* A tensor of parameters, float32, row-major and dense. */
typedef struct ds_plugin_tensor {
    const char *name; /* "weight": letters, digits, '_', '-', '.' */
    size_t n_dims, dim[DS_PLUGIN_DIMS];
} ds_plugin_tensor;

/* What open hands out. */
typedef struct ds_plugin_problem {
    void *self; /* comes back with every call */
    size_t n_tensors;
    const ds_plugin_tensor *tensor; /* (n_tensors) */
} ds_plugin_problem;

/* Samples of one shard. */
typedef struct ds_plugin_shard {
    size_t n;             /* at least 1 */
    const float *x;       /* (n, n_inputs), a sample every x_stride floats; NULL without data */
    size_t x_stride;      /* */
    const float *target;  /* (n, n_targets), dense, with DS_PLUGIN_NUMBERS; else NULL */
    const int32_t *label; /* (n), 0 <= label < n_targets, with DS_PLUGIN_CLASSES; else NULL */
    uint64_t seed;        /* for randomness: a function of seed, step and position alone */
    int64_t step;         /* updates done */
    uint64_t position;    /* of the first sample in the step's batch */
    int training;         /* 0: an evaluation, without noise and dropout */
} ds_plugin_shard;

typedef struct ds_plugin {
    uint32_t abi;   /* DS_PLUGIN_ABI */
    uint32_t bytes; /* sizeof(ds_plugin) */
    const char
        *name; /* "logistic": of the problem in messages and of its tensors in the checkpoint */
    ds_plugin_data data;
    size_t n_inputs, n_targets; /* what it must get; 0: what the config says (input, targets) */
    size_t n_options;
    const ds_plugin_option *option; /* (n_options) */
    /* Make a problem. Called once on each rank, before the data are read. */
    int (*open)(const ds_plugin_setup *setup, ds_plugin_problem *out, char *message);
    /* Initial values, param[i] being tensor i, filled with 0 so far. NULL: zeros. */
    int (*initial)(void *self, uint64_t seed, float *const *param, char *message);
    /* The loss, summed over the shard's samples, and its gradient by each tensor, which is filled
     * with 0 before the call. gradient NULL: only the loss. The division by the number of samples
     * is descent's. */
    int (*loss)(void *self, const ds_plugin_shard *shard, const float *const *param, double *loss,
                float *const *gradient, char *message);
    /* What it says about samples: y (n, n_targets), a sample every y_stride floats: the numbers, or
     * a score a class. Used by evaluation (accuracy, MAE) and `descent predict`. NULL: it has no
     * outputs. */
    int (*predict)(void *self, const ds_plugin_shard *shard, const float *const *param, float *y,
                   size_t y_stride, char *message);
    /* The end of a problem. NULL: nothing to do. */
    void (*close)(void *self);
} ds_plugin;

/* The one symbol of a plug-in. */
extern
#if defined(__GNUC__)
    __attribute__((visibility("default")))
#endif
    const ds_plugin descent_plugin;

#ifdef __cplusplus
}
#endif

#endif
