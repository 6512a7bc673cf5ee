/* A run at a walk: a library for LD_PRELOAD. While the file PACE_GATE is there, rank 0 sleeps 0.1 s
 * whenever the program looks at the clock, which it does twice or more a step, and waiting ranks
 * sleep where they would yield their core. Once the file is gone all go on at full speed. So a test
 * decides how long a run lasts, on fast and on slow machines. */
#include <dlfcn.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool pace_walks(void)
{
    const char *gate = getenv("PACE_GATE");
    return gate != NULL && access(gate, F_OK) == 0;
}

static bool pace_is_first(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (rank == NULL)
        rank = getenv("PMIX_RANK");
    return rank == NULL || strcmp(rank, "0") == 0;
}

/* Open MPI looks at the clock too, far more often. */
static bool pace_is_ours(void *caller)
{
    Dl_info info;
    const char *name = dladdr(caller, &info) != 0 ? strrchr(info.dli_fname, '/') : NULL;
    return name != NULL && strstr(name, "descent") != NULL;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    static int (*next)(clockid_t, struct timespec *);
    if (next == NULL) /* POSIX's way from dlsym's object pointer to a function's */
        *(void **)(&next) = dlsym(RTLD_NEXT, "clock_gettime");
    if (pace_is_first() && pace_is_ours(__builtin_return_address(0)) && pace_walks())
        usleep(100000);
    return next(id, now);
}

int sched_yield(void)
{
    static int (*next)(void);
    if (next == NULL)
        *(void **)(&next) = dlsym(RTLD_NEXT, "sched_yield");
    return pace_walks() ? usleep(1000) : next();
}
