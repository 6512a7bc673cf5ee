/* The slope at 0 of a function that is known with noise, by differences of it. */
#ifndef DS_SLOPE_H
#define DS_SLOPE_H

#include "descent/status.h"

/* The function: its value at t. */
typedef struct ds_curve {
    ds_status (*at)(void *context, double t, double *out);
    void *context;
} ds_curve;

typedef struct ds_slope {
    double value;
    double doubt; /* |value - slope| is rarely more than 2 of it; INFINITY: nothing is known */
} ds_slope;

/* Mean square of the noise of the curve's values near 0, from its values at 9 points so near that
 * they lie on a cubic but for the noise (More and Wild, "Estimating computational noise", SIAM J.
 * Sci. Comput. 33, 2011). One turn is rough and may miss rounding that repeats: take the mean of
 * turns 0, 1, 2, ... Passes errors of the function. */
ds_status ds_slope_noise(const ds_curve *curve, int turn, double *square) DS_NODISCARD;
/* The slope from central differences at steps 1, 1/2, 1/4, ... (from 16 where noise hides it), for
 * a curve with this much noise, its standard deviation. Passes errors of the function. */
ds_status ds_slope_find(const ds_curve *curve, double noise, ds_slope *out) DS_NODISCARD;

#endif
