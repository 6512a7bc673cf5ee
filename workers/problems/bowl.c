/* The quadratic bowl: sum of c_i w_i^2, c growing evenly from 1 to `steepness`; in two dimensions
 * w^2 + 4 b^2. Its minimum is 0 at the origin; gradient descent diverges above rate 1 / steepness.
 */
#include <math.h>
#include <stddef.h>

#include "descent/problem.h"

typedef struct bowl_options {
    double steepness;
} bowl_options;

static const ds_option bowl_table[] = {
    {.name = "steepness",
     .type = DS_OPTION_REAL,
     .offset = offsetof(bowl_options, steepness),
     .fallback = "4",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "of the last parameter, the first's being 1"},
    {0},
};

static double bowl_point(const void *options, size_t n, const double *w, double *g)
{
    const bowl_options *o = options;
    double sum = 0, last = n > 1 ? (double)(n - 1) : 1;
    for (size_t i = 0; i < n; i++) {
        const double c = 1 + (o->steepness - 1) * ((double)i / last);
        sum += c * w[i] * w[i];
        if (g != NULL)
            g[i] = 2 * c * w[i];
    }
    return sum;
}

extern const ds_problem_ops ds_problem_bowl;
const ds_problem_ops ds_problem_bowl = {
    .name = "bowl",
    .help = "w^2 + 4 b^2, the quadratic bowl: 0 at the origin",
    .options = bowl_table,
    .options_size = sizeof(bowl_options),
    .point = bowl_point,
    .least_dims = 1,
    .start = {4, 2},
};
