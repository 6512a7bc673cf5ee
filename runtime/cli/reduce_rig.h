/* A made-up model whose steps are nothing but exchange: the real strategy (ds_sync), plan and codec
 * of a config, gradients from a table. */
#ifndef DS_REDUCE_RIG_H
#define DS_REDUCE_RIG_H

#include "descent/sync.h"

typedef struct ds_reduce_rig ds_reduce_rig;

typedef struct ds_reduce_spec {
    size_t bytes;      /* of parameters; rounded up to 4 KiB */
    const char *codec; /* sync.compress */
    size_t n_set;      /* further edits of the config, as of `train --set` */
    const char *const *set;
} ds_reduce_spec;

/* Collective, agreed. Errors: USAGE (as a config's), NOMEM. */
ds_status ds_reduce_rig_create(ds_world *world, const ds_reduce_spec *spec,
                               ds_reduce_rig **out) DS_NODISCARD;
void ds_reduce_rig_destroy(ds_reduce_rig **rig); /* Collective when memory is shared. */
/* Local. */
const char *ds_reduce_rig_transport(const ds_reduce_rig *self);
/* Local. Bytes this rank sends in a step. */
uint64_t ds_reduce_rig_sent(const ds_reduce_rig *self);

/* Collective. Seconds of one step, from the moment all ranks stand ready to the end of the last;
 * equal on all ranks. */
ds_status ds_reduce_rig_step(ds_reduce_rig *self, double *seconds) DS_NODISCARD;
/* Collective. The same of an MPI_Allreduce of as many floats. */
ds_status ds_reduce_rig_allreduce(ds_reduce_rig *self, double *seconds) DS_NODISCARD;
/* Collective. Bytes a second that the slowest link carries when the first rank of each host (of one
 * host: every rank) sends to the next and receives from the one before at once. 0 for one rank. */
ds_status ds_reduce_stream(ds_world *world, double *bytes_per_s) DS_NODISCARD;

#endif
