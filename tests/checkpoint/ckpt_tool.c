/* ckpt_tool DIR STEP ROWS SALT [TIMES]: write one sample checkpoint on all ranks, TIMES times over;
 * prints its path, the least and the median time. Exit code: descent's. */
#include <stdio.h>
#include <stdlib.h>

#include "descent/clock.h"
#include "descent/session.h"

#include "sample.h"

enum { MOST = 100 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    ds_world *world = NULL;
    if (argc < 5 || ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return 2;
    sample s;
    char path[4096] = "";
    sample_make(&s, strtoll(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), atoi(argv[4]));
    double seconds[MOST];
    int times = argc > 5 ? atoi(argv[5]) : 1;
    times = times < 1 ? 1 : times > MOST ? MOST : times;
    ds_status st = DS_OK;
    for (int k = 0; k < times && st == DS_OK; k++) {
        int64_t t0 = ds_clock_ns();
        st = ds_checkpoint_write(world, argv[1], &s.snapshot, sizeof path, path);
        seconds[k] = (double)(ds_clock_ns() - t0) * 1e-9;
    }
    if (st == DS_OK)
        qsort(seconds, (size_t)times, sizeof *seconds, by_value);
    if (st != DS_OK)
        fprintf(stderr, "rank %d: %s\n", ds_world_rank(world), ds_last_error());
    else if (ds_world_rank(world) == 0)
        printf("%s least %.4f s, median %.4f s of %d\n", path, seconds[0], seconds[times / 2],
               times);
    sample_free(&s);
    ds_world_destroy(&world);
    ds_session_end();
    return ds_exit_code(st);
}
