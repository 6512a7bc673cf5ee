/* Errors as a group decision: a rank that fails alone must not leave alone. Where all is well an
 * agreement is one allreduce of an int; only a failure costs more. */
#include <stdio.h>
#include <string.h>

#include "comm.h"

/* What the lowest failing rank tells the others. */
typedef struct agree_note {
    int code;
    char host[MPI_MAX_PROCESSOR_NAME];
    char message[2048];
} agree_note;

static void agree_write(const ds_world *self, ds_status mine, agree_note *note)
{
    memset(note, 0, sizeof *note);
    note->code = (int)mine;
    snprintf(note->host, sizeof note->host, "%s", self->host);
    snprintf(note->message, sizeof note->message, "%s", ds_last_error());
}

ds_status ds_agree(ds_world *self, ds_status mine)
{
    if (self->size == 1)
        return mine;
    int lowest = mine == DS_OK ? self->size : self->rank;
    DS_MPI_MEET(self, MPI_Allreduce(MPI_IN_PLACE, &lowest, 1, MPI_INT, MPI_MIN, self->comm));
    if (lowest == self->size)
        return DS_OK;
    agree_note note;
    agree_write(self, mine, &note);
    DS_MPI_MEET(self, MPI_Bcast(&note, (int)sizeof note, MPI_BYTE, lowest, self->comm));
    int alike = (int)mine == note.code && strcmp(ds_last_error(), note.message) == 0;
    DS_MPI_MEET(self, MPI_Allreduce(MPI_IN_PLACE, &alike, 1, MPI_INT, MPI_LAND, self->comm));
    if (alike)
        return mine;
    if (self->rank == lowest)
        return ds_fail_prefix(mine, "rank %d of %d on %s: ", lowest, self->size, note.host);
    return DS_FAIL((ds_status)note.code, "rank %d of %d on %s: %s", lowest, self->size, note.host,
                   note.message);
}

ds_status ds_follow(ds_world *self, ds_status of_rank_0)
{
    if (self->size == 1)
        return of_rank_0;
    int code = (int)of_rank_0;
    DS_MPI_MEET(self, MPI_Bcast(&code, 1, MPI_INT, 0, self->comm));
    if (code == DS_OK)
        return DS_OK;
    agree_note note;
    agree_write(self, of_rank_0, &note);
    DS_MPI_MEET(self, MPI_Bcast(&note, (int)sizeof note, MPI_BYTE, 0, self->comm));
    return self->rank == 0 ? of_rank_0 : DS_FAIL((ds_status)code, "%s", note.message);
}

/* Rank 0's bytes, in pieces that need no memory, against each rank's own. */
ds_status ds_world_same(ds_world *self, const void *bytes, size_t n, const char *what)
{
    if (self->size == 1)
        return DS_OK;
    const unsigned char *mine = bytes;
    int differs = self->size;
    for (size_t at = 0; at < n;) {
        unsigned char theirs[4096];
        size_t some = n - at < sizeof theirs ? n - at : sizeof theirs;
        memcpy(theirs, mine + at, some);
        DS_TRY(ds_world_broadcast(self, theirs, some, 0));
        if (differs == self->size && memcmp(theirs, mine + at, some) != 0)
            differs = self->rank;
        at += some;
    }
    DS_MPI_MEET(self, MPI_Allreduce(MPI_IN_PLACE, &differs, 1, MPI_INT, MPI_MIN, self->comm));
    DS_CHECK(differs == self->size, DS_ERR_INTERNAL,
             "%s of rank %d differs from rank 0's; all ranks must run the same program on the "
             "same input",
             what, differs);
    return DS_OK;
}
