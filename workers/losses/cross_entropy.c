/* Cross entropy of logits against a class (torch.nn.CrossEntropyLoss): with m = max z and
 * S = sum_j exp(z_j - m), a sample's loss is log S + m - z_y, its gradient exp(z_j - m) / S - [j =
 * y]. With label smoothing s (Szegedy et al., CVPR 2016) the target is 1 - s at y plus s / C
 * everywhere: the loss is log S + (1 - s) (m - z_y) + s mean_j (m - z_j). Exponentials and sums are
 * in double, so no size of z overflows; a row that holds a NaN or an infinity gives NaN. Cost:
 * three passes over a row, one exponential an element. */
#include <stddef.h>

#include "descent/loss.h"
#include "descent/power.h"
#include "descent/simd.h"

#include "logits.h"

typedef struct cross_entropy_options {
    double label_smoothing;
} cross_entropy_options;

static const ds_option cross_entropy_table[] = {
    {.name = "label_smoothing",
     .type = DS_OPTION_REAL,
     .offset = offsetof(cross_entropy_options, label_smoothing),
     .fallback = "0",
     .max = 1,
     .help = "part of the target that is spread evenly over all classes"},
    {0},
};

enum { CROSS_ENTROPY_CHUNK = 64, CROSS_ENTROPY_LANES = 16 };

/* The row's largest element; NaN if one is not finite (x - x is 0 only for finite x). */
DS_SIMD static float cross_entropy_top(size_t cols, const float *z)
{
    float top[CROSS_ENTROPY_LANES], bad[CROSS_ENTROPY_LANES] = {0};
    for (size_t k = 0; k < CROSS_ENTROPY_LANES; k++)
        top[k] = z[0];
    size_t j = 0;
    for (; j + CROSS_ENTROPY_LANES <= cols; j += CROSS_ENTROPY_LANES)
        for (size_t k = 0; k < CROSS_ENTROPY_LANES; k++) {
            top[k] = z[j + k] > top[k] ? z[j + k] : top[k];
            bad[k] += z[j + k] - z[j + k];
        }
    for (; j < cols; j++) {
        top[0] = z[j] > top[0] ? z[j] : top[0];
        bad[0] += z[j] - z[j];
    }
    for (size_t k = 1; k < CROSS_ENTROPY_LANES; k++) {
        top[0] = top[k] > top[0] ? top[k] : top[0];
        bad[0] += bad[k];
    }
    return top[0] + bad[0];
}

DS_SIMD static void cross_entropy_scale(size_t cols, float factor, float even, float *p)
{
    for (size_t j = 0; j < cols; j++)
        p[j] = p[j] * factor - even;
}

/* Sum of m - z_j. */
static double cross_entropy_below(size_t cols, const float *z, double top)
{
    double sum = 0;
    for (size_t j = 0; j < cols; j++)
        sum += top - (double)z[j];
    return sum;
}

/* Sum of exp(z_j - top), which dz keeps; dz may be z. */
static double cross_entropy_sum(size_t cols, const float *z, double top, float *dz)
{
    double sum = 0, e[CROSS_ENTROPY_CHUNK];
    for (size_t j = 0; j < cols; j += CROSS_ENTROPY_CHUNK) {
        const size_t n = cols - j < CROSS_ENTROPY_CHUNK ? cols - j : CROSS_ENTROPY_CHUNK;
        ds_exponential(n, z + j, top, e);
        for (size_t k = 0; k < n; k++)
            sum += e[k];
        for (size_t k = 0; dz && k < n; k++)
            dz[j + k] = (float)e[k];
    }
    return sum;
}

/* Loss of one row; dz may be z, so z is read first and each chunk before it is written. */
static double cross_entropy_row(double smoothing, size_t cols, const float *z, int32_t label,
                                float *dz)
{
    const double top = (double)cross_entropy_top(cols, z), mine = (double)z[label];
    const double even = smoothing / (double)cols;
    double below = (1 - smoothing) * (top - mine);
    if (smoothing > 0)
        below += even * cross_entropy_below(cols, z, top);
    const double sum = cross_entropy_sum(cols, z, top, dz);
    if (dz) {
        cross_entropy_scale(cols, (float)(1 / sum), (float)even, dz);
        dz[label] -= (float)(1 - smoothing);
    }
    return ds_log(sum) + below;
}

DS_SIMD static void cross_entropy_scale_classes(size_t cols, float factor, float even,
                                                const float *weight, float *p)
{
    DS_IVDEP
    for (size_t j = 0; j < cols; j++)
        p[j] = p[j] * factor - even * weight[j];
}

/* The same where class j counts weight_j: (1 - s) w_y (log S + m - z_y) + s mean_j w_j (log S + m -
 * z_j), as torch's with `weight` before its division by the sum of w_y. */
static double cross_entropy_weighted(double smoothing, size_t cols, const float *z,
                                     const float *weight, int32_t label, float *dz)
{
    const double top = (double)cross_entropy_top(cols, z), even = smoothing / (double)cols;
    const double mine = (1 - smoothing) * (double)weight[label];
    double below = mine * (top - (double)z[label]), spread = 0;
    for (size_t j = 0; smoothing > 0 && j < cols; j++) {
        spread += even * (double)weight[j];
        below += even * (double)weight[j] * (top - (double)z[j]);
    }
    const double sum = cross_entropy_sum(cols, z, top, dz);
    if (dz) {
        cross_entropy_scale_classes(cols, (float)((mine + spread) / sum), (float)even, weight, dz);
        dz[label] -= (float)mine;
    }
    return (mine + spread) * ds_log(sum) + below;
}

static void cross_entropy_value(const void *options, size_t n, size_t cols, const float *z,
                                size_t stride, const ds_targets *targets, double *sum, float *dz)
{
    const double smoothing = ((const cross_entropy_options *)options)->label_smoothing;
    double total = 0;
    for (size_t i = 0; i < n; i++, z += stride) {
        float *d = dz ? dz + i * stride : NULL;
        if (targets->weight != NULL)
            total +=
                cross_entropy_weighted(smoothing, cols, z, targets->weight, targets->label[i], d);
        else
            total += cross_entropy_row(smoothing, cols, z, targets->label[i], d);
    }
    *sum = total;
}

extern const ds_loss_ops ds_loss_cross_entropy;
const ds_loss_ops ds_loss_cross_entropy = {
    .name = "cross_entropy",
    .help = "cross entropy of logits against a class",
    .options = cross_entropy_table,
    .options_size = sizeof(cross_entropy_options),
    .target = DS_TARGET_CLASS,
    .value = cross_entropy_value,
};
