/* Mean squared error (torch.nn.MSELoss): a sample's loss is the mean over its elements of
 * (z - y)^2, its gradient 2 (z - y) / cols. B rows, C cols. Cost: reads z and y once. */
#include "descent/loss.h"
#include "descent/simd.h"

typedef struct mse_options {
    char none;
} mse_options;

static const ds_option mse_table[] = {{0}};

/* dz may be z: element j is read before it is written. */
DS_SIMD static void mse_gradient(size_t cols, const float *z, const float *y, float factor,
                                 float *dz)
{
    DS_IVDEP
    for (size_t j = 0; j < cols; j++)
        dz[j] = factor * (z[j] - y[j]);
}

static void mse_value(const void *options, size_t n, size_t cols, const float *z, size_t stride,
                      const ds_targets *targets, double *sum, float *dz)
{
    (void)options;
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        const float *zi = z + i * stride, *yi = targets->value + i * targets->width;
        double squares = 0;
        for (size_t j = 0; j < cols; j++) {
            const double d = (double)zi[j] - (double)yi[j];
            squares += d * d;
        }
        total += squares / (double)cols;
        if (dz)
            mse_gradient(cols, zi, yi, 2.0f / (float)cols, dz + i * stride);
    }
    *sum = total;
}

extern const ds_loss_ops ds_loss_mse;
const ds_loss_ops ds_loss_mse = {
    .name = "mse",
    .help = "mean squared error over a sample's elements",
    .options = mse_table,
    .options_size = sizeof(mse_options),
    .target = DS_TARGET_REAL,
    .value = mse_value,
};
