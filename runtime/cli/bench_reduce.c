/* descent bench reduce: how long a step's exchange takes, by size and codec, beside MPI_Allreduce
 * of the same floats and the bound 2(n-1)/n x bytes / bandwidth: what any sum over n hosts must
 * send and receive over each link (Patarasuk and Yuan, JPDC 2009). Exchange and allreduce take
 * turns; a time is the median over rounds of the slowest rank's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/option.h"

#include "args.h"
#include "bench_kinds.h"
#include "reduce_rig.h"

enum { REDUCE_MOST = 16, REDUCE_ROUNDS = 1000, REDUCE_TEXT = 64 };

typedef struct reduce_options {
    int64_t size, rounds;
} reduce_options;

static const ds_option reduce_table[] = {
    {.name = "--size",
     .type = DS_OPTION_BYTES,
     .offset = offsetof(reduce_options, size),
     .fallback = "25MiB",
     .min = 65536,
     .max = 17179869184.0},
    {.name = "--rounds",
     .type = DS_OPTION_INT,
     .offset = offsetof(reduce_options, rounds),
     .fallback = "7",
     .min = 1,
     .max = REDUCE_ROUNDS},
    {.name = NULL},
};

typedef struct reduce_run {
    size_t n_sizes, n_codecs;
    int64_t size[REDUCE_MOST], rounds;
    char codec[REDUCE_MOST][REDUCE_TEXT];
    arg_list set;
    double bandwidth; /* bytes a second; 0: to be measured */
    bool measured, json;
} reduce_run;

typedef struct reduce_result {
    const char *transport;
    double sent; /* bytes, by the rank that sends most */
    double exchange, least, most, allreduce;
} reduce_result;

/* The text up to the next comma; the rest in *list, NULL at the end. */
static ds_status bench_item(const char *option, const char **list, char item[REDUCE_TEXT])
{
    size_t n = strcspn(*list, ",");
    DS_CHECK(n > 0 && n < REDUCE_TEXT, DS_ERR_USAGE,
             "bench reduce: %s: '%.60s': expected names or sizes with commas between", option,
             *list);
    snprintf(item, REDUCE_TEXT, "%.*s", (int)n, *list);
    *list = (*list)[n] == ',' ? *list + n + 1 : NULL;
    return DS_OK;
}

static ds_status bench_number(const char *name, const char *text, reduce_options *out)
{
    ds_auto(ds_arena) arena = NULL;
    ds_value *map = NULL, *value = NULL;
    DS_TRY(ds_arena_create("options", &arena));
    DS_TRY(ds_value_group(arena, DS_VALUE_MAP, NULL, &map));
    DS_TRY(ds_value_scalar(arena, name, text, &value));
    DS_TRY(ds_value_add(arena, map, value));
    return ds_options_parse(reduce_table, map, "bench reduce", arena, out);
}

static ds_status bench_sizes(const char *list, reduce_run *run)
{
    char item[REDUCE_TEXT];
    reduce_options options;
    while (list != NULL) {
        DS_CHECK(run->n_sizes < REDUCE_MOST, DS_ERR_USAGE, "bench reduce: --size: more than %d",
                 REDUCE_MOST);
        DS_TRY(bench_item("--size", &list, item));
        DS_TRY(bench_number("--size", item, &options));
        run->size[run->n_sizes++] = options.size;
    }
    return DS_OK;
}

static ds_status bench_codecs(const char *list, reduce_run *run)
{
    while (list != NULL) {
        DS_CHECK(run->n_codecs < REDUCE_MOST, DS_ERR_USAGE, "bench reduce: --codec: more than %d",
                 REDUCE_MOST);
        DS_TRY(bench_item("--codec", &list, run->codec[run->n_codecs++]));
    }
    return DS_OK;
}

/* "1Gbit": decimal, bits a second. */
static ds_status bench_bandwidth(const char *text, reduce_run *run)
{
    static const char *const unit[] = {"bit", "kbit", "Mbit", "Gbit"};
    static const double scale[] = {1.0, 1e3, 1e6, 1e9};
    if (text == NULL)
        return DS_OK;
    char *end = NULL;
    double x = strtod(text, &end);
    for (size_t i = 0; i < sizeof scale / sizeof *scale && end > text; i++)
        if (strcmp(end, unit[i]) == 0)
            run->bandwidth = x * scale[i] / 8;
    DS_CHECK(run->bandwidth > 0 && run->bandwidth < 1e15, DS_ERR_USAGE,
             "bench reduce: --bandwidth is '%s', expected a rate as 1Gbit, 100Mbit or 2.5Gbit",
             text);
    return DS_OK;
}

static ds_status bench_parse(int argc, char **argv, reduce_run *run)
{
    arg_list positional;
    reduce_options options;
    const char *sizes = "1MiB,5MiB,25MiB", *codecs = "none", *rounds = "7", *bandwidth = NULL;
    const arg table[] = {{"--size", ARG_VALUE, &sizes},
                         {"--codec", ARG_VALUE, &codecs},
                         {"--rounds", ARG_VALUE, &rounds},
                         {"--bandwidth", ARG_VALUE, &bandwidth},
                         {"--set", ARG_LIST, &run->set},
                         {"--json", ARG_FLAG, &run->json},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("bench reduce", &positional, 0, 0, "no argument but options"));
    DS_TRY(bench_sizes(sizes, run));
    DS_TRY(bench_codecs(codecs, run));
    DS_TRY(bench_number("--rounds", rounds, &options));
    run->rounds = options.rounds;
    return bench_bandwidth(bandwidth, run);
}

static int bench_order(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static ds_status bench_rounds(const reduce_run *run, ds_reduce_rig *rig, reduce_result *out)
{
    double exchange[REDUCE_ROUNDS], allreduce[REDUCE_ROUNDS];
    size_t n = (size_t)run->rounds;
    DS_TRY(ds_reduce_rig_step(rig, &exchange[0])); /* connections open, pages are touched */
    DS_TRY(ds_reduce_rig_allreduce(rig, &allreduce[0]));
    for (size_t i = 0; i < n; i++) {
        DS_TRY(ds_reduce_rig_step(rig, &exchange[i]));
        DS_TRY(ds_reduce_rig_allreduce(rig, &allreduce[i]));
    }
    qsort(exchange, n, sizeof *exchange, bench_order);
    qsort(allreduce, n, sizeof *allreduce, bench_order);
    out->exchange = exchange[n / 2];
    out->least = exchange[0];
    out->most = exchange[n - 1];
    out->allreduce = allreduce[n / 2];
    return DS_OK;
}

/* Seconds that no exchange of fp32 can beat. */
static double bench_bound(const ds_world *world, const reduce_run *run, int64_t size)
{
    int hosts = ds_world_hosts(world);
    double n = hosts > 1 ? hosts : ds_world_size(world);
    return run->bandwidth > 0 ? 2 * (n - 1) / n * (double)size / run->bandwidth : 0;
}

static void bench_reduce_head(const ds_world *world, const reduce_run *run)
{
    int hosts = ds_world_hosts(world);
    if (run->json)
        return;
    printf("%d ranks on %d host%s, median of %lld rounds; ", ds_world_size(world), hosts,
           hosts == 1 ? "" : "s", (long long)run->rounds);
    if (run->bandwidth > 0)
        printf("bandwidth %s: %.4g MB/s (%.4g Mbit/s)\n\n", run->measured ? "measured" : "given",
               run->bandwidth * 1e-6, run->bandwidth * 8e-6);
    else
        printf("nothing to exchange\n\n");
    printf("%10s %-8s %-9s %10s %10s %9s %8s %10s %8s\n", "MB", "codec", "transport", "MB sent",
           "exchange", "GB/s", "x bound", "allreduce", "x bound");
}

static void bench_reduce_row(const ds_world *world, const reduce_run *run, size_t s, size_t c,
                             const reduce_result *r)
{
    double size = (double)run->size[s], bound = bench_bound(world, run, run->size[s]);
    double ours = bound > 0 ? r->exchange / bound : 0,
           theirs = bound > 0 ? r->allreduce / bound : 0;
    if (run->json)
        printf("{\"bench\":\"reduce\",\"ranks\":%d,\"hosts\":%d,\"transport\":\"%s\",\"size\":%lld,"
               "\"codec\":\"%s\",\"sent\":%.0f,\"bandwidth\":%.6g,\"bound_s\":%.6g,"
               "\"exchange_s\":%.6g,\"exchange_min_s\":%.6g,\"exchange_max_s\":%.6g,"
               "\"allreduce_s\":%.6g,\"ratio\":%.4g,\"allreduce_ratio\":%.4g}\n",
               ds_world_size(world), ds_world_hosts(world), r->transport, (long long)run->size[s],
               run->codec[c], r->sent, run->bandwidth, bound, r->exchange, r->least, r->most,
               r->allreduce, ours, theirs);
    else
        printf("%10.2f %-8s %-9s %10.2f %7.2f ms %9.3f %8.2f %7.2f ms %8.2f\n", size * 1e-6,
               run->codec[c], r->transport, r->sent * 1e-6, r->exchange * 1e3,
               size / r->exchange * 1e-9, ours, r->allreduce * 1e3, theirs);
    fflush(stdout);
}

static ds_status bench_reduce_case(ds_world *world, const reduce_run *run, size_t s, size_t c)
{
    ds_auto(ds_reduce_rig) rig = NULL;
    reduce_result result = {0};
    ds_reduce_spec spec = {(size_t)run->size[s], run->codec[c], run->set.n, run->set.item};
    DS_TRY(ds_reduce_rig_create(world, &spec, &rig));
    result.transport = ds_reduce_rig_transport(rig);
    result.sent = (double)ds_reduce_rig_sent(rig);
    DS_TRY(ds_world_max(world, &result.sent, 1));
    DS_TRY(bench_rounds(run, rig, &result));
    if (ds_world_rank(world) == 0)
        bench_reduce_row(world, run, s, c, &result);
    return DS_OK;
}

ds_status bench_reduce_run(ds_world *world, int argc, char **argv)
{
    reduce_run run = {0};
    DS_TRY(ds_agree(world, bench_parse(argc, argv, &run)));
    run.measured = run.bandwidth <= 0;
    if (run.measured)
        DS_TRY(ds_reduce_stream(world, &run.bandwidth));
    if (ds_world_rank(world) == 0)
        bench_reduce_head(world, &run);
    for (size_t s = 0; s < run.n_sizes; s++)
        for (size_t c = 0; c < run.n_codecs; c++)
            DS_TRY(bench_reduce_case(world, &run, s, c));
    return DS_OK;
}
