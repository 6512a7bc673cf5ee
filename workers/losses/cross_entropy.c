/* Cross entropy of logits against a class (torch.nn.CrossEntropyLoss): with m = max z and
 * S = sum_j exp(z_j - m), a sample's loss is log S + m - z_y, its gradient exp(z_j - m) / S - [j =
 * y]. Exponentials and sums are in double, so no size of z overflows; a row that holds a NaN or an
 * infinity gives NaN. Cost: three passes over a row, one exponential an element. */
#include <math.h>
#include <string.h>

#include "descent/loss.h"
#include "descent/simd.h"

typedef struct cross_entropy_options {
    char none;
} cross_entropy_options;

static const ds_option cross_entropy_table[] = {{0}};

enum { CROSS_ENTROPY_CHUNK = 64, CROSS_ENTROPY_LANES = 16 };

/* e (n) = exp(z - top), z <= top; below -708 as at -708, which is 0 in float. exp x = 2^k exp r,
 * |r| <= log(2) / 2, by Taylor's series to r^13 / 13! (relative error 2e-16); ln 2 in two parts,
 * the first with zeros at its end so that k times it is exact. */
DS_SIMD static void cross_entropy_exp(size_t n, const float *restrict z, double top,
                                      double *restrict e)
{
    const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    const double round = 0x1.8p52, log2e = 0x1.71547652b82fep0;
    for (size_t j = 0; j < n; j++) {
        double x = (double)z[j] - top;
        x = x < -708.0 ? -708.0 : x;
        const double shifted = x * log2e + round, k = shifted - round;
        const double r = (x - k * ln2_high) - k * ln2_low;
        double p = 1.0 / 6227020800;
        p = p * r + 1.0 / 479001600;
        p = p * r + 1.0 / 39916800;
        p = p * r + 1.0 / 3628800;
        p = p * r + 1.0 / 362880;
        p = p * r + 1.0 / 40320;
        p = p * r + 1.0 / 5040;
        p = p * r + 1.0 / 720;
        p = p * r + 1.0 / 120;
        p = p * r + 1.0 / 24;
        p = p * r + 1.0 / 6;
        p = p * r + 0.5;
        p = p * r + 1;
        p = p * r + 1;
        /* The low bits of `shifted` are the integer k; 2^k has k + 1023 as exponent. */
        uint64_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        bits = (bits + 1023) << 52;
        double power;
        memcpy(&power, &bits, sizeof power);
        e[j] = p * power;
    }
}

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

DS_SIMD static void cross_entropy_scale(size_t cols, float factor, float *p)
{
    for (size_t j = 0; j < cols; j++)
        p[j] *= factor;
}

/* Loss of one row; dz may be z, so z_y is read first and each chunk before it is written. */
static double cross_entropy_row(size_t cols, const float *z, int32_t label, float *dz)
{
    const double top = (double)cross_entropy_top(cols, z), mine = (double)z[label];
    double sum = 0, e[CROSS_ENTROPY_CHUNK];
    for (size_t j = 0; j < cols; j += CROSS_ENTROPY_CHUNK) {
        const size_t n = cols - j < CROSS_ENTROPY_CHUNK ? cols - j : CROSS_ENTROPY_CHUNK;
        cross_entropy_exp(n, z + j, top, e);
        for (size_t k = 0; k < n; k++)
            sum += e[k];
        for (size_t k = 0; dz && k < n; k++)
            dz[j + k] = (float)e[k];
    }
    if (dz) {
        cross_entropy_scale(cols, (float)(1 / sum), dz);
        dz[label] -= 1;
    }
    return log(sum) + (top - mine);
}

static void cross_entropy_value(const void *options, size_t n, size_t cols, const float *z,
                                size_t stride, const ds_targets *targets, double *sum, float *dz)
{
    (void)options;
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total +=
            cross_entropy_row(cols, z + i * stride, targets->label[i], dz ? dz + i * stride : NULL);
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
