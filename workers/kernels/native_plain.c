/* Tiles in plain C for any CPU: one row at a time, fmaf by the compiler or by libm (exact either
 * way: IEEE 754 rounds it once). */
#include <math.h>

#include "native.h"

static void native_plain_row(size_t width, const ds_native_job *job)
{
    float sum[NATIVE_WIDTH] = {0};
    const unsigned before = ds_native_flush(job->flush);
    for (size_t p = 0; p < job->k; p++)
        for (size_t j = 0; j < width; j++)
            sum[j] = fmaf(job->a[p * job->lda], job->b[p * job->ldb + j], sum[j]);
    ds_native_keep(job->flush, before);
    for (size_t j = 0; j < width; j++)
        job->c[j] = job->add ? job->c[j] + sum[j] : sum[j];
    for (size_t j = 0; j < width && job->bias != NULL; j++)
        job->c[j] += job->bias[j];
}

static void native_plain_wide(const ds_native_job *job)
{
    native_plain_row(NATIVE_WIDTH, job);
}

static void native_plain_narrow(const ds_native_job *job)
{
    native_plain_row(NATIVE_WIDTH / 2, job);
}

const ds_native_isa ds_native_plain = {
    .max_rows = 1,
    .tile = NATIVE_TILE,
    .by_steps = {.wide = {native_plain_wide}, .narrow = {native_plain_narrow}}};
