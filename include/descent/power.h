/* Whole powers, logarithms and cosines without libm, whose last bit depends on version and CPU. */
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

/* Local. cos(2 pi t), |t| < 2^50, within 4e-16: by Taylor's series to the 22nd power over a quarter
 * of a turn. */
static inline double ds_cos_turns(double t)
{
    static const double term[] = {-8.896791392450574e-22,
                                  4.110317623312165e-19,
                                  -1.5619206968586225e-16,
                                  4.779477332387385e-14,
                                  -1.1470745597729725e-11,
                                  2.08767569878681e-09,
                                  -2.755731922398589e-07,
                                  2.48015873015873e-05,
                                  -0.001388888888888889,
                                  0.041666666666666664,
                                  -0.5,
                                  1.0};
    t = t < 0 ? -t : t;
    t -= (double)(int64_t)t;
    t = t > 0.5 ? 1 - t : t;
    double y = 6.283185307179586477 * (t > 0.25 ? 0.5 - t : t), square = y * y, sum = term[0];
    for (int i = 1; i < 12; i++)
        sum = sum * square + term[i];
    return t > 0.25 ? -sum : sum;
}

/* Local. sin(2 pi t), likewise. */
static inline double ds_sin_turns(double t)
{
    return ds_cos_turns(t - 0.25);
}

/* Local. ln(1 + x), x >= 0: what 1 + x rounds off is put back. */
static inline double ds_log1p(double x)
{
    double y = 1 + x;
    return ds_log(y) + (x - (y - 1)) / y;
}

#endif
