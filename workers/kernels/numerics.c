/* What the bits depend on besides config, data and seed, and what is set once at start: threads and
 * the highest instruction set. */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/kernels.h"

#include "native_pool.h"
#include "native_race.h"
#include "parts.h"

static const char *const numerics_isa[] = {"base", "avx2", "avx512"};

int ds_cpu_isa(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
#else
    return -1;
#endif
}

bool ds_cpu_bf16(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return ds_cpu_isa() > 1 && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

int ds_kernels_isa(void)
{
    return ds_cpu_isa();
}

const char *ds_kernels_isa_name(int isa)
{
    return isa < 0 ? "auto" : numerics_isa[isa];
}

const char *ds_kernels_bf16_way(void)
{
    return ds_bf16_best()->name;
}

/* The bound set by ds_kernels_limit_isa; part of the choice of kernels, like the table itself. */
static int numerics_bound = 2;

int ds_isa_bound(void)
{
    return numerics_bound;
}

ds_status ds_openblas_obeys(void)
{
    if (ds_cpu_isa() < 0 || numerics_bound >= ds_openblas_isa())
        return DS_OK;
    char core[32];
    ds_openblas_core(sizeof core, core);
    const char *type = numerics_bound == 1 ? "Haswell" : "Prescott";
    return DS_FAIL(DS_ERR_USAGE,
                   "compute.isa: %s, but OpenBLAS was loaded with its %s core, which needs more; "
                   "set OPENBLAS_CORETYPE=%s in the environment (mpirun -x OPENBLAS_CORETYPE=%s "
                   "...)",
                   numerics_isa[numerics_bound], core, type, type);
}

ds_status ds_kernels_limit_isa(const char *isa)
{
    int cpu = ds_cpu_isa(), bound = 2;
    if (strcmp(isa, "auto") == 0)
        return DS_OK;
    while (bound >= 0 && strcmp(isa, numerics_isa[bound]) != 0)
        bound--;
    DS_CHECK(bound >= 0, DS_ERR_USAGE, "compute.isa: '%s' is none of auto, base, avx2, avx512",
             isa);
    DS_CHECK(cpu >= 0, DS_ERR_USAGE,
             "compute.isa: '%s' means nothing on this CPU (not x86-64); use auto", isa);
    if (bound >= cpu)
        return DS_OK;
    numerics_bound = bound;
#ifdef DS_HAVE_ONEDNN
    DS_TRY(ds_onednn_limit_isa(bound));
#endif
    return DS_OK;
}

/* A function of whichever OpenMP runtime the libraries brought along (none is linked here), or NULL
 * in *out, which is as large as a pointer to a function. */
static void numerics_openmp(const char *name, void *out)
{
    void *symbol = dlsym(RTLD_DEFAULT, name);
    memcpy(out, &symbol, sizeof symbol);
}

/* OMP_DYNAMIC would let the load of the machine decide how many threads compute: other bits from
 * run to run, and OpenBLAS 0.3.21 waits forever for the threads it did not get. */
static void numerics_set_threads(int threads)
{
    void (*set)(int) = NULL, (*dynamic)(int) = NULL;
    ds_openblas_threads(threads);
    ds_native_ready();
    ds_pool_set(threads, ds_native_ready);
    numerics_openmp("omp_set_dynamic", &dynamic);
    numerics_openmp("omp_set_num_threads", &set);
    if (dynamic != NULL)
        dynamic(0);
    if (set != NULL)
        set(threads);
}

static bool numerics_threads_set;

void ds_threads_default(void)
{
    if (!numerics_threads_set)
        numerics_set_threads(1);
    numerics_threads_set = true;
}

ds_status ds_kernels_set_threads(int threads)
{
    int (*limit)(void) = NULL;
    numerics_openmp("omp_get_thread_limit", &limit);
    DS_CHECK(limit == NULL || limit() >= threads, DS_ERR_USAGE,
             "compute.threads: %d threads a rank, but OMP_THREAD_LIMIT in the environment allows "
             "%d: unset it or lower compute.threads",
             threads, limit());
    numerics_threads_set = true;
    numerics_set_threads(threads);
    (void)ds_bf16_best(); /* measured now, not in a step */
    return DS_OK;
}

/* A variable of the environment that is set, else NULL. */
static const char *numerics_env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* OPENBLAS_L2_SIZE and OPENBLAS_BLOCK_FACTOR move the borders of blocks and so the bits: they
 * belong to the core, as the bound of its environment belongs to oneDNN. */
static void numerics_append(const char *label, const char *variable, size_t room, char *text)
{
    const char *value = numerics_env(variable);
    size_t used = strlen(text);
    if (value != NULL && used < room)
        snprintf(text + used, room - used, " %s=%.8s", label, value);
}

static void numerics_blas(ds_numerics *out)
{
    ds_openblas_core(sizeof out->blas_core, out->blas_core);
    ds_openblas_version(sizeof out->blas_version, out->blas_version);
    numerics_append("L2", "OPENBLAS_L2_SIZE", sizeof out->blas_core, out->blas_core);
    numerics_append("factor", "OPENBLAS_BLOCK_FACTOR", sizeof out->blas_core, out->blas_core);
}

#ifdef DS_HAVE_ONEDNN
/* Asking oneDNN itself would settle its instruction set. */
static void numerics_onednn(ds_numerics *out)
{
    ds_onednn_version(sizeof out->onednn_version, out->onednn_version);
    numerics_append("max",
                    numerics_env("ONEDNN_MAX_CPU_ISA") ? "ONEDNN_MAX_CPU_ISA" : "DNNL_MAX_CPU_ISA",
                    sizeof out->onednn_version, out->onednn_version);
}
#endif

static void numerics_compiler(size_t room, char *text)
{
#if defined(__clang__)
    snprintf(text, room, "clang %d.%d.%d", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    snprintf(text, room, "gcc %s", __VERSION__);
#endif
}

void ds_numerics_read(const ds_kernels *kernels, int threads, ds_numerics *out)
{
    memset(out, 0, sizeof *out);
    bool blas = strcmp(kernels->name, "openblas") == 0,
         onednn = strcmp(kernels->name, "onednn") == 0;
    int isa = ds_cpu_isa();
    if (isa > numerics_bound)
        isa = numerics_bound;
    snprintf(out->kernels, sizeof out->kernels, "%s", kernels->name);
    snprintf(out->isa, sizeof out->isa, "%s",
             !blas && !onednn ? "any"
             : isa < 0        ? "generic"
                              : numerics_isa[isa]);
    snprintf(out->blas_core, sizeof out->blas_core, "none");
    snprintf(out->blas_version, sizeof out->blas_version, "none");
    snprintf(out->onednn_version, sizeof out->onednn_version, "none");
    if (blas)
        numerics_blas(out);
#ifdef DS_HAVE_ONEDNN
    if (onednn)
        numerics_onednn(out);
#endif
    if (blas || onednn) {
        numerics_compiler(sizeof out->compiler, out->compiler);
        snprintf(out->libc, sizeof out->libc, "glibc %s", gnu_get_libc_version());
        out->threads = threads;
    }
}

const char *ds_numerics_text(const ds_numerics *self, size_t room, char *text)
{
    bool blas = strcmp(self->blas_version, "none") != 0;
    if (self->threads == 0)
        snprintf(text, room, "kernels %s, the same bits on any CPU", self->kernels);
    else
        snprintf(text, room,
                 "kernels %s, isa %s, OpenBLAS %s%s%s, oneDNN %s, %d thread%s a rank, %s, %s",
                 self->kernels, self->isa, self->blas_version, blas ? " " : "",
                 blas ? self->blas_core : "", self->onednn_version, self->threads,
                 self->threads == 1 ? "" : "s", self->compiler, self->libc);
    return text;
}

const char *ds_numerics_warning(size_t room, char *text)
{
    const char *set = numerics_env("OPENBLAS_CORETYPE"), *l2 = numerics_env("OPENBLAS_L2_SIZE");
    int cpu = ds_cpu_isa(), core = ds_openblas_isa();
    char name[32];
    ds_openblas_core(sizeof name, name);
    if (cpu > numerics_bound)
        cpu = numerics_bound;
    if (core < cpu && set != NULL)
        snprintf(text, room,
                 "OpenBLAS runs its %s core, slower than this CPU allows (%s), because "
                 "OPENBLAS_CORETYPE=%s is set in the environment; unset it for full speed",
                 name, numerics_isa[cpu], set);
    else if (core < cpu)
        snprintf(text, room,
                 "OpenBLAS runs its %s core, slower than this CPU allows (%s): it does not know "
                 "the CPU; a newer one, or OPENBLAS_CORETYPE=%s in the environment, helps",
                 name, numerics_isa[cpu], cpu == 2 ? "SkylakeX" : "Haswell");
    else if (l2 != NULL)
        snprintf(text, room,
                 "OPENBLAS_L2_SIZE=%s is set in the environment: OpenBLAS cuts its blocks for "
                 "another cache than this CPU's; unset it for full speed",
                 l2);
    else
        return NULL;
    return text;
}
