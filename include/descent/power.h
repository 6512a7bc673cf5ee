/* Whole powers and logarithms without libm, whose last bit depends on version and CPU. */
#ifndef DS_POWER_H
#define DS_POWER_H

#include <stdint.h>
#include <string.h>

/* Local. x^n, n >= 0, by squaring: the same bits with any libm on any CPU. */
static inline double ds_power(double x, int64_t n)
{
    double y = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2)
            y *= x;
    return y;
}

/* Local. ln x for x > 0, within 4e-16 of it or of its size: x = 2^e m, m in [1/sqrt(2), sqrt(2)),
 * ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| <= 0.172, by its series to s^23. Infinity and NaN
 * stay. */
static inline double ds_log(double x)
{
    if (!(x - x == 0) || x <= 0)
        return x > 0 ? x : x == 0 ? -1 / x : x - x;
    int64_t bits, e = 0;
    if (x < 0x1p-1022)
        x *= 0x1p64, e = -64;
    memcpy(&bits, &x, sizeof bits);
    e += (bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | (INT64_C(1023) << 52);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951)
        m /= 2, e++;
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int k = 23; k > 1; k -= 2)
        sum = (sum + 1.0 / k) * square;
    /* ln 2 in two parts: the first times e is exact */
    double high = (double)e * 0x1.62e42fefap-1, low = (double)e * 0x1.cf79abc9e3b4p-40;
    return high + (2 * s + (2 * s * sum + low));
}

/* Local. ln(1 + x), x >= 0: what 1 + x rounds off is put back. */
static inline double ds_log1p(double x)
{
    double y = 1 + x;
    return ds_log(y) + (x - (y - 1)) / y;
}

#endif
