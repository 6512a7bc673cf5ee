/* The step's exchange, without MPI's names: memory that the ranks of a host share, messages between
 * ranks, and the plain sum. Built once; using it allocates nothing. */
#ifndef DS_WIRE_H
#define DS_WIRE_H

#include "descent/world.h"

/* Blocks of memory, one a rank, that every rank of the world reads and writes; all ranks must live
 * on one host. */
typedef struct ds_shared ds_shared;

/* Collective. `bytes` of this rank (may differ by rank), zeroed, 64-byte aligned. Errors, on all
 * ranks: NOMEM, where the host's shared memory has no room: how much is needed and there. */
DS_API ds_status ds_shared_create(ds_world *world, size_t bytes, ds_shared **out) DS_NODISCARD;
/* Collective. Accepts NULL. */
DS_API void ds_shared_destroy(ds_shared **shared);
/* Local. The block of a rank. */
DS_API void *ds_shared_of(const ds_shared *self, int rank);
/* Collective. What any rank wrote before, all ranks see afterwards. */
DS_API ds_status ds_shared_fence(ds_shared *self) DS_NODISCARD;

/* Messages under way. */
typedef struct ds_mail ds_mail;

/* Local. Room for `most` messages under way at once, of `bytes` in all. Borrows world. Errors:
 * NOMEM. */
DS_API ds_status ds_mail_create(ds_world *world, size_t most, size_t bytes,
                                ds_mail **out) DS_NODISCARD;
DS_API void ds_mail_destroy(ds_mail **mail);
/* Local. Add a message, which ds_mail_start sends; x is borrowed until ds_mail_wait. Messages of
 * one tag between two ranks arrive in the order they were added; both sides must cut them alike.
 * tag < 32768. bytes = 0: nothing happens on both sides. */
DS_API ds_status ds_mail_send(ds_mail *self, int to, int tag, const void *x,
                              size_t bytes) DS_NODISCARD;
/* Local. Start to receive a message. */
DS_API ds_status ds_mail_receive(ds_mail *self, int from, int tag, void *x,
                                 size_t bytes) DS_NODISCARD;
/* Local. What was added goes out, to all ranks alike. */
DS_API ds_status ds_mail_start(ds_mail *self) DS_NODISCARD;
/* Local, never waits. Help messages along; *done: all that were started are. */
DS_API ds_status ds_mail_poll(ds_mail *self, bool *done) DS_NODISCARD;
/* Local, waits for peers. All messages are started and done. */
DS_API ds_status ds_mail_wait(ds_mail *self) DS_NODISCARD;

/* Collective. x (n) becomes its sum over ranks, by the MPI library's own order of additions (not
 * the tree). */
DS_API ds_status ds_world_sum_float(ds_world *self, float *x, size_t n) DS_NODISCARD;

#endif
