/* Whole powers without libm. */
#ifndef DS_POWER_H
#define DS_POWER_H

#include <stdint.h>

/* Local. x^n, n >= 0, by squaring: the same bits with any libm on any CPU. */
static inline double ds_power(double x, int64_t n)
{
    double y = 1;
    for (; n > 0; n /= 2, x *= x)
        if (n % 2)
            y *= x;
    return y;
}

#endif
