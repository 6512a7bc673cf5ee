/* Mean absolute error (torch.nn.L1Loss): a sample's loss is the mean over its elements of |z - y|,
 * its gradient sign(z - y) / cols, 0 where they are equal. Cost: reads z and y once. */
#include <math.h>

#include "descent/loss.h"
#include "descent/simd.h"

typedef struct mae_options {
    char none;
} mae_options;

static const ds_option mae_table[] = {{0}};

/* dz may be z: element j is read before it is written. d - d is NaN where d is not finite, else 0:
 * the sign alone would hide it. */
DS_SIMD static void mae_gradient(size_t cols, const float *z, const float *y, float factor,
                                 float *dz)
{
    DS_IVDEP
    for (size_t j = 0; j < cols; j++) {
        const float d = z[j] - y[j];
        const float up = d > 0 ? factor : 0.0f, down = d < 0 ? factor : 0.0f;
        dz[j] = (up - down) + (d - d);
    }
}

static void mae_value(const void *options, size_t n, size_t cols, const float *z, size_t stride,
                      const ds_targets *targets, double *sum, float *dz)
{
    (void)options;
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        const float *zi = z + i * stride, *yi = targets->value + i * targets->width;
        double absolute = 0;
        for (size_t j = 0; j < cols; j++)
            absolute += fabs((double)zi[j] - (double)yi[j]);
        total += absolute / (double)cols;
        if (dz)
            mae_gradient(cols, zi, yi, 1.0f / (float)cols, dz + i * stride);
    }
    *sum = total;
}

static double mae_piece(const void *options, size_t n, size_t cols, const float *z,
                        const float *base, size_t stride, const ds_targets *targets)
{
    (void)options;
    double total = 0;
    for (size_t i = 0; i < n; i++, z += stride, base += stride)
        for (size_t j = 0; j < cols; j++) {
            const double y = (double)targets->value[i * targets->width + j];
            const double side = (double)base[j] > y ? 1 : (double)base[j] < y ? -1 : 0;
            total += side * ((double)z[j] - y) / (double)cols;
        }
    return total;
}

extern const ds_loss_ops ds_loss_mae;
const ds_loss_ops ds_loss_mae = {
    .name = "mae",
    .help = "mean absolute error over a sample's elements",
    .options = mae_table,
    .options_size = sizeof(mae_options),
    .target = DS_TARGET_REAL,
    .value = mae_value,
    .piece = mae_piece,
};
