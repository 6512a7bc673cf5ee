/* Messages of floats, started one by one and waited for together. A self-addressed one is our own
 * mistake. The room for requests is fixed when the mail is created. */
#include <stdlib.h>

#include "descent/wire.h"

#include "comm.h"

struct ds_mail {
    ds_world *world;
    size_t most, n;
    MPI_Request *request;
};

ds_status ds_mail_create(ds_world *world, size_t most, ds_mail **out)
{
    ds_mail *self = calloc(1, sizeof *self);
    MPI_Request *request = calloc(most + 1, sizeof(MPI_Request));
    if (self == NULL || request == NULL) {
        free(self);
        free(request);
        return DS_FAIL(DS_ERR_NOMEM, "no memory for %zu messages", most);
    }
    *self = (ds_mail){world, most, 0, request};
    *out = self;
    return DS_OK;
}

void ds_mail_destroy(ds_mail **mail)
{
    if (*mail == NULL)
        return;
    free((*mail)->request);
    free(*mail);
    *mail = NULL;
}

ds_status ds_mail_send(ds_mail *self, int to, int tag, const float *x, size_t n)
{
    while (n > 0) {
        DS_ASSERT(self->n < self->most && to != self->world->rank);
        size_t some = n < DS_MPI_CHUNK ? n : DS_MPI_CHUNK;
        DS_MPI(MPI_Isend(x, (int)some, MPI_FLOAT, to, tag, self->world->comm,
                         &self->request[self->n]));
        self->n++;
        x += some;
        n -= some;
    }
    return DS_OK;
}

ds_status ds_mail_receive(ds_mail *self, int from, int tag, float *x, size_t n)
{
    while (n > 0) {
        DS_ASSERT(self->n < self->most && from != self->world->rank);
        size_t some = n < DS_MPI_CHUNK ? n : DS_MPI_CHUNK;
        DS_MPI(MPI_Irecv(x, (int)some, MPI_FLOAT, from, tag, self->world->comm,
                         &self->request[self->n]));
        self->n++;
        x += some;
        n -= some;
    }
    return DS_OK;
}

ds_status ds_mail_wait(ds_mail *self)
{
    int n = (int)self->n;
    self->n = 0;
    if (n > 0)
        DS_MPI_MEET(self->world, MPI_Waitall(n, self->request, MPI_STATUSES_IGNORE));
    return DS_OK;
}

ds_status ds_world_sum_float(ds_world *self, float *x, size_t n)
{
    while (self->size > 1 && n > 0) {
        size_t some = n < DS_MPI_CHUNK ? n : DS_MPI_CHUNK;
        DS_MPI_MEET(self,
                    MPI_Allreduce(MPI_IN_PLACE, x, (int)some, MPI_FLOAT, MPI_SUM, self->comm));
        x += some;
        n -= some;
    }
    return DS_OK;
}
