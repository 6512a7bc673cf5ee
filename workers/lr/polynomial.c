/* Down to `min` as a power of what is left of the run (torch.optim.lr_scheduler.PolynomialLR with
 * total_iters = total, where min is 0): min + (base - min) (1 - t / total)^power. */
#include <math.h>
#include <stddef.h>

#include "descent/lr.h"
#include "descent/power.h"

typedef struct polynomial_options {
    double power, min;
} polynomial_options;

static const ds_option polynomial_table[] = {
    {.name = "power",
     .type = DS_OPTION_REAL,
     .offset = offsetof(polynomial_options, power),
     .fallback = "1",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "1 is a straight line, 2 a parabola"},
    {.name = "min",
     .type = DS_OPTION_REAL,
     .offset = offsetof(polynomial_options, min),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "the rate it ends at"},
    {0},
};

/* x^p, x in [0, 1]: the fraction of p by square roots, bit by bit. pow's last bit depends on the
 * CPU, and every rank finds the rate by itself. */
static double polynomial_power(double x, double p)
{
    const int64_t whole = p < 1e18 ? (int64_t)p : INT64_MAX;
    double y = ds_power(x, whole);
    for (double rest = 2 * (p - floor(p)); rest > 0 && y > 0; rest *= 2) {
        x = sqrt(x);
        if (rest >= 1) {
            y *= x;
            rest -= 1;
        }
    }
    return y;
}

static double polynomial_rate(const void *options, double base, int64_t t, int64_t total)
{
    const polynomial_options *o = options;
    const double left = t < total ? 1 - (double)t / (double)total : 0;
    return o->min + (base - o->min) * polynomial_power(left, o->power);
}

extern const ds_lr_ops ds_lr_polynomial;
const ds_lr_ops ds_lr_polynomial = {
    .name = "polynomial",
    .help = "down to min as a power of what is left of the run",
    .options = polynomial_table,
    .options_size = sizeof(polynomial_options),
    .rate = polynomial_rate,
    .needs_total = true,
};
