/* After set-up a step allocates nothing. This program brings its own malloc, calloc, realloc, free,
 * mmap and munmap, which ask who calls, from the third step on. Counted are steps with a heartbeat;
 * lines of metrics, evaluations and checkpoints lie between steps and may allocate. Calls of our
 * code (linked in statically) or of cJSON are failures whatever the config; under `kernels: auto`
 * and shared memory so are those of libraries: every layer and every optimizer of the registries is
 * such a case. Other cases let Open MPI take what an MPI_Allreduce takes, or OpenBLAS what it
 * packs. usage: test_steady DIR PLUGIN: a folder that no other run writes to, and faulty.c as a
 * plug-in of classes */
#undef _FILE_OFFSET_BITS /* mmap and mmap64 are two functions here; libraries call either */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descent/descent.h"
#include "descent/optim.h"
#include "descent/problem.h"
#include "descent/report.h"

#include "../model/layer_entry.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

enum { STEPS = 12, WARM = 2, SAMPLES = 300, IN = 24, FRAMES = 16 };
enum { OURS, OF_MPI, OF_OTHERS, OWNERS };
static volatile int counting;
static _Thread_local int inside;
static long calls[OWNERS];
static char first[512];

static const char *object_of(void *address)
{
    Dl_info info;
    return dladdr(address, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "?";
}

static int owner_of(const char *object)
{
    static const char *const mpi[] = {"libmpi",  "libopen-", "mca_",
                                      "libpmix", "libucp",   "libevent"};
    if (strcmp(object, object_of((void *)(size_t)&object_of)) == 0 ||
        strstr(object, "cjson") != NULL)
        return OURS;
    for (size_t i = 0; i < sizeof mpi / sizeof *mpi; i++)
        if (strstr(object, mpi[i]) != NULL)
            return OF_MPI;
    return OF_OTHERS;
}

/* Whose is it? The innermost frame outside libc says. */
static void count(const char *what)
{
    if (!counting || inside)
        return;
    inside = 1;
    void *frame[FRAMES];
    int k = backtrace(frame, FRAMES);
    const char *who = "?";
    for (int i = 2; i < k; i++) {
        who = object_of(frame[i]);
        bool here = strcmp(who, object_of((void *)(size_t)&object_of)) == 0;
        if (strstr(who, "libc.so") == NULL && strstr(who, "libstdc++") == NULL && !(here && i == 2))
            break;
    }
    int owner = owner_of(who);
    if (first[0] == '\0') {
        int used = snprintf(first, sizeof first, "%s by %s, frames", what, who);
        for (int i = 2; i < k && used < (int)sizeof first - 24; i++)
            used += snprintf(first + used, sizeof first - (size_t)used, " %p", frame[i]);
    }
    calls[owner]++;
    inside = 0;
}

void *malloc(size_t n)
{
    count("malloc");
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count("calloc");
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count("realloc");
    return __libc_realloc(p, n);
}

void free(void *p)
{
    if (p != NULL)
        count("free");
    __libc_free(p);
}

void *aligned_alloc(size_t align, size_t n)
{
    count("aligned_alloc");
    return __libc_memalign(align, n);
}

void *memalign(size_t align, size_t n)
{
    count("memalign");
    return __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    count("posix_memalign");
    *p = __libc_memalign(align, n);
    return *p == NULL ? ENOMEM : 0;
}

void *mmap(void *at, size_t n, int protection, int flags, int file, off_t offset)
{
    count("mmap");
    return (void *)syscall(SYS_mmap, at, n, protection, flags, file, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int file, off64_t offset)
{
    count("mmap64");
    return (void *)syscall(SYS_mmap, at, n, protection, flags, file, offset);
}

int munmap(void *at, size_t n)
{
    count("munmap");
    return (int)syscall(SYS_munmap, at, n);
}

static const char config[] = "name: steady\n"
                             "model:\n"
                             "  input: [24]\n"
                             "  layers:\n"
                             "    - dense: {units: 64, activation: relu}\n"
                             "    - dense: {units: 48, activation: gelu}\n"
                             "    - dense: {units: 5}\n"
                             "loss: cross_entropy\n"
                             "batch: {size: 64, shards: 8}\n"
                             "optimizer: {name: adamw, lr: 0.01, weight_decay: 0.1, clip_norm: 1}\n"
                             "lr: {schedule: cosine, warmup_steps: 5}\n"
                             "train: {epochs: 100}\n";

static const char problem[] = "name: steady\n"
                              "problem: rosenbrock\n"
                              "batch: {size: 64, shards: 8}\n"
                              "optimizer: {name: adamw, lr: 0.0001, clip_norm: 1}\n"
                              "train: {max_steps: 100}\n";

/* Layers as they stand together: groups, padding, shortcuts, heads. */
static const char together[] =
    "model.layers=[{reshape: {shape: [1, 4, 6]}}, {conv: {channels: 6, kernel: 3, padding: same, "
    "activation: relu}}, {residual: {layers: [{conv: {channels: 6, kernel: 3, padding: 1, groups: "
    "2}}]}}, {max_pool: {kernel: 2}}, {reshape: {shape: [6, 6]}}, positions, {attention: {heads: "
    "2}}, layernorm, {dropout: {p: 0.2}}, flatten, {dense: {units: 5}}]";

/* Steps of a model on this trainer, counted from the third on. */
static ds_status steps(ds_world *world, ds_trainer *trainer, const char *dir)
{
    ds_report *report = NULL;
    ds_outcome outcome = {0};
    if (ds_world_rank(world) == 0) {
        const ds_report_spec told = {.dir = dir, .quiet = true, .from_step = -1};
        DS_TRY(ds_report_create(&told, &report));
    }
    ds_status status = DS_OK;
    memset(calls, 0, sizeof calls);
    first[0] = '\0';
    for (int s = 0; s < STEPS && status == DS_OK; s++) {
        counting = s >= WARM;
        status = ds_trainer_step(trainer, &outcome);
        ds_report_beat(report, s, outcome.loss, 1);
        counting = 0;
    }
    ds_report_destroy(&report);
    return status;
}

static const char image[] = "model={input: [4, 6], layers: [flatten, {dense: {units: 5}}]}";
static const char images[] = "model={input: [2, 3, 4], layers: [{conv: {channels: 3, kernel: 2}}, "
                             "flatten, {dense: {units: 5}}]}";

typedef struct steady_case {
    const char *set, *also; /* an edit; another, or NULL */
    bool strict;            /* libraries must not either */
    enum { NETWORK, FUNCTION, PLUGIN } kind;
} steady_case;

/* x are whole numbers from 0 to 4, so that they are token ids too. */
static bool run(ds_world *world, const char *dir, const steady_case *c)
{
    static float x[SAMPLES * IN];
    static int32_t label[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        label[i] = i % 5;
        for (int j = 0; j < IN; j++)
            x[i * IN + j] = (float)((i * 31 + j * 17 + label[i] * j) % 5);
    }
    const ds_memory_data data = {.n = SAMPLES, .x = x, .label = label, .n_classes = 5};
    const char *edits[] = {"sync.strategy=exact", c->set, "sync.replicas=4", c->also};
    const ds_trainer_spec spec = {.config = c->kind == NETWORK ? config : problem,
                                  .n_set = c->also != NULL ? 4 : 3,
                                  .set = edits,
                                  .train = c->kind == FUNCTION ? NULL : &data};
    ds_auto(ds_trainer) trainer = NULL;
    ds_status status = ds_trainer_open(world, &spec, &trainer);
    if (status == DS_OK)
        status = steps(world, trainer, dir);
    bool good = status == DS_OK && calls[OURS] == 0 &&
                (!c->strict || calls[OF_MPI] + calls[OF_OTHERS] == 0);
    if (ds_world_rank(world) < 2 || !good)
        printf("# rank %d of %d, %.90s: %d steps, calls: %ld ours, %ld MPI's, %ld others'%s%s%s\n",
               ds_world_rank(world), ds_world_size(world), c->set, STEPS - WARM, calls[OURS],
               calls[OF_MPI], calls[OF_OTHERS], good ? "" : " WRONG ", good ? "" : first,
               status == DS_OK ? "" : ds_last_error());
    if (status != DS_OK)
        MPI_Abort(MPI_COMM_WORLD, 1); /* the others wait for this rank's part of a step */
    return good;
}

/* Every layer between two dense ones; every optimizer that takes part in a step, on layers
 * together. */
static int walk(ds_world *world, const char *dir)
{
    char entry[256], set[512];
    int bad = 0;
    for (size_t i = 0; ds_layer_at(i) != NULL; i++) {
        const ds_layer_ops *ops = ds_layer_at(i);
        layer_entry(ops, sizeof entry, entry);
        if (ops->reads_ids)
            snprintf(set, sizeof set, "model.layers=[%s, flatten, {dense: {units: 5}}]", entry);
        else
            snprintf(set, sizeof set,
                     "model.layers=[{dense: {units: 24}}, {reshape: {shape: [%s]}}, %s, flatten, "
                     "{dense: {units: 5}}]",
                     layer_input(ops), entry);
        bad += !run(world, dir, &(steady_case){set, NULL, true, NETWORK});
    }
    for (size_t i = 0; ds_optim_at(i) != NULL; i++) {
        snprintf(set, sizeof set, "optimizer={name: %s}", ds_optim_at(i)->name);
        if (ds_optim_at(i)->reach != DS_REACH_MODEL) /* those take whole data sets, line searches */
            bad += !run(world, dir, &(steady_case){set, together, true, NETWORK});
    }
    return bad;
}

/* Every function, and a plug-in. */
static int walk_problems(ds_world *world, const char *dir, const char *plugin)
{
    char set[512];
    int bad = 0;
    for (size_t i = 0; ds_problem_at(i) != NULL; i++) {
        if (strcmp(ds_problem_at(i)->name, "plugin") == 0)
            continue;
        snprintf(set, sizeof set, "problem={name: %s, noise: 1}", ds_problem_at(i)->name);
        bad += !run(world, dir, &(steady_case){set, NULL, true, FUNCTION});
    }
    snprintf(set, sizeof set, "problem={plugin: '%s', input: [24], targets: 5}", plugin);
    return bad + !run(world, dir, &(steady_case){set, NULL, true, PLUGIN});
}

int main(int argc, char **argv)
{
    static const steady_case cases[] = {
        {"sync.strategy=exact", NULL, true, NETWORK},
        {"sync.strategy=allreduce", NULL, false, NETWORK},
        {"sync={strategy: local-sgd, local_steps: 3}", NULL, false, NETWORK},
        {"sync={strategy: local-sgd, optimizer_state: average}", NULL, false, NETWORK},
        {"sync={strategy: post-local, local_after: 6}", NULL, false, NETWORK},
        {"sync={strategy: diloco, local_steps: 5}", NULL, false, NETWORK},
        {"sync.bucket=16 KiB", NULL, true, NETWORK},
        {"batch.accumulate=4", NULL, true, NETWORK},
        {"optimizer={name: muon, ema: 0.9, l2: 0.001}", NULL, true, NETWORK},
        {"optimizer={name: lamb, groups: [{match: '*/bias', l1: 1}]}", NULL, true, NETWORK},
        {"sync={compress: fp16}", NULL, true, NETWORK},
        {"sync={compress: int8, transport: direct, overlap: true}", NULL, false, NETWORK},
        {"train={epochs: 9, log_layers: true, spike: {window: 4}}", NULL, true, NETWORK},
        {"loss={name: cross_entropy, class_weights: balanced}", NULL, true, NETWORK},
        {"loss={name: cross_entropy, class_weights: [1, 0.5, 0, 2, 3]}", "batch.accumulate=2", true,
         false},
        {"data.augment={flip: true, shift: 2, noise: 0.1}", image, true, NETWORK},
        {"data.augment={flip: true, shift: 1}", images, true, NETWORK},
        {"sync={compress: int8}", "train={epochs: 9, spike: {window: 2, z: 0.1}}", true, NETWORK},
        {"compute.precision=bf16", NULL, true, NETWORK},
        {together, NULL, true, NETWORK},
        {"compute.kernels=openblas", NULL, false, NETWORK}};
    void *warm[FRAMES];
    ds_world *world = NULL;
    int bad = 0;
    MPI_Init(&argc, &argv);
    inside = 1;
    backtrace(warm, FRAMES); /* loads libgcc */
    inside = 0;
    if (argc != 3 || (mkdir(argv[1], 0777) != 0 && errno != EEXIST) ||
        ds_world_create(MPI_COMM_WORLD, &world) != DS_OK)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        bad += !run(world, argv[1], &cases[i]);
    bad += walk(world, argv[1]) + walk_problems(world, argv[1], argv[2]);
    ds_world_destroy(&world);
    MPI_Finalize();
    return bad > 0;
}
