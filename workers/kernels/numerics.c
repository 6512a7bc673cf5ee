/* What the bits depend on besides config, data and seed, and what is set once at start: threads and
 * the highest instruction set. */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/kernels.h"

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

/* The bound set by ds_kernels_limit_isa; part of the choice of kernels, like the table itself. */
static int numerics_bound = 2;

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
    char core[32];
    ds_openblas_core(sizeof core, core);
    DS_CHECK(ds_openblas_isa() <= bound, DS_ERR_USAGE,
             "compute.isa: %s, but OpenBLAS was loaded with its %s core, which needs more; set "
             "OPENBLAS_CORETYPE=%s in the environment (mpirun -x OPENBLAS_CORETYPE=%s ...)",
             isa, core, bound == 1 ? "Haswell" : "Prescott", bound == 1 ? "Haswell" : "Prescott");
#ifdef DS_HAVE_ONEDNN
    DS_TRY(ds_onednn_limit_isa(bound));
#endif
    numerics_bound = bound;
    return DS_OK;
}

/* Whichever OpenMP runtime the libraries brought along; none is linked here. */
static void numerics_openmp_threads(int threads)
{
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    void (*set)(int) = NULL;
    memcpy(&set, &symbol, sizeof set);
    if (set != NULL)
        set(threads);
}

static bool numerics_threads_set;

void ds_threads_default(void)
{
    if (!numerics_threads_set)
        ds_kernels_set_threads(1);
}

void ds_kernels_set_threads(int threads)
{
    numerics_threads_set = true;
    ds_openblas_threads(threads);
    numerics_openmp_threads(threads);
}

/* OPENBLAS_L2_SIZE moves the borders of blocks and so the bits: it belongs to the core. */
static void numerics_core(size_t room, char *text)
{
    ds_openblas_core(room, text);
    const char *l2 = getenv("OPENBLAS_L2_SIZE");
    size_t used = strlen(text);
    if (l2 != NULL && used + 8 < room)
        snprintf(text + used, room - used, " L2=%.8s", l2);
}

void ds_numerics_read(const ds_kernels *kernels, int threads, ds_numerics *out)
{
    memset(out, 0, sizeof *out);
    int isa = ds_cpu_isa();
    if (isa > numerics_bound)
        isa = numerics_bound;
    snprintf(out->kernels, sizeof out->kernels, "%s", kernels->name);
    snprintf(out->isa, sizeof out->isa, "%s", isa < 0 ? "generic" : numerics_isa[isa]);
    bool blas = strcmp(kernels->name, "openblas") == 0, dnn = strcmp(kernels->name, "onednn") == 0;
    if (strcmp(kernels->name, "auto") == 0)
        blas = dnn = true;
    snprintf(out->blas_core, sizeof out->blas_core, "none");
    snprintf(out->blas_version, sizeof out->blas_version, "none");
    snprintf(out->onednn_version, sizeof out->onednn_version, "none");
    if (blas) {
        numerics_core(sizeof out->blas_core, out->blas_core);
        ds_openblas_version(sizeof out->blas_version, out->blas_version);
    }
#ifdef DS_HAVE_ONEDNN
    if (dnn)
        ds_onednn_version(sizeof out->onednn_version, out->onednn_version);
#else
    (void)dnn;
#endif
#if defined(__clang__)
    snprintf(out->compiler, sizeof out->compiler, "clang %d.%d.%d", __clang_major__,
             __clang_minor__, __clang_patchlevel__);
#else
    snprintf(out->compiler, sizeof out->compiler, "gcc %s", __VERSION__);
#endif
    snprintf(out->libc, sizeof out->libc, "glibc %s", gnu_get_libc_version());
    out->threads = threads;
}

const char *ds_numerics_text(const ds_numerics *self, size_t room, char *text)
{
    snprintf(text, room,
             "kernels %s, isa %s, OpenBLAS %s %s, oneDNN %s, %d thread%s a rank, %s, %s",
             self->kernels, self->isa, self->blas_version, self->blas_core, self->onednn_version,
             self->threads, self->threads == 1 ? "" : "s", self->compiler, self->libc);
    return text;
}

const char *ds_numerics_warning(size_t room, char *text)
{
    const char *set = getenv("OPENBLAS_CORETYPE"), *l2 = getenv("OPENBLAS_L2_SIZE");
    int cpu = ds_cpu_isa(), core = ds_openblas_isa();
    char name[32];
    ds_openblas_core(sizeof name, name);
    if (cpu > numerics_bound)
        cpu = numerics_bound;
    if (core < cpu && set != NULL && *set != '\0')
        snprintf(text, room,
                 "OpenBLAS runs its %s core, slower than this CPU allows (%s), because "
                 "OPENBLAS_CORETYPE=%s is set in the environment; unset it for full speed",
                 name, numerics_isa[cpu], set);
    else if (core < cpu)
        snprintf(text, room,
                 "OpenBLAS runs its %s core, slower than this CPU allows (%s): this OpenBLAS does "
                 "not know the CPU; a newer one, or OPENBLAS_CORETYPE=%s in the environment, helps",
                 name, numerics_isa[cpu], cpu == 2 ? "SkylakeX" : "Haswell");
    else if (l2 != NULL && *l2 != '\0')
        snprintf(text, room,
                 "OPENBLAS_L2_SIZE=%s is set in the environment: OpenBLAS cuts its blocks for "
                 "another cache than this CPU's, which is slower; unset it for full speed",
                 l2);
    else
        return NULL;
    return text;
}
