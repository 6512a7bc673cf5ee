/* Binary cross entropy of logits against numbers in [0, 1] (torch.nn.BCEWithLogitsLoss): a sample's
 * loss is the mean over its elements of max(z, 0) - z y + log(1 + exp(-|z|)), which no size of z
 * overflows; its gradient (sigmoid(z) - y) / cols. In double; a z that is not finite gives NaN.
 * Cost: reads z and y once, one exponential an element. */
#include <math.h>

#include "descent/loss.h"
#include "descent/power.h"

#include "logits.h"

typedef struct binary_cross_entropy_options {
    char none;
} binary_cross_entropy_options;

static const ds_option binary_cross_entropy_table[] = {{0}};

enum { BINARY_CROSS_ENTROPY_CHUNK = 64 };

/* e (n) = exp(-|z|). */
static void binary_cross_entropy_tail(size_t n, const float *z, double *e)
{
    float low[BINARY_CROSS_ENTROPY_CHUNK] = {0};
    for (size_t j = 0; j < n; j++)
        low[j] = z[j] > 0 ? -z[j] : z[j];
    ds_exponential(n, low, 0, e);
}

/* Sum of the losses of n elements; dz may be z: an element is read before it is written. */
static double binary_cross_entropy_chunk(size_t n, const float *z, const float *y, double factor,
                                         float *dz)
{
    double sum = 0, e[BINARY_CROSS_ENTROPY_CHUNK];
    binary_cross_entropy_tail(n, z, e);
    for (size_t j = 0; j < n; j++) {
        const double x = (double)z[j], t = (double)y[j], bad = x - x;
        const double sigmoid = (x > 0 ? 1 : e[j]) / (1 + e[j]);
        sum += (x > 0 ? x : 0) - x * t + ds_log1p(e[j]) + bad;
        if (dz)
            dz[j] = (float)((sigmoid - t) * factor + bad);
    }
    return sum;
}

static void binary_cross_entropy_value(const void *options, size_t n, size_t cols, const float *z,
                                       size_t stride, const ds_targets *targets, double *sum,
                                       float *dz)
{
    (void)options;
    double total = 0;
    const double factor = 1 / (double)cols;
    for (size_t i = 0; i < n; i++) {
        const float *zi = z + i * stride, *yi = targets->value + i * targets->width;
        float *di = dz ? dz + i * stride : NULL;
        double row = 0;
        for (size_t j = 0; j < cols; j += BINARY_CROSS_ENTROPY_CHUNK) {
            const size_t left = cols - j;
            const size_t m = left < BINARY_CROSS_ENTROPY_CHUNK ? left : BINARY_CROSS_ENTROPY_CHUNK;
            row += binary_cross_entropy_chunk(m, zi + j, yi + j, factor, di ? di + j : NULL);
        }
        total += row / (double)cols;
    }
    *sum = total;
}

static double binary_cross_entropy_link(double z)
{
    return 1 / (1 + exp(-z));
}

extern const ds_loss_ops ds_loss_binary_cross_entropy;
const ds_loss_ops ds_loss_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .help = "binary cross entropy of logits against numbers in [0, 1], one or more columns; for "
            "classes take cross_entropy",
    .options = binary_cross_entropy_table,
    .options_size = sizeof(binary_cross_entropy_options),
    .target = DS_TARGET_REAL,
    .target_max = 1,
    .link = binary_cross_entropy_link,
    .value = binary_cross_entropy_value,
};
