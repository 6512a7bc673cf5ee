/* MPI_Init and its surroundings. Waiting in Open MPI spins; where ranks outnumber cores that costs
 * milliseconds a message, so it is asked to yield (unless the user has said otherwise). */
#include "descent/session.h"

#include <sched.h>
#include <stdlib.h>

#include "comm.h"

#if defined __SANITIZE_ADDRESS__
#define SESSION_LEAKS 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SESSION_LEAKS 1
#endif
#endif

/* Open MPI keeps what MPI_Init allocates; leaks of our own are looked for while it is loaded. */
#ifdef SESSION_LEAKS
#include <sanitizer/lsan_interface.h>
#define leak_pause() __lsan_disable()
#define leak_resume() __lsan_enable()
#define leak_check() __lsan_do_leak_check()
#else
#define leak_pause() ((void)0)
#define leak_resume() ((void)0)
#define leak_check() ((void)0)
#endif

static void session_yield_when_crowded(void)
{
    const char *text = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (text == NULL)
        text = getenv("SLURM_STEP_TASKS_PER_NODE"); /* srun: "4(x2)" */
    cpu_set_t cores;
    if (text == NULL || sched_getaffinity(0, sizeof cores, &cores) != 0)
        return;
    if (strtol(text, NULL, 10) > CPU_COUNT(&cores))
        setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

/* Alone, Open MPI would start a daemon for MPI_Comm_spawn, which we never call: 0.1 s saved. */
static void session_alone(void)
{
    if (getenv("OMPI_COMM_WORLD_SIZE") == NULL && getenv("PMIX_RANK") == NULL)
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
}

ds_status ds_session_begin(int *argc, char ***argv)
{
    session_yield_when_crowded();
    session_alone();
    int level = 0;
    leak_pause();
    int code = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level);
    leak_resume();
    DS_MPI(code);
    DS_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    return DS_OK;
}

ds_status ds_session_world(ds_world **out)
{
    leak_pause();
    ds_status st = ds_world_create(MPI_COMM_WORLD, out);
    leak_resume();
    return st;
}

void ds_session_end(void)
{
    leak_check();
    MPI_Finalize();
}

void ds_session_abort(int exit_code)
{
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code);
}
