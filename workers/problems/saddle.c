/* A saddle: w^2 - b^2 + quartic b^4. Without the last term it falls without end; with it the minima
 * are -1/(4 quartic) at (0, +-1/sqrt(2 quartic)). On the ridge b = 0 there is no slope to leave it
 * by. */
#include <math.h>
#include <stddef.h>

#include "descent/problem.h"

typedef struct saddle_options {
    double quartic;
} saddle_options;

static const ds_option saddle_table[] = {
    {.name = "quartic",
     .type = DS_OPTION_REAL,
     .offset = offsetof(saddle_options, quartic),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "of b^4: above 0 there are two minima, else it falls without end"},
    {0},
};

static double saddle_point(const void *options, size_t n, const double *w, double *g)
{
    (void)n;
    const double q = ((const saddle_options *)options)->quartic, b2 = w[1] * w[1];
    if (g != NULL) {
        g[0] = 2 * w[0];
        g[1] = (4 * q * b2 - 2) * w[1];
    }
    return w[0] * w[0] - b2 + q * b2 * b2;
}

extern const ds_problem_ops ds_problem_saddle;
const ds_problem_ops ds_problem_saddle = {
    .name = "saddle",
    .help = "w^2 - b^2: no slope along its ridge b = 0",
    .options = saddle_table,
    .options_size = sizeof(saddle_options),
    .point = saddle_point,
    .least_dims = 2,
    .fixed_dims = true,
    .start = {1, 0.01},
};
