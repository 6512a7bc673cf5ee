/* A model: layers over one flat parameter block. A workspace holds one rank's activations for a
 * number of rows. A pass computes several shards layer by layer ("layer-major"): forward of each
 * shard, then from the last layer down the parameter gradients of all its shards, panel by panel,
 * summed along the fixed tree while they are in cache, then each shard's input gradient. GEMM
 * shapes follow the shard, never the rank. */
#ifndef DS_MODEL_H
#define DS_MODEL_H

#include "descent/layer.h"
#include "descent/loss.h"
#include "descent/problem.h"
#include "descent/tree.h"

typedef struct ds_model ds_model;
typedef struct ds_workspace ds_workspace;

/* Local. From the config's `model` map ({input: [784], layers: [...]}). `targets` is the number of
 * classes or target columns the last layer must give, 0 to skip that check. Errors: USAGE with the
 * place in the config. */
DS_API ds_status ds_model_create(const ds_value *config, size_t targets,
                                 ds_model **out) DS_NODISCARD;
/* Local. A problem instead of layers (problem.h), from the config's `problem` map: it has no
 * layers, its initial values are of this seed whatever ds_model_init is given. */
DS_API ds_status ds_model_create_problem(const ds_value *config, uint64_t seed,
                                         ds_model **out) DS_NODISCARD;
DS_API const ds_problem *ds_model_problem(const ds_model *self); /* NULL for layers */
/* Local. Does a forward give outputs to judge, or only a loss? */
DS_API bool ds_model_gives_outputs(const ds_model *self);
/* Local. The same with the factors of layers that have them (see layer.h). */
DS_API ds_status ds_model_create_factored(const ds_value *config, size_t targets,
                                          ds_model **out) DS_NODISCARD;
DS_API void ds_model_destroy(ds_model **model);
DS_API const ds_layout *ds_model_layout(const ds_model *self);
DS_API size_t ds_model_n_layers(const ds_model *self);
DS_API const ds_layer *ds_model_layer(const ds_model *self, size_t i);
DS_API const ds_shape *ds_model_input(const ds_model *self);
DS_API const ds_shape *ds_model_output(const ds_model *self);
/* Local. Outputs of shape (T, classes) are judged position by position by a loss with CLASS
 * targets, the sample's loss being their mean: T; 1 for all others. And the classes of one
 * position. */
DS_API size_t ds_model_positions(const ds_model *self, ds_target_kind kind);
DS_API size_t ds_model_classes(const ds_model *self, ds_target_kind kind);
/* Local. Initial values of all parameters from `seed` (Philox, by tensor name and outside index);
 * padding zero. */
DS_API void ds_model_init(const ds_model *self, uint64_t seed, float *flat);

/* Local. Bytes a workspace of that size takes, for the plan. */
DS_API size_t ds_workspace_bytes(const ds_model *model, size_t rows, int shards, bool training);
/* Local. Room for `rows` rows in at most `shards` shards a pass. training false: forward only.
 * Everything is allocated here and the fused additions are probed here (max_shard_rows and its
 * neighbours). Borrowed: model, kernels, loss. */
typedef struct ds_workspace_spec {
    const ds_model *model;
    const ds_kernels *kernels;
    const ds_loss_ops *loss; /* may be NULL: outputs only */
    const void *loss_options;
    const float *class_weight; /* (classes) or NULL; as ds_targets.weight */
    size_t rows;
    int shards;
    uint64_t seed; /* of layers that draw at random */
    bool training;
} ds_workspace_spec;
DS_API ds_status ds_workspace_create(const ds_workspace_spec *spec,
                                     ds_workspace **out) DS_NODISCARD;
DS_API void ds_workspace_destroy(ds_workspace **workspace);
/* Local. Where the samples go: (rows, input elements), row stride *stride. */
DS_API float *ds_workspace_input(ds_workspace *self, size_t *stride);
/* Local. After a forward: (rows, output elements), row stride *stride. */
DS_API const float *ds_workspace_output(const ds_workspace *self, size_t *stride);

/* Local. Units of a layer that can die (relu): its last dimension, channels where it has three; 0
 * for other layers. */
DS_API size_t ds_model_units(const ds_model *self, size_t layer);
/* Local. After ds_model_gradient: alive[u] = 1 where unit u is not zero in all of the first `rows`
 * rows; the rest keep their values. */
DS_API void ds_workspace_alive(const ds_workspace *self, size_t layer, size_t rows, double *alive);

/* One shard of a pass: rows [first_row, first_row + rows) of the workspace. rows may be 0: it adds
 * nothing. */
typedef struct ds_shard {
    size_t first_row, rows;
    size_t position;    /* of its first sample in the step's batch */
    ds_targets targets; /* of its rows */
    double loss;        /* out: sum over its rows */
} ds_shard;

/* A subtree of shards summed by this pass. */
typedef struct ds_partial {
    int lo, hi;  /* absolute shard indices; a node of the step's tree */
    float *grad; /* flat block that receives the sum over its non-empty shards (zeros if all are
                    empty): trainable tensors whole, padding zero; frozen ones are left alone */
} ds_partial;

typedef struct ds_pass {
    int64_t step;
    int lo, hi;      /* absolute indices of the shards in `shard` */
    ds_shard *shard; /* (hi - lo) */
    size_t n_partials;
    const ds_partial *partial; /* disjoint, within [lo, hi), rising, together all of [lo, hi) */
    /* Called when a parameter's gradient stands in all partials, last layer first; may be NULL. */
    void (*ready)(void *context, size_t param);
    /* Called often during the backward pass, every few ms at the most; may be NULL. */
    void (*poll)(void *context);
    void *context;
    bool no_factors; /* nobody takes the layers' factors this time: their sums are zero */
    bool finite;     /* out: all losses and gradients of this pass are finite */
} ds_pass;

/* Local. Losses and gradients of the pass. Allocates nothing. */
DS_API ds_status ds_model_gradient(ds_workspace *self, const float *params,
                                   ds_pass *pass) DS_NODISCARD;
/* Local. Outputs of the first n rows as one block of n rows, not training; also each shard-free
 * loss sum when targets and sum are not NULL. */
DS_API ds_status ds_model_forward(ds_workspace *self, const float *params, size_t n,
                                  const ds_targets *targets, double *sum) DS_NODISCARD;

/* What a replay found: one line, such as "layer dense2 forward: inf; samples 3, 17 of the shard",
 * "" where all is finite; and the first samples at fault, as rows of the shard. */
enum { DS_CULPRITS = 8 };
typedef struct ds_diagnosis {
    char text[512];
    size_t n_samples; /* at most DS_CULPRITS; 0 where no sample alone is bad */
    size_t sample[DS_CULPRITS];
} ds_diagnosis;
/* Local. Why is a shard not finite? Replays it layer by layer, then sample by sample. */
DS_API ds_status ds_model_diagnose(ds_workspace *self, const float *params, int64_t step,
                                   ds_shard *shard, ds_diagnosis *out) DS_NODISCARD;

/* Local. Directional-derivative check of one shard (which must have rows): over `directions` random
 * directions extrapolated central differences of the loss against the gradient, relative to the
 * slopes' norm; figures for each tensor's own directions (0: frozen, or both exactly 0) and for all
 * together.
 * The slope's doubt is measured: from rounding and from what several steps say. `error` is how far
 * slope and gradient lie apart beyond 2 doubts; right layers stay near 0, doubts commonly near
 * 1e-5, and 1e-3 is the bound to judge by. Errors: DIVERGED where the loss or gradient is not
 * finite. Allocates. */
typedef struct ds_gradcheck {
    size_t n;      /* parameters checked = layout's n_params, + 1 for all together at the end */
    double *error; /* (n) owned by the caller, as those below */
    double *difference; /* (n) as measured; may be NULL */
    double *doubt;      /* (n) of the difference, INFINITY: no step told anything; may be NULL */
} ds_gradcheck;
DS_API ds_status ds_model_gradcheck(ds_workspace *self, const float *params, ds_shard *shard,
                                    int directions, uint64_t seed, ds_gradcheck *out) DS_NODISCARD;

typedef enum ds_gradcheck_verdict {
    DS_GRADCHECK_AGREES,    /* difference and doubt are within the tolerance */
    DS_GRADCHECK_DIFFERS,   /* the error is not */
    DS_GRADCHECK_UNDECIDED, /* neither: too flat for the loss's rounding, or too curved */
} ds_gradcheck_verdict;
/* Local. Of entry i; needs all figures. */
DS_API ds_gradcheck_verdict ds_gradcheck_judge(const ds_gradcheck *self, size_t i,
                                               double tolerance);

#endif
