/* A plateau: s / (1 + s) with s the sum of squares (the loss of Geman and McClure, 1987). Far out
 * it is flat, near 1: small steps get nowhere; 0 at the origin. */
#include "descent/problem.h"

typedef struct far_plateau_options {
    char none;
} far_plateau_options;

static const ds_option far_plateau_table[] = {{0}};

static double far_plateau_point(const void *options, size_t n, const double *w, double *g)
{
    (void)options;
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += w[i] * w[i];
    for (size_t i = 0; i < n && g != NULL; i++)
        g[i] = 2 * w[i] / ((1 + s) * (1 + s));
    return s / (1 + s);
}

extern const ds_problem_ops ds_problem_far_plateau;
const ds_problem_ops ds_problem_far_plateau = {
    .name = "plateau",
    .help = "s / (1 + s), s = w^2 + b^2: flat far out, 0 at the origin",
    .options = far_plateau_table,
    .options_size = sizeof(far_plateau_options),
    .point = far_plateau_point,
    .least_dims = 1,
    .start = {3, 2},
};
