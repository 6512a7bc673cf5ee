/* descent for C programs: #include <descent/descent.h>, pkg-config descent. The program has called
 * MPI_Init; the trainer works inside the communicator it is given (a duplicate of it), prints
 * nothing, changes no signal handler and no BLAS setting but the threads the config asks for. Every
 * call returns ds_status; ds_last_error() says why. A program
 * that catches signals while it trains should do so on an alternate stack (sigaltstack,
 * SA_ONSTACK): oneDNN's kernels keep data below their stack pointer. */
#ifndef DS_DESCENT_H
#define DS_DESCENT_H

#include <mpi.h>

#include "descent/trainer.h"

/* Collective over comm. */
DS_API ds_status ds_world_create(MPI_Comm comm, ds_world **out) DS_NODISCARD;
#endif
