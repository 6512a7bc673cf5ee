/* MPI_Init and its surroundings. Waiting in Open MPI spins; where ranks outnumber cores that costs
 * milliseconds a message, so it is asked to yield (unless the user has said otherwise). */
#include "descent/session.h"

#include <dlfcn.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Started by no launcher? Then MPI is left alone: its start takes longer than most commands, and
 * many starts at once trip over the files they share in /tmp. */
static bool session_alone(void)
{
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE",
                                        "PMI_FD"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (getenv(marks[i]) != NULL)
            return false;
    return true;
}

static bool session_has_mpi(void)
{
    int begun = 0;
    return MPI_Initialized(&begun) == MPI_SUCCESS && begun;
}

/* Tasks that srun started side by side without telling MPI of each other. The shell of a batch job
 * has the job's SLURM_NTASKS and a SLURM_PROCID too, but no step: there one process alone is meant.
 * 0: no such thing. */
static long session_strangers(void)
{
    const char *step = getenv("SLURM_STEP_NUM_TASKS"), *job = getenv("SLURM_NTASKS"),
               *shell = getenv("ENVIRONMENT");
    if (getenv("SLURM_PROCID") == NULL || getenv("OMPI_COMM_WORLD_SIZE") != NULL)
        return 0;
    if (step == NULL && getenv("SLURM_STEP_ID") == NULL && shell != NULL &&
        strcmp(shell, "BATCH") == 0)
        return 0;
    const char *text = step != NULL ? step : job;
    long tasks = text == NULL ? 0 : strtol(text, NULL, 10);
    return tasks > 1 ? tasks : 0;
}

/* Slurm's pmi2 and pmi are of use to an Open MPI that was built for them, whose folder of plug-ins
 * then has one of them; others end in MPI_Init, with twenty lines. True where there is no telling.
 */
static bool session_knows_pmi(void)
{
    Dl_info info;
    const void *start = dlsym(RTLD_DEFAULT, "MPI_Init");
    char lib[4096], pattern[4200];
    if (start == NULL || dladdr(start, &info) == 0 || realpath(info.dli_fname, lib) == NULL ||
        strrchr(lib, '/') == NULL)
        return true;
    *strrchr(lib, '/') = '\0';
    size_t found[2];
    static const char *const names[] = {"mca_pmix_*.so", "mca_pmix_s[12].so"};
    for (int i = 0; i < 2; i++) {
        glob_t hits;
        snprintf(pattern, sizeof pattern, "%s/{openmpi*,openmpi*/lib/openmpi*}/%s", lib, names[i]);
        found[i] = glob(pattern, GLOB_BRACE, NULL, &hits) == 0 ? hits.gl_pathc : 0;
        globfree(&hits);
    }
    return found[0] == 0 || found[1] > 0;
}

static ds_status session_refuse_strangers(void)
{
    long tasks = session_strangers();
    DS_CHECK(tasks == 0, DS_ERR_USAGE,
             "Slurm started %ld tasks, but each is alone, a world of one rank: srun without "
             "--mpi=pmix? expected srun --mpi=pmix descent ..., or mpirun descent ... inside the "
             "allocation",
             tasks);
    return DS_OK;
}

/* The same by another MPI's mpirun (or one that a container or a PMIx keeps apart from this one).
 */
static ds_status session_refuse_foreign(void)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"};
    size_t i = 0;
    while (i + 1 < sizeof sizes / sizeof *sizes && getenv(sizes[i]) == NULL)
        i++;
    const char *text = getenv(sizes[i]);
    long ranks = text == NULL ? 0 : strtol(text, NULL, 10);
    DS_CHECK(ranks <= 1, DS_ERR_USAGE,
             "a launcher started %ld processes (%s), but each is alone, a world of one rank: "
             "another MPI's mpirun? expected the mpirun of the Open MPI that descent was built "
             "with",
             ranks, sizes[i]);
    return DS_OK;
}

ds_status ds_session_begin(int *argc, char ***argv)
{
    if (getenv("PMIX_RANK") == NULL && (getenv("PMI_RANK") == NULL || !session_knows_pmi()))
        DS_TRY(session_refuse_strangers());
    if (session_alone())
        return DS_OK;
    session_yield_when_crowded();
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
    ds_status st = session_has_mpi() ? ds_world_create(MPI_COMM_WORLD, out) : ds_world_self(out);
    leak_resume();
    if (st == DS_OK && ds_world_size(*out) == 1) {
        st = session_refuse_strangers();
        if (st == DS_OK)
            st = session_refuse_foreign();
        if (st != DS_OK)
            ds_world_destroy(out);
    }
    return st;
}

void ds_session_end(void)
{
    leak_check();
    if (session_has_mpi())
        MPI_Finalize();
}

void ds_session_abort(int exit_code)
{
    if (session_has_mpi())
        MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code);
}
