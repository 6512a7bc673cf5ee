/* Layers: what a model is made of. One file and one line in layers.list add one.
 * Dimensions: n rows (samples of one shard) of `in` or `out` elements each. */
#ifndef DS_LAYER_H
#define DS_LAYER_H

#include "descent/kernels.h"
#include "descent/option.h"
#include "descent/param.h"

enum { DS_LAYER_MAX_PARAMS = 8 };

typedef struct ds_layer_ops ds_layer_ops;
typedef struct ds_layer_builder
    ds_layer_builder; /* collects parameters while a model is put together */

typedef enum ds_init_kind {
    DS_INIT_DEFAULT, /* the one fitting the activation that follows: he for relu and its kin, else
                        xavier */
    DS_INIT_ZEROS,
    DS_INIT_ONES,
    DS_INIT_NORMAL, /* standard deviation 0.01 */
    DS_INIT_XAVIER_UNIFORM,
    DS_INIT_XAVIER_NORMAL,
    DS_INIT_HE_UNIFORM,
    DS_INIT_HE_NORMAL
} ds_init_kind;
#define DS_INIT_CHOICES \
    "default|zeros|ones|normal|xavier_uniform|xavier_normal|he_uniform|he_normal"

/* For an option named "activation": the model puts that layer behind the one that has the option.
 */
#define DS_ACTIVATION_CHOICES "none|relu|leaky_relu|sigmoid|tanh|gelu|softmax"

/* Models are chains with shortcuts: a fork remembers its x, a branch goes on from there again, a
 * join adds what the way before the branch gave. */
typedef enum ds_flow { DS_FLOW_ON, DS_FLOW_FORK, DS_FLOW_BRANCH, DS_FLOW_JOIN } ds_flow;

typedef struct ds_layer {
    const ds_layer_ops *ops;
    const char *name;    /* "dense1" */
    const void *options; /* the ops' options struct, filled */
    bool trainable;
    ds_activation followed_by; /* for the default init */
    ds_shape in, out;          /* of one sample; prepare sets out */
    size_t x_stride, y_stride; /* floats from sample to sample; the model sets them */
    size_t least;  /* prepare may set: rows that a shard should have to learn anything from */
    size_t kept;   /* prepare sets: floats a sample kept from forward to backward besides x and y */
    size_t shared; /* prepare sets: floats that the shards of a pass share in backward */
    size_t scratch; /* prepare sets: floats one call may use for itself */
    size_t n_params;
    const ds_param *param[DS_LAYER_MAX_PARAMS]; /* valid once the model stands */
    size_t tied;  /* 1 + index of the layer whose first parameter is its first too; 0: its own */
    bool lends;   /* its first parameter is also that of layers behind it */
    size_t link;  /* of a branch: its fork's index; of a join: its branch's */
    bool direct;  /* of a branch and its join: no layers between them, dy stays in its block */
    size_t level; /* of these three: how many others they lie in */
    void *plan;   /* prepare may set: the layer's own constants, in the model's arena */
} ds_layer;

/* The rows of one shard at one layer. Blocks are row-major with their strides; borrowed for the
 * call. */
typedef struct ds_rows {
    size_t n;
    const float *x; /* (n, in) */
    float *y;       /* (n, out); same block as x for in-place layers */
    float *dy;      /* (n, out) gradient of the summed loss by y */
    float *dx;     /* (n, in) or NULL where nobody needs it; same block as dy for in-place layers */
    float *kept;   /* (n, kept) */
    float *shared; /* (shared), as share() has filled it where shares() said so */
    float *scratch;     /* (scratch), unspecified at the start of each call */
    const float *other; /* of a join: (n, in) what came before the branch, other_stride */
    float *hold[2]; /* of fork, branch and join: the join's dy (rows as other), the branch's dy */
    size_t x_stride, y_stride, kept_stride, other_stride; /* dx strides as x, dy as y */
    bool training;
    uint64_t seed; /* for counter-based randomness, with step and position */
    int64_t step;
    size_t position; /* of the first row in the step's batch */
} ds_rows;

struct ds_layer_ops {
    const char *name;
    const char *help;
    const ds_option *options;
    size_t options_size;
    bool in_place;  /* y may overwrite x, and dx dy: backward never reads x */
    bool reads_y;   /* backward reads y: what follows must not overwrite it */
    bool view;      /* y is x as it lies: forward is never called */
    ds_flow flow;   /* of layers that lead the data another way; forward may be NULL */
    bool alone;     /* y and dx of a row are products of that row, with no regard to others */
    bool mixes;     /* while it trains, a row's y and dx hang on the shard's other rows */
    bool reads_ids; /* its input is token ids, which have no gradient */
    size_t in_dims; /* dimensions its input must have; 0: any */
    ds_activation activation; /* what it is to a preceding layer's default init, or NONE */
    /* Check the input shape, set out, kept and plan, declare parameters. Errors: USAGE naming
     * layer, found, expected. */
    ds_status (*prepare)(ds_layer *self, ds_layer_builder *builder);
    ds_status (*forward)(const ds_layer *self, const ds_kernels *k, const float *params,
                         const ds_rows *rows);
    /* For a layer that goes back through time or sums over the shard: called once for each shard of
     * a pass, before the first gradient() of the layer, to leave in kept what gradient() and
     * backward() start from. May read rows->shared. NULL: nothing to do. */
    ds_status (*before)(const ds_layer *self, const ds_kernels *k, const float *params,
                        const ds_rows *rows);
    /* dx from dy. NULL: dx is dy as it lies. */
    ds_status (*backward)(const ds_layer *self, const ds_kernels *k, const float *params,
                          const ds_rows *rows);
    /* For a layer with kinks (NULL: smooth): y of one sample at x, with the slopes or winners that
     * it chose at `base`. x and y may be one block where in_place is set. */
    void (*held)(const ds_layer *self, const float *base, const float *x, float *y);
    /* Does before or backward of a shard of n rows read rows->shared? Then share() fills it once
     * before the first such shard of a pass. A function of the layer, n and the kernels; NULL:
     * never. */
    bool (*shares)(const ds_layer *self, const ds_kernels *k, size_t n);
    void (*share)(const ds_layer *self, const ds_kernels *k, const float *params, float *shared);
    /* Inside rows [from, to) of parameter p's gradient from these rows: stored in dst (the first of
     * those rows, stride of the parameter), or added with ONE rounding an element when add is true.
     * Of a statistic: rows->n x what it is the mean of. NULL when there are no parameters. */
    ds_status (*gradient)(const ds_layer *self, const ds_kernels *k, size_t p, size_t from,
                          size_t to, const ds_rows *rows, float *dst, bool add);
    /* May gradient() be asked to add by itself for shards of n rows (else the model adds)? NULL:
     * never. */
    bool (*adds)(const ds_layer *self, const ds_kernels *k, size_t p, size_t panel_rows, size_t n);
};

/* For prepare. Declare the next parameter: `shape` outside, transposed as in ds_param; fan_in and
 * fan_out for xavier and he. Its gradient is asked for in panels of whole inside rows. */
typedef struct ds_param_spec {
    const char *suffix; /* "weight" */
    ds_shape shape;
    bool transposed;
    ds_init_kind init;
    size_t fan_in, fan_out;
    ds_param_kind kind;
    double pace; /* of a statistic */
} ds_param_spec;
ds_status ds_layer_add_param(ds_layer_builder *builder, ds_layer *layer,
                             const ds_param_spec *spec) DS_NODISCARD;
/* For prepare, before any other parameter: the first parameter is that of the earlier layer `name`.
 * Its gradient is the sum of the uses' gradients, added shard by shard from the lender up. Errors:
 * USAGE where no earlier layer has that name, or it has no parameter. */
ds_status ds_layer_tie_param(ds_layer_builder *builder, ds_layer *layer,
                             const char *name) DS_NODISCARD;
/* For prepare, after weight and bias (outputs of the matrix (groups out, in) that the weight is):
 * where the optimizer wants factors, the parameters input_factor (groups in, in) and output_factor
 * (groups out, out), the last two: for each group, sums over samples and their `positions` of a a^T
 * and, divided by these, of g g^T. Nothing for a frozen or tied layer, or sides of more than
 * DS_FACTOR_MOST. */
enum { DS_FACTOR_MOST = 4096 };
typedef struct ds_factor_spec {
    size_t groups, in, out, positions;
} ds_factor_spec;
ds_status ds_layer_add_factors(ds_layer_builder *builder, ds_layer *layer,
                               const ds_factor_spec *spec) DS_NODISCARD;
/* Local. Which factor parameter p is: 0 that of the inputs, 1 of the outputs; -1: none. */
static inline int ds_layer_factor(const ds_layer *self, size_t p)
{
    return self->param[p]->kind == DS_PARAM_FACTOR ? p + 1 == self->n_params : -1;
}
/* For prepare: memory that lives as long as the model. */
ds_arena *ds_layer_arena(ds_layer_builder *builder);

/* Options of a layer with flow JOIN begin with these; the model lays the two lists out before it,
 * behind a fork and a branch, which nobody names in a config. */
typedef struct ds_residual_options {
    const ds_value *layers, *shortcut; /* shortcut may be NULL: none */
    int activation;
} ds_residual_options;
extern const ds_layer_ops ds_layer_fork, ds_layer_branch;

/* Options that every layer takes besides its own: name, trainable. */
typedef struct ds_layer_common {
    const char *name;
    bool trainable;
} ds_layer_common;
DS_API const ds_option *ds_layer_common_options(void);

DS_API const ds_layer_ops *ds_layer_at(size_t i); /* NULL past the end */
DS_API const ds_layer_ops *ds_layer_find(const char *name);

#endif
