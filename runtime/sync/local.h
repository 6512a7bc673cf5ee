/* What local-sgd, post-local and diloco share: replicas that train on their own and meet. */
#ifndef DS_LOCAL_H
#define DS_LOCAL_H

#include "exchange.h"

/* One of the plan's R replicas, on the rank that computes it. */
typedef struct ds_replica {
    int index, lo, hi;               /* shards [lo, hi) */
    size_t node_begin;               /* its first node, as the plan numbers them */
    float *params;                   /* flat: its own, since the last meeting */
    float *slot[DS_OPTIM_MAX_SLOTS]; /* flat: its optimizer's state */
    size_t samples;                  /* of this step's batch */
    double divisor;                  /* of its sum: those samples, or their weights */
    float *sum;                      /* this step's gradient, summed over samples; NULL: none */
    double norm;                     /* of the mean of it */
    double *tensor;                  /* (n_params) the same by tensor; the rank's first only */
} ds_replica;

/* How the replicas' mean movement becomes new parameters. */
typedef struct ds_local_outer {
    const char *optimizer;
    const char *momentum; /* the optimizer's option of that name, NULL: it has none */
    double lr;
    int64_t first; /* no local steps before this one */
} ds_local_outer;

typedef struct ds_local {
    ds_local_outer outer;
    size_t n_replicas;   /* of this rank */
    ds_replica *replica; /* (n_replicas), rising */
    ds_rule *rule;       /* (n_params) how the config's optimizer treats a tensor */
    float *scratch;      /* what the most demanding of them asks for */
    ds_node *node;       /* (R) a node each for the meeting's tree */
    size_t *node_begin;  /* (ranks + 1) */
    const ds_optim_ops *outer_optimizer;
    ds_exchange *meeting; /* its params are the run's: those of the last meeting */
    ds_exchange *state;   /* means of the optimizer's slots; NULL unless they are averaged */
    double *words;        /* (2 V + R + 2): losses, bad flags, norms, a flag of overflow, word */
    double *no_loss;      /* (V) zeros */
    bool *bad;            /* (V) */
    size_t n_names;       /* of blocks that may be in a checkpoint */
    char **name;          /* (n_names), see local_state.c */
    size_t n_numbers;     /* that the meeting counts */
    char **number;        /* (n_numbers) "meeting_..." */
    size_t n_codes;       /* blocks that the meeting keeps */
    char **code;          /* (n_codes) "meeting-..." */
    bool apart;           /* replicas have moved since the last meeting */
    void *first;          /* a strategy's own phase before local training, or NULL */
} ds_local;

/* Collective, agreed by all ranks. Sets self->state, a ds_local: replicas, their gradient blocks
 * (self->partial), parameters (self->params, self->node_params). */
ds_status ds_local_create(ds_sync *self, const ds_local_outer *outer) DS_NODISCARD;
/* As ds_sync_ops' members of these names. */
void ds_local_destroy(ds_sync *self);
ds_status ds_local_step(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;
void ds_local_tensor_norms(const ds_sync *self, double *norm);
ds_status ds_local_load(ds_sync *self, const float *flat) DS_NODISCARD;
ds_status ds_local_meet(ds_sync *self, const ds_step *step, ds_outcome *out) DS_NODISCARD;
ds_status ds_local_skipped(ds_sync *self, const ds_step *step) DS_NODISCARD;
/* local_state.c. Likewise. */
ds_status ds_local_gather_slot(ds_sync *self, size_t s, float *flat) DS_NODISCARD;
ds_status ds_local_load_slot(ds_sync *self, size_t s, const float *flat) DS_NODISCARD;
const char *ds_local_state_at(const ds_sync *self, size_t i);
ds_status ds_local_gather_state(ds_sync *self, size_t i, float *flat) DS_NODISCARD;
ds_status ds_local_load_state(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                              bool *used) DS_NODISCARD;
bool ds_local_number_at(const ds_sync *self, size_t i, ds_sync_number *out);
void ds_local_load_number(ds_sync *self, const ds_sync_number *number);

/* local_meeting.c. */
ds_status ds_local_meeting_create(ds_sync *self, ds_local *local) DS_NODISCARD;
/* Local. The meeting over: replicas go on from the run's parameters. */
void ds_local_settle(const ds_sync *self, ds_local *local);

/* local_state.c. Local. Names of all blocks that may be in a checkpoint. */
ds_status ds_local_state_create(ds_sync *self, ds_local *local) DS_NODISCARD;

/* local_replica.c. Local. Rules and scratch. Sum of its nodes, samples, norm; the update with them.
 */
ds_status ds_replica_rules(ds_sync *self, ds_local *local) DS_NODISCARD;
void ds_replica_reduce(ds_sync *self, ds_replica *replica, const ds_step *step);
void ds_replica_update(ds_sync *self, ds_replica *replica, const ds_step *step, int64_t t);

#endif
