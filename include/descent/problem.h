/* Problems that are not networks: analytic functions and user plug-ins. A problem is a flat layout
 * of parameters, initial values, and loss and gradient of a shard; model.h makes a model of it, so
 * that pass, tree, optimizers and checkpoints are those of networks. One file and one line in
 * problems.list add a function. */
#ifndef DS_PROBLEM_H
#define DS_PROBLEM_H

#include "descent/loss.h"
#include "descent/param.h"

typedef struct ds_problem ds_problem;

/* Rows of one shard, or of an evaluation. */
typedef struct ds_problem_rows {
    size_t n;
    const float *x; /* (n, input elements), row stride x_stride */
    size_t x_stride;
    const ds_targets *targets; /* NULL where nothing is judged */
    bool training;
    uint64_t seed; /* for counter-based randomness, with step and position */
    int64_t step;
    size_t position; /* of the first row in the step's batch */
} ds_problem_rows;

typedef struct ds_problem_ops {
    const char *name;
    const char *help;
    const ds_option *options; /* besides ds_problem_function_options for a function */
    size_t options_size;
    /* Of a function of n numbers; NULL: another kind. Value at w and, where g is not NULL, its
     * gradient, in double: + - * / and sqrt alone, libm's last bits depend on the CPU. */
    double (*point)(const void *options, size_t n, const double *w, double *g);
    size_t least_dims; /* it is for so many numbers or more */
    bool many_dims;    /* the number of `start` decides; else 2 unless `dims` is given */
    bool fixed_dims;   /* always 2 */
    double start[2];   /* repeated where there are more */
    /* Of other kinds. Local, map is the config's. */
    ds_status (*open)(ds_problem *self, const ds_value *map);
    void (*close)(ds_problem *self);
    /* The loss summed over the rows, and its gradient in a flat block of zeros unless NULL. */
    ds_status (*value)(const ds_problem *self, const float *params, const ds_problem_rows *rows,
                       double *loss, float *gradient);
    /* y (n, outputs), row stride. */
    ds_status (*predict)(const ds_problem *self, const float *params, const ds_problem_rows *rows,
                         float *y, size_t stride);
} ds_problem_ops;

struct ds_problem {
    const ds_problem_ops *ops;
    const void *options;
    const char *name; /* of the function or the plug-in; tensors are NAME/... */
    uint64_t seed;
    bool reads_data;    /* else a sample is only a position */
    bool gives_outputs; /* predict can be asked */
    ds_shape input;     /* of a sample; [1] without data */
    ds_target_kind target;
    size_t outputs; /* classes or numbers to predict; 0 without data */
    ds_layout layout;
    ds_param *param;      /* the layout's, while it grows */
    float *initial;       /* (n_floats) */
    int64_t record_every; /* steps between two points of the trajectory; 0: none */
    const char *file;     /* of a plug-in, and a hash of its bytes; else NULL, 0 */
    uint64_t identity;
    void *state;
    ds_arena *arena;
};

/* Local. From the config's `problem` map ({name: rosenbrock, start: [-1.2, 1]} or {plugin: FILE}).
 * Errors: USAGE with the place in the config. */
DS_API ds_status ds_problem_create(const ds_value *config, uint64_t seed,
                                   ds_problem **out) DS_NODISCARD;
DS_API void ds_problem_destroy(ds_problem **problem);
/* Local. Loss and gradient as ops->value, outputs as ops->predict. */
DS_API ds_status ds_problem_value(const ds_problem *self, const float *params,
                                  const ds_problem_rows *rows, double *loss,
                                  float *gradient) DS_NODISCARD;
/* Local. Stands where a network's loss does: a name and the kind of targets; its value is never
 * asked for. */
DS_API const ds_loss_ops *ds_problem_objective(ds_target_kind kind);
/* Local. Options of every function. */
DS_API const ds_option *ds_problem_function_options(void);

DS_API const ds_problem_ops *ds_problem_at(size_t i); /* NULL past the end */
DS_API const ds_problem_ops *ds_problem_find(const char *name);

#endif
