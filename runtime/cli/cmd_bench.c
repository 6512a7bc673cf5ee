/* descent bench: one file a benchmark, bench_NAME.c, and one line in the table here. */
#include <string.h>

#include "descent/value.h"

#include "args.h"
#include "bench_kinds.h"
#include "command.h"

typedef struct bench_kind {
    const char *name;
    bool computes; /* on all ranks; else on rank 0 alone */
    ds_status (*run)(ds_world *world, int argc, char **argv);
} bench_kind;

static const bench_kind bench_table[] = {
    {"gemm", false, bench_gemm_run},
    {"reduce", true, bench_reduce_run},
};
enum { BENCH_KINDS = sizeof bench_table / sizeof *bench_table };

static ds_status bench_find(const char *name, const bench_kind **out)
{
    for (size_t i = 0; i < BENCH_KINDS; i++)
        if (strcmp(bench_table[i].name, name) == 0) {
            *out = &bench_table[i];
            return DS_OK;
        }
    const char *names[BENCH_KINDS];
    for (size_t i = 0; i < BENCH_KINDS; i++)
        names[i] = bench_table[i].name;
    const char *closest = ds_closest(name, BENCH_KINDS, names);
    return DS_FAIL(DS_ERR_USAGE, "bench: unknown '%s'%s%s%s; expected gemm or reduce", name,
                   closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
                   closest == NULL ? "" : "')");
}

/* Options alone mean gemm. */
static ds_status bench_main(ds_world *world, int argc, char **argv)
{
    const bench_kind *kind = &bench_table[0];
    if (argc > 1 && argv[1][0] != '-') {
        DS_TRY(bench_find(argv[1], &kind));
        argc--;
        argv[1] = argv[0];
        argv++;
    }
    if (kind->computes)
        return kind->run(world, argc, argv);
    return ds_follow(world, ds_world_rank(world) == 0 ? kind->run(world, argc, argv) : DS_OK);
}

extern const ds_command ds_command_bench;
const ds_command ds_command_bench = {
    .name = "bench",
    .usage = "bench [gemm|reduce] [options]",
    .help =
        "bench gemm [--shapes [OP:]MxNxK,...] [--table NAME] [--json]\n"
        "Rates of the matrix products in GFLOP/s, by shape and kernel table, on one rank.\n"
        "  --shapes  products (M, K) by (K, N); OP is NN, NT, TN or TT, N first (default: the\n"
        "            shapes of configs/fashion-mlp.yaml at 16, 32, 64 and 128 rows a shard)\n"
        "  --table   auto, openblas, onednn or ref (default: all but ref)\n"
        "  --json    one JSON object a line\n"
        "\n"
        "bench reduce [--size 25MiB,...] [--codec none,...] [--rounds 7] [--bandwidth RATE]\n"
        "             [--set KEY=VALUE]... [--json]\n"
        "Time of a step's exchange of gradients under mpirun, by size and codec, beside\n"
        "MPI_Allreduce and the bound 2(n-1)/n x size / bandwidth (n hosts, or ranks of one host).\n"
        "  --size       bytes of the model's parameters (default 1MiB,5MiB,25MiB)\n"
        "  --codec      as sync.compress (default none)\n"
        "  --rounds     timings, of which the median counts\n"
        "  --bandwidth  of a host's link, as 1Gbit or 100Mbit (default: measured by a stream of\n"
        "               messages around the hosts)\n"
        "  --set        an edit of the config: --set sync.bucket=1MiB, --set "
        "sync.transport=direct\n"
        "  --json       one JSON object a line\n",
    .computes = true,
    .run = bench_main,
};
