/* What `descent bench` can measure; argv[0] is the benchmark's name. */
#ifndef DS_BENCH_KINDS_H
#define DS_BENCH_KINDS_H

#include "descent/world.h"

/* Local. Rates of the matrix products. */
ds_status bench_gemm_run(ds_world *world, int argc, char **argv) DS_NODISCARD;
/* Collective. Times of a step's exchange by size and codec. */
ds_status bench_reduce_run(ds_world *world, int argc, char **argv) DS_NODISCARD;

#endif
