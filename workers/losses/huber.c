/* Huber's loss (Ann. Math. Stat. 1964; torch.nn.HuberLoss): with d = z - y a sample's loss is the
 * mean over its elements of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); its gradient
 * is d, cut off at -delta and delta, / cols. Cost: reads z and y once. */
#include <math.h>
#include <stddef.h>

#include "descent/loss.h"
#include "descent/simd.h"

typedef struct huber_options {
    double delta;
} huber_options;

static const ds_option huber_table[] = {
    {.name = "delta",
     .type = DS_OPTION_REAL,
     .offset = offsetof(huber_options, delta),
     .fallback = "1",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "errors above it count by their size, below it by their square"},
    {0},
};

/* dz may be z: element j is read before it is written. d - d is NaN where d is not finite, else 0:
 * the cut would hide it. */
DS_SIMD static void huber_gradient(size_t cols, const float *z, const float *y, float delta,
                                   float *dz)
{
    const float factor = 1.0f / (float)cols;
    DS_IVDEP
    for (size_t j = 0; j < cols; j++) {
        const float d = z[j] - y[j];
        const float low = d < -delta ? -delta : d, cut = low > delta ? delta : low;
        dz[j] = factor * cut + (d - d);
    }
}

static double huber_row(double delta, size_t cols, const float *z, const float *y)
{
    double sum = 0;
    for (size_t j = 0; j < cols; j++) {
        const double d = fabs((double)z[j] - (double)y[j]);
        sum += d <= delta ? 0.5 * d * d : delta * (d - 0.5 * delta);
    }
    return sum / (double)cols;
}

static void huber_value(const void *options, size_t n, size_t cols, const float *z, size_t stride,
                        const ds_targets *targets, double *sum, float *dz)
{
    const huber_options *o = options;
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        const float *zi = z + i * stride, *yi = targets->value + i * targets->width;
        total += huber_row(o->delta, cols, zi, yi);
        if (dz)
            huber_gradient(cols, zi, yi, (float)o->delta, dz + i * stride);
    }
    *sum = total;
}

static double huber_piece(const void *options, size_t n, size_t cols, const float *z,
                          const float *base, size_t stride, const ds_targets *targets)
{
    const double delta = ((const huber_options *)options)->delta;
    double total = 0;
    for (size_t i = 0; i < n; i++, z += stride, base += stride)
        for (size_t j = 0; j < cols; j++) {
            const double y = (double)targets->value[i * targets->width + j];
            const double d = (double)z[j] - y, at = (double)base[j] - y;
            const double far = delta * ((at > 0 ? d : -d) - 0.5 * delta);
            total += (fabs(at) <= delta ? 0.5 * d * d : far) / (double)cols;
        }
    return total;
}

extern const ds_loss_ops ds_loss_huber;
const ds_loss_ops ds_loss_huber = {
    .name = "huber",
    .help = "squared error near the target, absolute error far from it",
    .options = huber_table,
    .options_size = sizeof(huber_options),
    .target = DS_TARGET_REAL,
    .value = huber_value,
    .piece = huber_piece,
};
