/* Comm's own header: what a world is made of, and MPI's errors as ds_status. */
#ifndef DS_COMM_H
#define DS_COMM_H

#include <mpi.h>

#include "descent/clock.h"
#include "descent/world.h"

struct ds_world {
    MPI_Comm comm; /* our own duplicate, or MPI_COMM_NULL for a world of one without MPI */
    int rank, size, hosts, host_ranks;
    char host[MPI_MAX_PROCESSOR_NAME];
    int *count, *first;     /* (size) each: room for MPI's int arguments */
    bool *near;             /* (size): on this host */
    struct ds_watch *watch; /* or NULL */
    int64_t waited_ns;
};

/* Collective. A world over `comm`, which is duplicated. */
DS_API ds_status ds_world_create(MPI_Comm comm, ds_world **out) DS_NODISCARD;

ds_status ds_mpi_fail(int code, const char *call, const char *file, int line);
#define DS_MPI(call)                                               \
    do {                                                           \
        int ds_rc_ = (call);                                       \
        if (ds_rc_ != MPI_SUCCESS)                                 \
            return ds_mpi_fail(ds_rc_, #call, __FILE__, __LINE__); \
    } while (0)

/* A call that ends when other ranks have done their part: the watch is to know, the clock runs. */
void ds_watch_wait(const ds_world *world, bool waiting);
#define DS_MPI_MEET(world, call)                                   \
    do {                                                           \
        ds_watch_wait((world), true);                              \
        int64_t ds_since_ = ds_clock_ns();                         \
        int ds_rc_ = (call);                                       \
        (world)->waited_ns += ds_clock_ns() - ds_since_;           \
        ds_watch_wait((world), false);                             \
        if (ds_rc_ != MPI_SUCCESS)                                 \
            return ds_mpi_fail(ds_rc_, #call, __FILE__, __LINE__); \
    } while (0)

enum { DS_MPI_CHUNK = 1 << 30 }; /* MPI 3.1 counts are int: longer transfers go in such pieces */

#endif
