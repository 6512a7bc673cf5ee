/* exp by Taylor's series after the argument has been cut to |r| <= log(2) / 2: exp x = 2^k exp r,
 * to r^13 / 13! (relative error 2e-16); ln 2 in two parts, the first with zeros at its end so that
 * k times it is exact. */
#include "logits.h"

#include <stdint.h>
#include <string.h>

#include "descent/simd.h"

DS_SIMD static void logits_exponential(size_t n, const float *restrict z, double top,
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

void ds_exponential(size_t n, const float *restrict z, double top, double *restrict e)
{
    logits_exponential(n, z, top, e);
}
