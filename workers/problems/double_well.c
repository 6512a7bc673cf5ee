/* A double well: (w^2 - 1)^2 + tilt w + sum of the other parameters' squares. Minima near w = -1
 * and w = 1, equal without tilt; between them a saddle. */
#include <math.h>
#include <stddef.h>

#include "descent/problem.h"

typedef struct double_well_options {
    double tilt;
} double_well_options;

static const ds_option double_well_table[] = {
    {.name = "tilt",
     .type = DS_OPTION_REAL,
     .offset = offsetof(double_well_options, tilt),
     .fallback = "0",
     .min = -HUGE_VAL,
     .max = HUGE_VAL,
     .help = "makes one well deeper than the other"},
    {0},
};

static double double_well_point(const void *options, size_t n, const double *w, double *g)
{
    const double tilt = ((const double_well_options *)options)->tilt, d = w[0] * w[0] - 1;
    double sum = d * d + tilt * w[0];
    if (g != NULL)
        g[0] = 4 * d * w[0] + tilt;
    for (size_t i = 1; i < n; i++) {
        sum += w[i] * w[i];
        if (g != NULL)
            g[i] = 2 * w[i];
    }
    return sum;
}

extern const ds_problem_ops ds_problem_double_well;
const ds_problem_ops ds_problem_double_well = {
    .name = "double_well",
    .help = "(w^2 - 1)^2 + b^2: two minima, at (-1, 0) and (1, 0)",
    .options = double_well_table,
    .options_size = sizeof(double_well_options),
    .point = double_well_point,
    .least_dims = 1,
    .start = {0.1, 1.5},
};
