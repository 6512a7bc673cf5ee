/* Starting and ending MPI, for programs (never for the library: an embedder has its own MPI_Init).
 */
#ifndef DS_SESSION_H
#define DS_SESSION_H

#include "descent/world.h"

/* Collective. MPI_Init with one calling thread, under mpirun or srun; nothing where no launcher
 * started this process. Waiting ranks give
 * their core away where ranks outnumber cores. USAGE where Slurm started several tasks that do not
 * know of each other (here, or in ds_session_world). */
DS_API ds_status ds_session_begin(int *argc, char ***argv) DS_NODISCARD;
/* Collective. The world of all ranks that were started together. */
DS_API ds_status ds_session_world(ds_world **out) DS_NODISCARD;
/* Collective. Leak check (sanitizer builds), then MPI_Finalize. */
DS_API void ds_session_end(void);
/* Local. Ends all ranks with this exit code. Does not return. */
DS_API void ds_session_abort(int exit_code) __attribute__((noreturn));

#endif
