/* Tiles in plain C for any CPU: one row at a time, fmaf by the compiler or by libm (exact either
 * way: IEEE 754 rounds it once). */
#include <math.h>

#include "native.h"

static void native_plain_row(size_t width, size_t k, const float *a, const float *b, size_t ldb,
                             float *c, bool add)
{
    float sum[NATIVE_WIDTH] = {0};
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < width; j++)
            sum[j] = fmaf(a[p * NATIVE_HEIGHT], b[p * ldb + j], sum[j]);
    for (size_t j = 0; j < width; j++)
        c[j] = add ? c[j] + sum[j] : sum[j];
}

static void native_plain_wide(size_t k, const float *a, const float *b, size_t ldb, float *c,
                              size_t ldc, bool add)
{
    (void)ldc;
    native_plain_row(NATIVE_WIDTH, k, a, b, ldb, c, add);
}

static void native_plain_narrow(size_t k, const float *a, const float *b, size_t ldb, float *c,
                                size_t ldc, bool add)
{
    (void)ldc;
    native_plain_row(NATIVE_WIDTH / 2, k, a, b, ldb, c, add);
}

const ds_native_isa ds_native_plain = {
    .max_rows = 1, .wide = {native_plain_wide}, .narrow = {native_plain_narrow}};
