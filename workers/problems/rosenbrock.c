/* Rosenbrock's function (The Computer Journal 3, 1960), chained over n numbers:
 * sum of steepness (w_{i+1} - w_i^2)^2 + (1 - w_i)^2. A bent valley; 0 at (1, ..., 1). */
#include <math.h>
#include <stddef.h>

#include "descent/problem.h"

typedef struct rosenbrock_options {
    double steepness;
} rosenbrock_options;

static const ds_option rosenbrock_table[] = {
    {.name = "steepness",
     .type = DS_OPTION_REAL,
     .offset = offsetof(rosenbrock_options, steepness),
     .fallback = "100",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "of the valley's walls"},
    {0},
};

static double rosenbrock_point(const void *options, size_t n, const double *w, double *g)
{
    const double b = ((const rosenbrock_options *)options)->steepness;
    double sum = 0;
    for (size_t i = 0; i < n && g != NULL; i++)
        g[i] = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        const double wall = w[i + 1] - w[i] * w[i], floor = 1 - w[i];
        sum += b * wall * wall + floor * floor;
        if (g == NULL)
            continue;
        g[i] += -4 * b * wall * w[i] - 2 * floor;
        g[i + 1] += 2 * b * wall;
    }
    return sum;
}

extern const ds_problem_ops ds_problem_rosenbrock;
const ds_problem_ops ds_problem_rosenbrock = {
    .name = "rosenbrock",
    .help = "100 (b - w^2)^2 + (1 - w)^2, a bent valley, in any dimension: 0 at (1, ..., 1)",
    .options = rosenbrock_table,
    .options_size = sizeof(rosenbrock_options),
    .point = rosenbrock_point,
    .least_dims = 2,
    .many_dims = true,
    .start = {-1.2, 1},
};
