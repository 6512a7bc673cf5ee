/* descent bench gemm: the rates of the kernel tables at the shapes that training uses. A rate is
 * the median of REPEATS timings of at least 2 ms each, on this rank alone; the tables take turns,
 * so that a disturbance hits all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/arena.h"
#include "descent/clock.h"
#include "descent/kernels.h"
#include "descent/shape.h"

#include "args.h"
#include "bench_kinds.h"

enum { REPEATS = 7, MOST_TABLES = 8, MOST_SHAPES = 64, MOST_FLOATS = 100000000 };

typedef struct bench_shape {
    const char *what;
    char ta, tb;
    size_t m, n, k;
} bench_shape;

/* fashion-mlp, 784-1024-1024-10; 0 stands for the rows of a shard. dW in panels of 128 rows. */
static const bench_shape bench_model[] = {
    {"forward 1", 'N', 'N', 0, 1024, 784}, {"forward 2", 'N', 'N', 0, 1024, 1024},
    {"forward 3", 'N', 'N', 0, 10, 1024},  {"dX 3", 'N', 'T', 0, 1024, 10},
    {"dX 2", 'N', 'T', 0, 1024, 1024},     {"dW 3", 'T', 'N', 128, 10, 0},
    {"dW 1, 2", 'T', 'N', 128, 1024, 0},
};
static const size_t bench_rows[] = {16, 32, 64, 128};

typedef struct bench_run {
    size_t n_tables, n_shapes;
    const ds_kernels *table[MOST_TABLES];
    bench_shape shape[MOST_SHAPES];
    bool json;
} bench_run;

/* "64x1024x784" or "TN:128x1024x32". */
static ds_status bench_shape_parse(const char *text, size_t length, bench_shape *out)
{
    char buffer[64], tail;
    bench_shape s = {.what = "", .ta = 'N', .tb = 'N'};
    snprintf(buffer, sizeof buffer, "%.*s", (int)length, text);
    const char *size = buffer;
    if (length > 3 && buffer[2] == ':') {
        s.ta = buffer[0], s.tb = buffer[1];
        size += 3;
    }
    bool good = length < sizeof buffer && strspn(size, "0123456789x") == strlen(size) &&
                sscanf(size, "%zux%zux%zu%c", &s.m, &s.n, &s.k, &tail) == 3;
    good = good && strchr("NT", s.ta) != NULL && strchr("NT", s.tb) != NULL;
    DS_CHECK(good, DS_ERR_USAGE,
             "bench: --shapes: '%.*s' is no shape; expected MxNxK or TN:MxNxK, with N or T for "
             "each factor, as in 64x1024x784,TN:128x1024x64",
             (int)(length < 60 ? length : 60), text);
    bool small = s.m >= 1 && s.n >= 1 && s.k >= 1 && s.m <= 65536 && s.n <= 65536 && s.k <= 65536;
    DS_CHECK(
        small && s.m * s.n + s.n * s.k + s.m * s.k <= MOST_FLOATS, DS_ERR_USAGE,
        "bench: --shapes: '%s': expected sides from 1 to 65536 and at most %d million elements",
        buffer, MOST_FLOATS / 1000000);
    *out = s;
    return DS_OK;
}

static void bench_shapes_default(bench_run *run)
{
    run->shape[run->n_shapes++] =
        (bench_shape){.what = "panel", .ta = 'N', .tb = 'N', .m = 1024, .n = 1024, .k = 128};
    for (size_t r = 0; r < sizeof bench_rows / sizeof *bench_rows; r++)
        for (size_t i = 0; i < sizeof bench_model / sizeof *bench_model; i++) {
            bench_shape *s = &run->shape[run->n_shapes++];
            *s = bench_model[i];
            s->m = s->m == 0 ? bench_rows[r] : s->m;
            s->k = s->k == 0 ? bench_rows[r] : s->k;
        }
}

static ds_status bench_shapes_parse(const char *text, bench_run *run)
{
    if (text == NULL) {
        bench_shapes_default(run);
        return DS_OK;
    }
    for (run->n_shapes = 0; text != NULL; run->n_shapes++) {
        const char *comma = strchr(text, ',');
        DS_CHECK(run->n_shapes < MOST_SHAPES, DS_ERR_USAGE, "bench: --shapes: more than %d",
                 MOST_SHAPES);
        DS_TRY(bench_shape_parse(text, comma == NULL ? strlen(text) : (size_t)(comma - text),
                                 &run->shape[run->n_shapes]));
        text = comma == NULL ? NULL : comma + 1;
    }
    return DS_OK;
}

/* Each table and its products of bfloat16, `ref` only if asked for by name; `auto` is another
 * table's second name. */
static ds_status bench_tables(const char *name, bench_run *run)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; ds_kernels_at(i / 2) != NULL && run->n_tables < MOST_TABLES; i++) {
        const ds_kernels *whole = ds_kernels_at(i / 2), *k = i % 2 == 0 ? whole : whole->bf16;
        if (k == NULL || strcmp(whole->name, "auto") == 0)
            continue;
        if (name == NULL ? strncmp(k->name, "ref", 3) != 0 : strcmp(k->name, name) == 0)
            run->table[run->n_tables++] = k;
        if (used < sizeof known)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s",
                                     used == 0 ? "" : ", ", k->name);
    }
    DS_CHECK(run->n_tables > 0, DS_ERR_USAGE, "bench: --table: no kernel table '%s'; there are %s",
             name, known);
    return DS_OK;
}

static int bench_compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* GFLOP/s of one timing: as many calls as fill about 2 ms. */
static ds_status bench_time(const ds_kernels *k, const ds_gemm *call, size_t calls, double *rate)
{
    int64_t start = ds_clock_ns();
    for (size_t i = 0; i < calls; i++)
        DS_TRY(k->gemm(call));
    int64_t ns = ds_clock_ns() - start;
    double flops = 2.0 * (double)call->m * (double)call->n * (double)call->k;
    *rate = (double)calls * flops / (double)(ns > 0 ? ns : 1);
    return DS_OK;
}

static ds_status bench_calls(const ds_kernels *k, const ds_gemm *call, size_t *calls)
{
    double rate = 0.0, flops = 2.0 * (double)call->m * (double)call->n * (double)call->k;
    DS_TRY(bench_time(k, call, 1, &rate)); /* the first call sets things up */
    DS_TRY(bench_time(k, call, 1, &rate));
    double many = 2e6 * rate / flops;
    *calls = many < 1.0 ? 1 : many > 100000.0 ? 100000 : (size_t)many;
    return DS_OK;
}

static float *bench_matrix(ds_arena *arena, size_t rows, size_t stride, ds_status *status)
{
    float *x = NULL;
    if (*status == DS_OK)
        *status = ds_arena_take(arena, rows * stride, sizeof *x, "benchmark matrix", &x);
    for (size_t i = 0; *status == DS_OK && i < rows * stride; i++)
        x[i] = (float)(i % 17) / 16.0f - 0.5f;
    return x;
}

/* rate[t]: the median for table t. */
static ds_status bench_rates(const bench_run *run, const bench_shape *s, bool padded, double *rate)
{
    ds_auto(ds_arena) arena = NULL;
    DS_TRY(ds_arena_create("benchmark", &arena));
    ds_gemm call = {.ta = s->ta, .tb = s->tb, .m = s->m, .n = s->n, .k = s->k};
    size_t wide_a = s->ta == 'N' ? s->k : s->m, wide_b = s->tb == 'N' ? s->n : s->k;
    call.lda = padded ? ds_stride_for(wide_a) : wide_a;
    call.ldb = padded ? ds_stride_for(wide_b) : wide_b;
    call.ldc = padded ? ds_stride_for(s->n) : s->n;
    ds_status status = DS_OK;
    call.a = bench_matrix(arena, s->ta == 'N' ? s->m : s->k, call.lda, &status);
    call.b = bench_matrix(arena, s->tb == 'N' ? s->k : s->n, call.ldb, &status);
    call.c = bench_matrix(arena, s->m, call.ldc, &status);
    DS_TRY(status);
    size_t calls[MOST_TABLES];
    double all[MOST_TABLES][REPEATS];
    for (size_t t = 0; t < run->n_tables; t++)
        DS_TRY(bench_calls(run->table[t], &call, &calls[t]));
    for (size_t r = 0; r < REPEATS; r++)
        for (size_t t = 0; t < run->n_tables; t++)
            DS_TRY(bench_time(run->table[t], &call, calls[t], &all[t][r]));
    for (size_t t = 0; t < run->n_tables; t++) {
        qsort(all[t], REPEATS, sizeof **all, bench_compare);
        rate[t] = all[t][REPEATS / 2];
    }
    return DS_OK;
}

static void bench_head(const bench_run *run)
{
    char text[512];
    ds_numerics numerics;
    ds_numerics_read(run->table[0], 1, &numerics);
    ds_numerics_text(&numerics, sizeof text, text);
    if (run->json) {
        printf("{\"numerics\":\"%s\"}\n", text);
        return;
    }
    printf("%s\n", text);
    const char *warning = ds_numerics_warning(sizeof text, text);
    if (warning != NULL)
        printf("%s\n", warning);
    printf("bf16 by %s\n", ds_kernels_bf16_way());
    printf("GFLOP/s on one rank, median of %d; padded: strides as in training\n\n%-10s %-19s",
           REPEATS, "", "shape");
    for (size_t t = 0; t < run->n_tables; t++)
        printf(" %10s %8s", run->table[t]->name, "padded");
    printf("\n");
}

static void bench_row(const bench_run *run, const bench_shape *s, double rate[2][MOST_TABLES])
{
    char shape[64];
    snprintf(shape, sizeof shape, "%c%c %zux%zux%zu", s->ta, s->tb, s->m, s->n, s->k);
    if (!run->json)
        printf("%-10s %-19s", s->what, shape);
    for (size_t t = 0; t < run->n_tables; t++) {
        if (!run->json) {
            printf(" %10.1f %8.1f", rate[0][t], rate[1][t]);
            continue;
        }
        for (int padded = 0; padded < 2; padded++)
            printf("{\"table\":\"%s\",\"op\":\"%c%c\",\"m\":%zu,\"n\":%zu,\"k\":%zu,\"padded\":%s,"
                   "\"gflops\":%.2f}\n",
                   run->table[t]->name, s->ta, s->tb, s->m, s->n, s->k, padded ? "true" : "false",
                   rate[padded][t]);
    }
    if (!run->json)
        printf("\n");
    fflush(stdout);
}

ds_status bench_gemm_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    arg_list positional;
    bench_run run = {0};
    const char *shapes = NULL, *table = NULL;
    const arg options[] = {{"--shapes", ARG_VALUE, &shapes},
                           {"--table", ARG_VALUE, &table},
                           {"--json", ARG_FLAG, &run.json},
                           {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, options, &positional));
    DS_TRY(args_expect("bench gemm", &positional, 0, 0, "no argument but options"));
    DS_TRY(bench_shapes_parse(shapes, &run));
    DS_TRY(bench_tables(table, &run));
    bench_head(&run);
    for (size_t i = 0; i < run.n_shapes; i++) {
        double rate[2][MOST_TABLES] = {{0}};
        for (int padded = 0; padded < 2; padded++)
            DS_TRY(bench_rates(&run, &run.shape[i], padded == 1, rate[padded]));
        bench_row(&run, &run.shape[i], rate);
    }
    return DS_OK;
}
