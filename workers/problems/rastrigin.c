/* Rastrigin's function (1974): sum of w_i^2 + depth (1 - cos 2 pi w_i). A bowl full of holes, one
 * near each point of whole numbers; 0 at the origin. */
#include <math.h>
#include <stddef.h>

#include "descent/problem.h"

typedef struct rastrigin_options {
    double depth;
} rastrigin_options;

static const ds_option rastrigin_table[] = {
    {.name = "depth",
     .type = DS_OPTION_REAL,
     .offset = offsetof(rastrigin_options, depth),
     .fallback = "10",
     .max = HUGE_VAL,
     .help = "of the holes"},
    {0},
};

/* cos and sin of 2 pi x by their Taylor series about the nearest whole number, |2 pi r| <= pi:
 * libm's last bit depends on the CPU. */
static void rastrigin_wave(double x, double *cosine, double *sine)
{
    const double r = x - floor(x + 0.5), y = 6.283185307179586477 * r, square = y * y;
    double c = 1, s = 1;
    for (int k = 28; k > 0; k -= 2) {
        c = 1 - c * (square / (double)(k * (k - 1)));
        s = 1 - s * (square / (double)(k * (k + 1)));
    }
    *cosine = c;
    *sine = s * y;
}

static double rastrigin_point(const void *options, size_t n, const double *w, double *g)
{
    const double depth = ((const rastrigin_options *)options)->depth;
    double sum = 0, c = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        rastrigin_wave(w[i], &c, &s);
        sum += w[i] * w[i] + depth * (1 - c);
        if (g != NULL)
            g[i] = 2 * w[i] + 6.283185307179586477 * depth * s;
    }
    return sum;
}

extern const ds_problem_ops ds_problem_rastrigin;
const ds_problem_ops ds_problem_rastrigin = {
    .name = "rastrigin",
    .help = "sum of w_i^2 + 10 (1 - cos 2 pi w_i), in any dimension: many minima, 0 at the origin",
    .options = rastrigin_table,
    .options_size = sizeof(rastrigin_options),
    .point = rastrigin_point,
    .least_dims = 1,
    .many_dims = true,
    .start = {2.3, -1.7},
};
