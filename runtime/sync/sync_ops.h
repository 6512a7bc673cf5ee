/* A strategy: how the replicas' gradients become one update. */
#ifndef DS_SYNC_OPS_H
#define DS_SYNC_OPS_H

#include "descent/sync.h"

struct ds_sync {
    const ds_sync_ops *ops;
    ds_sync_spec spec; /* borrowed parts */
    int rank, ranks;
    size_t n_partials;     /* of this rank */
    ds_arena *arena;       /* sealed once create is done */
    size_t *first, *count; /* (ranks) each: room for ds_world_spread */
    /* Set by the strategy's create: */
    float *params;
    float **partial;     /* (n_partials) */
    float **node_params; /* (n_partials), or NULL: params */
    const char *transport;
    void *state;
    int64_t hidden_ns;
};

struct ds_sync_ops {
    const char *name;
    const char *help;
    bool codecs; /* heeds sync.compress */
    /* Collective. Allocate params, partials and what a step needs. All ranks then agree. */
    ds_status (*create)(ds_sync *self);
    /* Accepts a half-built self. */
    void (*destroy)(ds_sync *self);
    ds_status (*step)(ds_sync *self, const ds_step *step, ds_outcome *out);
    /* Local, see ds_sync_tensor_norms. */
    void (*tensor_norms)(const ds_sync *self, double *norm);
    /* Local, see sync.h; NULL: nothing to prepare. */
    void (*begin)(ds_sync *self, int64_t t);
    /* Local, see sync.h; NULL: nothing is sent ahead. */
    void (*ready)(ds_sync *self, size_t samples, size_t param);
    void (*poll)(ds_sync *self);
    /* Collective. New parameters for all. */
    ds_status (*load)(ds_sync *self, const float *flat);
    /* Collective. Bring together what is apart, outside the strategy's own rhythm; NULL: nothing
     * ever is. */
    ds_status (*meet)(ds_sync *self, const ds_step *step, ds_outcome *out);
    /* Collective. The step was not finite and the run goes on: what is due all the same; NULL:
     * nothing. */
    ds_status (*skipped)(ds_sync *self, const ds_step *step);
    ds_status (*gather_slot)(ds_sync *self, size_t s, float *flat);
    ds_status (*load_slot)(ds_sync *self, size_t s, const float *flat);
    /* State besides, see sync.h; NULL: none. */
    const char *(*state_at)(const ds_sync *self, size_t i);
    ds_status (*gather_state)(ds_sync *self, size_t i, float *flat);
    ds_status (*load_state)(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                            bool *used);
    bool (*number_at)(const ds_sync *self, size_t i, ds_sync_number *out);
    void (*load_number)(ds_sync *self, const ds_sync_number *number);
};

/* Local. A zeroed flat block of the sync's arena. */
ds_status ds_sync_flat(ds_sync *self, const char *what, float **out) DS_NODISCARD;
/* Local. What the sum over shards [lo, hi) is divided by: their samples, or what these count; 1
 * where all of them count nothing, for their sum is 0 then. */
double ds_sync_divisor(const ds_sync *self, const ds_step *step, int lo, int hi);
/* Local. Losses (V, summed over ranks) and bad flags of all shards -> out's loss, finite and
 * bad_shard. */
void ds_sync_judge(const ds_sync *self, const ds_step *step, const double *loss, const double *bad,
                   ds_outcome *out);

/* Local. Is a finite step forbidden by those who watch the run? Sets out's vetoed. */
static inline bool ds_sync_vetoed(const ds_step *step, ds_outcome *out)
{
    out->vetoed = step->veto != NULL && step->veto(step->context, out->loss, out->grad_norm);
    return out->vetoed;
}

#endif
