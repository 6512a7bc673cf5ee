/* What the owner of a slice does with it: add the partials of all nodes in the order of the tree,
 * square, update. The same code for every rank count and transport. */
#ifndef DS_OWNER_H
#define DS_OWNER_H

#include "factors.h"
#include "sync_ops.h"

/* temp[out] = a + b; an operand >= 0 is a node's partial, one < 0 is temp[~operand]. */
typedef struct ds_owner_add {
    int out, a, b;
} ds_owner_add;

/* Float i of the flat block is x[i - at]; or, where bytes are given, in them: the codec's bytes of
 * a slice that begins at float `at`. */
typedef struct ds_source {
    const float *x;
    size_t at;
    const uint8_t *bytes;
} ds_source;

/* What becomes of statistics: they move towards the sum's mean; the mean of movements is taken off
 * them, whatever the optimizer makes of other tensors; the optimizer takes them as any other. */
typedef enum ds_owner_means { DS_MEANS_MOVE, DS_MEANS_MEET, DS_MEANS_AS_ANY } ds_owner_means;

/* What is summed and who updates. Slices and layout are the sync's. */
typedef struct ds_owner_spec {
    ds_sync *sync;
    const ds_optim_ops *optimizer; /* its reach is not above the one the plan was cut for */
    const void *options;
    double clip_norm; /* 0: any */
    int leaves;       /* of the tree: shards, or replicas */
    size_t n_nodes;   /* subtrees with a partial, rising by leaf */
    const ds_node *node;
    int only; /* sum the nodes of this rank alone, or -1: of all */
    bool all; /* own the slices of all ranks */
    ds_owner_means means;
    bool coded; /* update a master that only the owner has; parameters follow it by codec */
} ds_owner_spec;

typedef struct ds_owner {
    ds_owner_spec spec;
    size_t samples; /* that the program is for: the tree skips empty leaves */
    double divisor; /* of the sum; set before a task that updates or penalises */
    size_t n_adds;
    ds_owner_add *add;
    int root;          /* operand that holds the sum */
    ds_source *source; /* (n_nodes) */
    float *temp;       /* (depth, DS_BLOCK) */
    float *params;     /* flat block that is updated */
    float *reduced;    /* flat block that may keep sums between two passes */
    size_t n_owned;    /* floats */
    size_t *owned_at;  /* (n_slices) where a slice lies in the slots; SIZE_MAX: not ours */
    float *slot[DS_OPTIM_MAX_SLOTS + 1]; /* (n_owned) each, NULL: not in use; averaged
                                            weights last */
    bool main;             /* the config's own optimizer: its groups and averaged weights count */
    bool penalised;        /* some tensor has an l1 or l2 penalty */
    ds_rule *rule;         /* (n_params) */
    float *scratch;        /* the optimizer's */
    ds_inverses *inverses; /* NULL: it wants no factors */
    size_t n_blocks;
    size_t *block_begin; /* (n_params) number of a tensor's first DS_BLOCK */
    double *block;       /* (n_blocks) squares; may be shared with others */
    bool overflow;       /* a sum was not finite since the program began */
    /* coded: */
    ds_codec forward, back; /* of sources' bytes; of parameters on their way back */
    float *decoded;         /* (2, DS_BLOCK) */
    float *master;          /* (n_owned) */
    size_t slice;           /* the one at work */
    uint8_t *news;          /* where the bytes of the next slice's way back go, or NULL */
    float peak;             /* largest |master - parameters| since the program began */
} ds_owner;

/* What to do with a slice. A pass that does not update leaves the sum in `reduced`, one that does
 * not reduce finds it there. */
typedef struct ds_owner_task {
    bool reduce, squares, update;
    bool penalise; /* alone, where a reduce was not of all nodes: add the penalties to the sum */
    bool check;    /* without reduce or squares: is the sum at hand finite? */
    float scale;
    double lr;
    int64_t t;
} ds_owner_task;

/* Local. The spec of the config's optimizer over the plan's nodes. */
ds_owner_spec ds_owner_spec_of(ds_sync *sync);
/* Local. The caller then sets source, params, reduced and block. */
ds_status ds_owner_init(ds_owner *self, const ds_owner_spec *spec) DS_NODISCARD;
/* Local. Update t, from 1, is being made: inverses may be no more those of the factors. */
void ds_owner_moves(ds_owner *self, int64_t t);
/* Local. The order of additions for a batch of that many samples. Begins a step. */
void ds_owner_begin(ds_owner *self, size_t samples);
/* Local. Where slice i of the plan begins in a flat block. Has node j no samples? */
size_t ds_owner_at(const ds_owner *self, size_t i);
bool ds_owner_empty(const ds_owner *self, size_t j);
/* Local. What slice i travels in: `codec`, or floats as they are. */
const ds_codec *ds_owner_codec(const ds_owner *self, const ds_codec *codec, size_t i);
/* owner_statistic.c. Local. Moves part of a statistic, u->w, by the sums u->g; false: it is none,
 * or the optimizer's to take. */
bool ds_owner_statistic(const ds_owner *self, const ds_param *param, ds_update *u);
/* Local. Slice i of the plan, one of ours. */
void ds_owner_slice(ds_owner *self, size_t i, const ds_owner_task *task);
/* Local. All slices of ours. */
void ds_owner_all(ds_owner *self, const ds_owner_task *task);
/* Local. Norm of the mean gradient from the squares of all blocks. */
double ds_owner_norm(const ds_owner *self, const double *block);
/* Local. The same tensor by tensor, from self->block of all: norm (n_params). */
void ds_owner_tensor_norms(const ds_owner *self, double *norm);
/* Local. Scale that makes a sum the mean, clipped as torch's clip_grad_norm_. */
float ds_owner_scale(const ds_owner *self, double norm);
/* Local. A block that lies as the slots do, out to a flat block, and back. */
void ds_owner_export(const ds_owner *self, const float *owned, float *flat);
void ds_owner_import(const ds_owner *self, const float *flat, float *owned);

#endif
