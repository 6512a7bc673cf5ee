/* After set-up a step allocates nothing. This program brings its own malloc, which asks who calls:
 * what our code (linked in statically) or cJSON asks for within steps and heartbeats is a failure;
 * what Open MPI, oneDNN and OpenBLAS ask for is counted and shown. usage: test_steady DIR */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/descent.h"
#include "descent/report.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

enum { STEPS = 40, WARM = 3, SAMPLES = 300, IN = 20, FRAMES = 16 };
static volatile int counting;
static _Thread_local int inside;
static long ours, theirs;
static char first[512];

static const char *object_of(void *address)
{
    Dl_info info;
    return dladdr(address, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "?";
}

/* Whose is it? The innermost frame outside libc says. */
static void count(size_t n)
{
    if (!counting || inside)
        return;
    inside = 1;
    void *frame[FRAMES];
    int k = backtrace(frame, FRAMES);
    const char *self = object_of((void *)(size_t)&object_of), *who = self;
    for (int i = 3; i < k; i++) {
        who = object_of(frame[i]);
        if (strstr(who, "libc.so") == NULL && strstr(who, "libstdc++") == NULL)
            break;
    }
    bool mine = strcmp(who, self) == 0 || strstr(who, "cjson") != NULL;
    if (mine && ours == 0) {
        int used = snprintf(first, sizeof first, "%zu bytes, frames", n);
        for (int i = 3; i < k && used < (int)sizeof first - 24; i++)
            used += snprintf(first + used, sizeof first - (size_t)used, " %p", frame[i]);
    }
    *(mine ? &ours : &theirs) += 1;
    inside = 0;
}

void *malloc(size_t n)
{
    count(n);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count(n * size);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count(n);
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    count(n);
    return __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    count(n);
    *p = __libc_memalign(align, n);
    return *p == NULL ? ENOMEM : 0;
}

static const char config[] = "name: steady\n"
                             "model:\n"
                             "  input: [20]\n"
                             "  layers:\n"
                             "    - dense: {units: 64, activation: relu}\n"
                             "    - dense: {units: 48, activation: gelu}\n"
                             "    - dense: {units: 5}\n"
                             "loss: cross_entropy\n"
                             "batch: {size: 64, shards: 8}\n"
                             "optimizer: {name: adamw, lr: 0.01, weight_decay: 0.1, clip_norm: 1}\n"
                             "lr: {schedule: cosine, warmup_steps: 5}\n"
                             "train: {epochs: 100}\n";

/* One of each that is more than a kernel call. */
static const char layers[] =
    "model.layers=[{reshape: {shape: [1, 4, 5]}}, {conv: {channels: 6, kernel: 3, padding: same, "
    "activation: relu}}, {residual: {layers: [{conv: {channels: 6, kernel: 3, padding: 1, groups: "
    "2}}]}}, {max_pool: {kernel: 2}}, {reshape: {shape: [4, 6]}}, positions, {attention: {heads: "
    "2}}, layernorm, {dropout: {p: 0.2}}, {lstm: {units: 5}}, {gru: {units: 6, last: true}}, "
    "{dense: {units: 5}}]";

static ds_status run(ds_world *world, const char *set, const char *dir)
{
    static float x[SAMPLES * IN];
    static int32_t label[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        label[i] = i % 5;
        for (int j = 0; j < IN; j++)
            x[i * IN + j] = (float)((i * 31 + j * 17 + label[i] * j) % 23) / 23;
    }
    const ds_memory_data data = {.n = SAMPLES, .x = x, .label = label, .n_classes = 5};
    const char *edits[] = {"sync.strategy=exact", set, "sync.replicas=4"};
    const ds_trainer_spec spec = {.config = config, .n_set = 3, .set = edits, .train = &data};
    ds_auto(ds_trainer) trainer = NULL;
    ds_report *report = NULL;
    ds_outcome outcome = {0};
    DS_TRY(ds_trainer_open(world, &spec, &trainer));
    if (ds_world_rank(world) == 0) {
        const ds_report_spec told = {.dir = dir, .quiet = true, .from_step = -1};
        DS_TRY(ds_report_create(&told, &report));
    }
    ds_status status = DS_OK;
    ours = theirs = 0;
    for (int s = 0; s < STEPS && status == DS_OK; s++) {
        counting = s >= WARM;
        status = ds_trainer_step(trainer, &outcome);
        ds_report_beat(report, s, outcome.loss, 1);
        counting = 0;
    }
    ds_report_destroy(&report);
    printf("# rank %d of %d, %s: %d steps, %ld allocations of ours, %ld of libraries%s%s\n",
           ds_world_rank(world), ds_world_size(world), set, STEPS - WARM, ours, theirs,
           ours != 0 ? ": " : "", ours != 0 ? first : "");
    DS_TRY(status);
    return ours == 0 ? DS_OK : DS_NO;
}

int main(int argc, char **argv)
{
    static const char *const set[] = {"sync.strategy=exact",
                                      "sync.strategy=allreduce",
                                      "sync={strategy: local-sgd, local_steps: 3}",
                                      "sync={strategy: local-sgd, optimizer_state: average}",
                                      "sync={strategy: post-local, local_after: 10}",
                                      "sync={strategy: diloco, local_steps: 5}",
                                      "sync.bucket=16 KiB",
                                      "batch.accumulate=4",
                                      "optimizer={name: muon, ema: 0.9, l2: 0.001}",
                                      "optimizer={name: lamb, groups: [{match: '*/bias', l1: 1}]}",
                                      "sync={compress: fp16}",
                                      "sync={compress: int8, transport: direct, overlap: true}",
                                      layers,
                                      "compute.kernels=openblas"};
    void *warm[FRAMES];
    ds_world *world = NULL;
    int bad = 0;
    MPI_Init(&argc, &argv);
    inside = 1;
    backtrace(warm, FRAMES); /* loads libgcc */
    inside = 0;
    if (argc != 2 || ds_world_create(MPI_COMM_WORLD, &world) != DS_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        if (run(world, set[i], argv[1]) != DS_OK) {
            printf("# %s failed: %s\n", set[i], ds_last_error());
            bad = 1;
        }
    ds_world_destroy(&world);
    MPI_Finalize();
    return bad;
}
