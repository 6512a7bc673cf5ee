/* The ranks of a run and what they say to each other outside the step's exchange. Only runtime/comm
 * includes mpi.h; a world can be made from an MPI_Comm through descent.h or comm's own header. All
 * calls named Collective must be made by all ranks in the same order. */
#ifndef DS_WORLD_H
#define DS_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "descent/status.h"

typedef struct ds_world ds_world;

/* Local. A world of this process alone; works with and without MPI running. */
DS_API ds_status ds_world_self(ds_world **out) DS_NODISCARD;
/* Local by the standard's leave: no rank waits for another. Accepts NULL. */
DS_API void ds_world_destroy(ds_world **world);

DS_API int ds_world_rank(const ds_world *self);
DS_API int ds_world_size(const ds_world *self);
DS_API int ds_world_hosts(const ds_world *self);        /* how many hosts the ranks live on */
DS_API int ds_world_host_ranks(const ds_world *self);   /* ranks on this host */
DS_API const char *ds_world_host(const ds_world *self); /* this host's name */

/* Local. Nanoseconds that this rank has spent so far in calls that end when other ranks do their
 * part. */
DS_API int64_t ds_world_waited_ns(const ds_world *self);

/* Collective. All go on or none: if any rank brings an error, all return the code of the lowest
 * failing rank, and ds_last_error() on all of them is that rank's message ("rank 1 of 3 on host a:
 * ..." when size > 1 and not all failed alike). */
DS_API ds_status ds_agree(ds_world *self, ds_status mine) DS_NODISCARD;
/* Collective. What rank 0 did alone, as all ranks' result: its code and its message word for word.
 */
DS_API ds_status ds_follow(ds_world *self, ds_status of_rank_0) DS_NODISCARD;
/* Collective. Bytes of rank `root` to all; n is equal on all ranks. */
DS_API ds_status ds_world_broadcast(ds_world *self, void *bytes, size_t n, int root) DS_NODISCARD;
/* Collective. Element-wise sums over ranks, in place. Exact when all but one rank hold zeros in an
 * element. */
DS_API ds_status ds_world_sum(ds_world *self, double *x, size_t n) DS_NODISCARD;
DS_API ds_status ds_world_sum_int(ds_world *self, int64_t *x, size_t n) DS_NODISCARD;
DS_API ds_status ds_world_max(ds_world *self, double *x, size_t n) DS_NODISCARD;
/* Collective. Fails with INTERNAL (naming `what`) unless all ranks bring the same bytes. */
DS_API ds_status ds_world_same(ds_world *self, const void *bytes, size_t n,
                               const char *what) DS_NODISCARD;
/* Collective. Each rank's n bytes, concatenated in rank order in `all` (n * size). */
DS_API ds_status ds_world_gather_all(ds_world *self, const void *mine, size_t n,
                                     void *all) DS_NODISCARD;
/* Collective. Rank r's `count[r]` floats at `block + first[r]` reach all ranks, in place. */
DS_API ds_status ds_world_spread(ds_world *self, float *block, const size_t *first,
                                 const size_t *count) DS_NODISCARD;
DS_API ds_status ds_world_barrier(ds_world *self) DS_NODISCARD;

#endif
