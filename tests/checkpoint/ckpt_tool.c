/* ckpt_tool DIR STEP ROWS SALT: write one sample checkpoint on all ranks; prints its path and the
 * time. Exit code: descent's. */
#include <stdio.h>
#include <stdlib.h>

#include "descent/clock.h"
#include "descent/session.h"

#include "sample.h"

int main(int argc, char **argv)
{
    ds_world *world = NULL;
    if (argc < 5 || ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return 2;
    sample s;
    char path[4096] = "";
    sample_make(&s, strtoll(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), atoi(argv[4]));
    int64_t t0 = ds_clock_ns();
    ds_status st = ds_checkpoint_write(world, argv[1], &s.snapshot, sizeof path, path);
    double seconds = (double)(ds_clock_ns() - t0) * 1e-9;
    if (st != DS_OK)
        fprintf(stderr, "rank %d: %s\n", ds_world_rank(world), ds_last_error());
    else if (ds_world_rank(world) == 0)
        printf("%s %.4f s\n", path, seconds);
    sample_free(&s);
    ds_world_destroy(&world);
    ds_session_end();
    return ds_exit_code(st);
}
