/* A run at a walk: a library for LD_PRELOAD. While the file PACE_GATE is there, a rank sleeps 0.15
 * s whenever it flushes a file, which rank 0 does with metrics.jsonl once a step (train.log_every
 * 1), and waiting ranks sleep where they would yield their core. Once the file is gone all go on at
 * full speed. So a test decides how long a run lasts, on fast and on slow machines. */
#include <dlfcn.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool pace_walks(void)
{
    const char *gate = getenv("PACE_GATE");
    return gate != NULL && access(gate, F_OK) == 0;
}

int fflush(FILE *file)
{
    static int (*next)(FILE *);
    if (next == NULL) /* POSIX's way from dlsym's object pointer to a function's */
        *(void **)(&next) = dlsym(RTLD_NEXT, "fflush");
    if (file != NULL && file != stdout && file != stderr && pace_walks())
        usleep(150000);
    return next(file);
}

int sched_yield(void)
{
    static int (*next)(void);
    if (next == NULL)
        *(void **)(&next) = dlsym(RTLD_NEXT, "sched_yield");
    return pace_walks() ? usleep(1000) : next();
}
