/* Central differences, extrapolated to step zero (C. Ridders, "Accurate computation of F'(x) and
 * F'(x) F''(x)", Adv. Eng. Software 4, 1982), over as many halvings of the step as the noise
 * allows. How far a curve must be approached until its series converges is not known beforehand
 * (behind a normalisation of a small vector 1/100 of the first step may be too far), and
 * differences that do not settle there look like those that noise unsettles: so the noise is
 * measured first, and it alone ends the ladder. 2 values a rung. */
#include "slope.h"

#include <math.h>
#include <stdbool.h>

enum { SLOPE_RUNGS = 16, SLOPE_POINTS = 9 };
static const double SLOPE_NEAR = 0x1p-13; /* 1 to 2 of it lie between points that measure noise */
static const double SLOPE_SURE = 1e-6;    /* relative doubt that ends the ladder: far below 1e-3 */
static const double SLOPE_GOOD = 1e-4;    /* relative doubt beyond which a straight curve gets */
static const double SLOPE_MISSED = 32;    /* times the noise measured: at most what it may be */
static const double SLOPE_WIDE = 16;      /* steps from this one down */

/* One rung of the tableau: a difference and what extrapolates it, the entry that agrees best with
 * its neighbours. */
typedef struct slope_rung {
    double entry[SLOPE_RUNGS]; /* [0]: the central difference; [j]: without e^2, ..., e^2j */
    double value, doubt;
    double floor; /* least doubt: what the noise makes of an entry */
    double move;  /* from the difference of the rung before */
    bool wild;    /* small, but it does not settle */
} slope_rung;

/* k-th differences of noise have its variance times the binomial (2k, k). The largest of orders 4
 * to 6 counts: those below see the curve. A coarse grid (one element's rounding) may meet equal
 * steps in a straight line, which no difference shows: golden-ratio steps meet it elsewhere each
 * turn. */
ds_status ds_slope_noise(const ds_curve *curve, int turn, double *square)
{
    double f[SLOPE_POINTS], gain = 1,
                            step = SLOPE_NEAR * (1 + fmod(0.6180339887498949 * (turn + 1), 1));
    *square = 0;
    for (int i = 0; i < SLOPE_POINTS; i++)
        DS_TRY(curve->at(curve->context, (i - SLOPE_POINTS / 2) * step, &f[i]));
    for (int k = 1; k <= 6; k++) {
        double sum = 0;
        gain *= 2.0 * (2 * k - 1) / k;
        for (int i = 0; i + k < SLOPE_POINTS; i++) {
            f[i] = f[i + 1] - f[i];
            sum += f[i] * f[i];
        }
        if (k > 3)
            *square = fmax(*square, sum / (SLOPE_POINTS - k) / gain);
    }
    return DS_OK;
}

/* Neville's rule in e^2 for rung i > 0. */
static void slope_extrapolate(slope_rung *rung, int i)
{
    slope_rung *r = &rung[i], *before = &rung[i - 1];
    double power = 4;
    for (int j = 1; j <= i; j++, power *= 4) {
        r->entry[j] = (r->entry[j - 1] * power - before->entry[j - 1]) / (power - 1);
        double off =
            fmax(fabs(r->entry[j] - r->entry[j - 1]), fabs(r->entry[j] - before->entry[j - 1]));
        if (off <= r->doubt)
            r->doubt = off, r->value = r->entry[j];
    }
}

/* Rung i's doubt. Two entries far from the limit may meet by chance: they must agree with the rung
 * before too, and where differences do not at least halve with the step no series converges yet.
 * Each rung lies nearer to the limit than those before, save for noise: what it contradicts by more
 * met by chance. */
static void slope_judge(slope_rung *rung, int i)
{
    slope_rung *r = &rung[i], *before = &rung[i - 1];
    r->doubt = fmax(fmax(r->doubt, r->floor), fabs(r->value - before->value));
    if (r->move > r->floor && r->move > before->move / 2)
        r->doubt = fmax(r->doubt, r->move);
    for (int j = 2; j < i; j++)
        rung[j].doubt = fmax(rung[j].doubt, fabs(r->value - rung[j].value) - r->floor);
}

/* The measure misses noise that looks straight nearby, as one element's rounding may: small
 * differences that twice do not settle are noise, on all rungs. Returns it as it stands then. */
static double slope_unsettled(slope_rung *rung, int i, double noise)
{
    slope_rung *r = &rung[i];
    r->wild = i > 1 && r->move > r->floor && r->move > rung[i - 1].move / 2 &&
              r->move < SLOPE_MISSED * r->floor;
    if (!r->wild || !rung[i - 1].wild)
        return noise;
    double more = r->move / r->floor;
    for (int j = 0; j <= i; j++) {
        rung[j].floor *= more;
        rung[j].doubt = fmax(rung[j].doubt, rung[j].floor);
    }
    return noise * more;
}

/* Of rungs that a later one of n has confirmed. */
static int slope_best(const slope_rung *rung, int n)
{
    int best = 2;
    for (int i = 3; i < n - 1; i++)
        if (rung[i].doubt <= rung[best].doubt)
            best = i;
    return best;
}

static ds_status slope_difference(const ds_curve *curve, double e, double *out)
{
    double up, down;
    DS_TRY(curve->at(curve->context, e, &up));
    DS_TRY(curve->at(curve->context, -e, &down));
    *out = (up - down) / (2 * e);
    return DS_OK;
}

/* From step `first` down, until noise or agreement ends it. Straight: noise would have hidden the
 * curve soon after the first steps. */
static ds_status slope_ladder(const ds_curve *curve, double noise, double first, ds_slope *out,
                              bool *straight)
{
    slope_rung rung[SLOPE_RUNGS];
    double e = first;
    int best = 2;
    for (int n = 0; n < SLOPE_RUNGS; n++, e /= 2) {
        slope_rung *r = &rung[n];
        DS_TRY(slope_difference(curve, e, &r->entry[0]));
        r->value = r->entry[0], r->doubt = (double)INFINITY;
        r->floor = 2 * noise / e, r->move = 0, r->wild = false;
        if (n == 0)
            continue;
        r->move = fabs(r->entry[0] - rung[n - 1].entry[0]);
        slope_extrapolate(rung, n);
        noise = slope_unsettled(rung, n, noise);
        slope_judge(rung, n);
        best = slope_best(rung, n + 1);
        if (n > 2 && rung[best].doubt <= fmax(r->floor, SLOPE_SURE * fabs(rung[best].value)))
            break;
    }
    bool told = rung[best].doubt < (double)INFINITY; /* not: the function overflows all along */
    *out = (ds_slope){told ? rung[best].value : 0, rung[best].doubt};
    *straight = rung[2].move <= 8 * rung[2].floor;
    return DS_OK;
}

ds_status ds_slope_find(const ds_curve *curve, double noise, ds_slope *out)
{
    bool straight = false;
    ds_slope wide = {0, 0};
    DS_TRY(slope_ladder(curve, noise, 1, out, &straight));
    if (!straight || out->doubt <= SLOPE_GOOD * fabs(out->value))
        return DS_OK;
    DS_TRY(slope_ladder(curve, noise, SLOPE_WIDE, &wide, &straight));
    if (wide.doubt < out->doubt && fabs(wide.value - out->value) <= 2 * (wide.doubt + out->doubt))
        *out = wide;
    return DS_OK;
}
