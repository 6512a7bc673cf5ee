/* A world: a duplicated communicator that returns errors instead of ending the program, and the few
 * collectives the runtime needs outside the step. A world of one never calls MPI. Cost: log2(ranks)
 * messages a call. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/watch.h"

#include "comm.h"

ds_status ds_mpi_fail(int code, const char *call, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(code, text, &n);
    return ds_fail(DS_ERR_MPI, file, line, "%.*s: %.*s", (int)strcspn(call, "("), call, n, text);
}

static ds_status world_alloc(int rank, int size, ds_world **out)
{
    ds_world *self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "no memory for a world of %d ranks", size);
    self->count = calloc((size_t)size * 2, sizeof *self->count);
    self->near = calloc((size_t)size, sizeof *self->near);
    if (self->count == NULL || self->near == NULL) {
        free(self->count);
        free(self->near);
        free(self);
        return DS_FAIL(DS_ERR_NOMEM, "no memory for a world of %d ranks", size);
    }
    self->first = self->count + size;
    self->comm = MPI_COMM_NULL;
    self->rank = rank;
    self->size = size;
    self->hosts = self->host_ranks = 1;
    if (gethostname(self->host, sizeof self->host - 1) != 0)
        strcpy(self->host, "unknown");
    *out = self;
    return DS_OK;
}

/* Hosts are what can share memory; each host's first rank counts it. */
static ds_status world_count_hosts(ds_world *self)
{
    MPI_Comm host;
    MPI_Group all, here;
    int rank = 0;
    DS_MPI(MPI_Comm_split_type(self->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
    DS_MPI(MPI_Comm_rank(host, &rank));
    DS_MPI(MPI_Comm_size(host, &self->host_ranks));
    DS_MPI(MPI_Comm_group(self->comm, &all));
    DS_MPI(MPI_Comm_group(host, &here));
    for (int i = 0, r = 0; i < self->host_ranks; i++) {
        DS_MPI(MPI_Group_translate_ranks(here, 1, &i, all, &r));
        self->near[r] = true;
    }
    DS_MPI(MPI_Group_free(&here));
    DS_MPI(MPI_Group_free(&all));
    DS_MPI(MPI_Comm_free(&host));
    int first = rank == 0;
    DS_MPI_MEET(self, MPI_Allreduce(&first, &self->hosts, 1, MPI_INT, MPI_SUM, self->comm));
    return DS_OK;
}

ds_status ds_world_create(MPI_Comm comm, ds_world **out)
{
    int rank = 0, size = 0;
    DS_MPI(MPI_Comm_rank(comm, &rank));
    DS_MPI(MPI_Comm_size(comm, &size));
    ds_auto(ds_world) self = NULL;
    DS_TRY(world_alloc(rank, size, &self));
    DS_MPI(MPI_Comm_dup(comm, &self->comm));
    DS_MPI(MPI_Comm_set_errhandler(self->comm, MPI_ERRORS_RETURN));
    DS_TRY(world_count_hosts(self));
    *out = ds_steal(self);
    return DS_OK;
}

ds_status ds_world_self(ds_world **out)
{
    return world_alloc(0, 1, out);
}

void ds_world_destroy(ds_world **world)
{
    ds_world *self = *world;
    if (self == NULL)
        return;
    int over = 1;
    ds_watch_stop(self);
    if (self->comm != MPI_COMM_NULL && MPI_Finalized(&over) == MPI_SUCCESS && !over)
        MPI_Comm_free(&self->comm);
    free(self->count);
    free(self->near);
    free(self);
    *world = NULL;
}

int ds_world_rank(const ds_world *self)
{
    return self->rank;
}
int ds_world_size(const ds_world *self)
{
    return self->size;
}
int ds_world_hosts(const ds_world *self)
{
    return self->hosts;
}
int ds_world_host_ranks(const ds_world *self)
{
    return self->host_ranks;
}
const char *ds_world_host(const ds_world *self)
{
    return self->host;
}

int64_t ds_world_waited_ns(const ds_world *self)
{
    return self->waited_ns;
}

ds_status ds_world_broadcast(ds_world *self, void *bytes, size_t n, int root)
{
    if (self->size == 1)
        return DS_OK;
    char *at = bytes;
    while (n > 0) {
        size_t some = n < DS_MPI_CHUNK ? n : DS_MPI_CHUNK;
        DS_MPI_MEET(self, MPI_Bcast(at, (int)some, MPI_BYTE, root, self->comm));
        at += some;
        n -= some;
    }
    return DS_OK;
}

static ds_status world_reduce(ds_world *self, void *x, size_t n, MPI_Datatype type, MPI_Op op)
{
    if (self->size == 1)
        return DS_OK;
    int width = 0;
    DS_MPI(MPI_Type_size(type, &width));
    char *at = x;
    size_t most = DS_MPI_CHUNK / (size_t)width;
    while (n > 0) {
        size_t some = n < most ? n : most;
        DS_MPI_MEET(self, MPI_Allreduce(MPI_IN_PLACE, at, (int)some, type, op, self->comm));
        at += some * (size_t)width;
        n -= some;
    }
    return DS_OK;
}

ds_status ds_world_sum(ds_world *self, double *x, size_t n)
{
    return world_reduce(self, x, n, MPI_DOUBLE, MPI_SUM);
}

ds_status ds_world_sum_int(ds_world *self, int64_t *x, size_t n)
{
    return world_reduce(self, x, n, MPI_INT64_T, MPI_SUM);
}

ds_status ds_world_max(ds_world *self, double *x, size_t n)
{
    return world_reduce(self, x, n, MPI_DOUBLE, MPI_MAX);
}

ds_status ds_world_gather_all(ds_world *self, const void *mine, size_t n, void *all)
{
    if (n > 0)
        memmove((char *)all + n * (size_t)self->rank, mine, n);
    if (self->size == 1 || n == 0)
        return DS_OK;
    if (n <= DS_MPI_CHUNK / (size_t)self->size) {
        DS_MPI_MEET(self, MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, (int)n, MPI_BYTE,
                                        self->comm));
        return DS_OK;
    }
    for (int r = 0; r < self->size; r++)
        DS_TRY(ds_world_broadcast(self, (char *)all + n * (size_t)r, n, r));
    return DS_OK;
}

ds_status ds_world_spread(ds_world *self, float *block, const size_t *first, const size_t *count)
{
    if (self->size == 1)
        return DS_OK;
    bool fits = true;
    for (int r = 0; r < self->size; r++) {
        fits = fits && count[r] <= DS_MPI_CHUNK / 4 && first[r] <= INT_MAX;
        self->count[r] = fits ? (int)count[r] : 0;
        self->first[r] = fits ? (int)first[r] : 0;
    }
    if (fits) {
        DS_MPI_MEET(self, MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, block, self->count,
                                         self->first, MPI_FLOAT, self->comm));
        return DS_OK;
    }
    for (int r = 0; r < self->size; r++)
        DS_TRY(ds_world_broadcast(self, block + first[r], count[r] * sizeof *block, r));
    return DS_OK;
}

ds_status ds_world_barrier(ds_world *self)
{
    if (self->size > 1)
        DS_MPI_MEET(self, MPI_Barrier(self->comm));
    return DS_OK;
}
