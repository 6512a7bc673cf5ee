/* descent verify: a verdict a file and a tensor, without libhdf5. */
#include <stdio.h>

#include "descent/checkpoint.h"

#include "args.h"
#include "command.h"

typedef struct verify_count {
    bool each;
    size_t n, bad;
} verify_count;

static void verify_tensor(void *context, const char *path, const ds_shape *shape, bool good)
{
    verify_count *count = context;
    char text[DS_SHAPE_TEXT];
    count->n++;
    count->bad += !good;
    if (count->each || !good)
        printf("  %-7s %s %s\n", good ? "good" : "damaged", path, ds_shape_text(shape, text));
}

static ds_status verify_one(const char *argument, bool each)
{
    char path[4096];
    verify_count count = {.each = each};
    ds_status st = ds_checkpoint_resolve(argument, sizeof path, path);
    if (st == DS_OK)
        st = ds_checkpoint_verify(path, verify_tensor, &count);
    if (st == DS_OK)
        printf("%s: good, %zu tensors\n", path, count.n);
    else
        printf("%s\n", ds_last_error());
    return st;
}

static ds_status verify_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    bool each = false;
    size_t n_bad = 0;
    char first[1024] = "";
    arg_list path;
    const arg table[] = {
        {"--verbose", ARG_FLAG, &each}, {"-v", ARG_FLAG, &each}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &path));
    DS_TRY(args_expect("verify", &path, 1, DS_ARGS_MAX, "one or more checkpoints"));
    each = each || path.n == 1;
    ds_status worst = DS_OK;
    for (size_t i = 0; i < path.n; i++) {
        ds_status st = verify_one(path.item[i], each);
        if (st == DS_OK || n_bad++ > 0)
            continue;
        worst = st;
        snprintf(first, sizeof first, "%s", ds_last_error());
    }
    DS_CHECK(n_bad == 0 || path.n == 1, worst, "%zu of %zu checkpoints are not good; the first: %s",
             n_bad, path.n, first);
    return n_bad == 0 ? DS_OK : DS_FAIL(worst, "%s", first);
}

const ds_command ds_command_verify = {
    .name = "verify",
    .usage = "verify [-v] CKPT...",
    .help = "Check checkpoints byte for byte: length, header, table, every block and tensor.\n"
            "CKPT is a file or a run's directory (its latest checkpoint).\n"
            "A verdict for each tensor; of several files only the damaged ones are named.\n"
            "  -v    (--verbose) a line for each tensor of several files too\n"
            "Exit code 0 when all are good, 4 when one is not.\n",
    .run = verify_run,
};
