/* Memory that the ranks of a host share: an MPI-3 shared window (Hoefler et al., "MPI + MPI",
 * Computing 2013) under one passive epoch. A fence is a barrier between two memory barriers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "descent/wire.h"

#include "comm.h"

struct ds_shared {
    ds_world *world;
    MPI_Win window;
    bool locked;
    void **block; /* (ranks) */
};

/* Open MPI keeps windows in files under /dev/shm; one that does not fit would end in SIGBUS, and
 * filling it to the brim would take it from others. */
static ds_status shared_fits(ds_world *world, size_t bytes)
{
    double all = (double)bytes + 8192; /* its own pages */
    DS_TRY(ds_world_sum(world, &all, 1));
    struct statvfs disk;
    double room = (double)INFINITY;
    if (world->rank == 0 && statvfs("/dev/shm", &disk) == 0)
        room = (double)disk.f_bavail * (double)disk.f_frsize;
    DS_TRY(ds_world_broadcast(world, &room, sizeof room, 0));
    DS_CHECK(
        all < 0.95 * room, DS_ERR_NOMEM,
        "shared memory: %.0f MiB needed, /dev/shm has %.0f MiB free: enlarge it, or use 'sync: "
        "{transport: direct}'",
        all / 1048576, room / 1048576);
    return DS_OK;
}

static ds_status shared_map(ds_shared *self, size_t bytes)
{
    void *mine = NULL;
    DS_MPI_MEET(self->world, MPI_Win_allocate_shared((MPI_Aint)bytes, 1, MPI_INFO_NULL,
                                                     self->world->comm, &mine, &self->window));
    DS_MPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, self->window));
    self->locked = true;
    for (int r = 0; r < self->world->size; r++) {
        MPI_Aint size = 0;
        int unit = 0;
        DS_MPI(MPI_Win_shared_query(self->window, r, &size, &unit, &self->block[r]));
    }
    memset(mine, 0, bytes); /* also places the pages near their rank */
    return DS_OK;
}

ds_status ds_shared_create(ds_world *world, size_t bytes, ds_shared **out)
{
    bytes = (bytes + 4095) / 4096 * 4096 + 4096; /* pages of its own, and never none */
    ds_auto(ds_shared) self = calloc(1, sizeof *self);
    ds_status st = shared_fits(world, bytes);
    if (self != NULL) {
        self->world = world;
        self->window = MPI_WIN_NULL;
        self->block = calloc((size_t)world->size, sizeof *self->block);
    }
    if (st == DS_OK && (self == NULL || self->block == NULL))
        st = DS_FAIL(DS_ERR_NOMEM, "no memory for a window of %d ranks", world->size);
    DS_TRY(ds_agree(world, st));
    if (world->size > 1) {
        DS_TRY(shared_map(self, bytes));
    } else {
        self->block[0] = aligned_alloc(4096, bytes);
        DS_CHECK(self->block[0] != NULL, DS_ERR_NOMEM, "no memory for %zu bytes", bytes);
        memset(self->block[0], 0, bytes);
    }
    DS_TRY(ds_shared_fence(self));
    *out = ds_steal(self);
    return DS_OK;
}

void ds_shared_destroy(ds_shared **shared)
{
    ds_shared *self = *shared;
    if (self == NULL)
        return;
    if (self->window != MPI_WIN_NULL) {
        if (self->locked)
            MPI_Win_unlock_all(self->window);
        MPI_Win_free(&self->window);
    } else if (self->block != NULL && self->world->size == 1) {
        free(self->block[0]);
    }
    free(self->block);
    free(self);
    *shared = NULL;
}

void *ds_shared_of(const ds_shared *self, int rank)
{
    return self->block[rank];
}

ds_status ds_shared_fence(ds_shared *self)
{
    if (self->window == MPI_WIN_NULL)
        return DS_OK;
    DS_MPI(MPI_Win_sync(self->window));
    DS_MPI_MEET(self->world, MPI_Barrier(self->world->comm));
    DS_MPI(MPI_Win_sync(self->window));
    return DS_OK;
}
