/* The range test (Smith, Cyclical learning rates, WACV 2017): the rate grows by the same factor at
 * each step. The loss is smoothed as an exponential mean with its bias taken out, m_i / (1 - b^i).
 * The first tenth counts for no point: its mean is of few losses. A sweep that learns nothing has
 * falls by chance: noise is told by the losses' successive differences (von Neumann et al., Ann.
 * Math. Statist. 12, 1941), which a trend hardly moves. */
#include "lr_range.h"

#include <math.h>

static const double LR_RANGE_SURE = 4, LR_RANGE_FLOAT = 1e-6;

static double lr_range_best(const lr_range *self, size_t n)
{
    double best = (double)INFINITY;
    for (size_t i = 0; i < n; i++)
        best = fmin(best, self->smoothed[i]);
    return best;
}

/* Three times its size above the best loss. */
static double lr_range_bound(double best)
{
    return best > 0 ? 4 * best : -2 * best;
}

bool lr_range_add(lr_range *self)
{
    size_t i = self->n - 1;
    double b = self->smooth, mean = 0, past = 1;
    if (i > 0) { /* the mean before its bias was taken out */
        past = pow(b, (double)i);
        mean = self->smoothed[i - 1] * (1 - past);
    }
    self->smoothed[i] = (b * mean + (1 - b) * self->loss[i]) / (1 - past * b);
    if (isfinite(self->smoothed[i]) &&
        (i == 0 || self->smoothed[i] <= lr_range_bound(lr_range_best(self, i))))
        return true;
    self->diverged = (long)i;
    return false;
}

/* fall and noise, of a minimum at step m > 0. The smoothed minimum has a variance of `mean` times a
 * loss's, the mean before it of 1 / half. */
static void lr_range_fall(lr_range *self, size_t m)
{
    const size_t half = (m + 1) / 2;
    const double b = self->smooth, past = pow(b, (double)m + 1);
    double before = 0, squares = 0;
    for (size_t i = 0; i < half; i++)
        before += self->loss[i] / (double)half;
    for (size_t i = 0; i < m; i++)
        squares += (self->loss[i + 1] - self->loss[i]) * (self->loss[i + 1] - self->loss[i]);
    const double variance = squares / (2 * (double)m);
    const double mean = (1 - b) / (1 + b) * (1 + past) / (1 - past);
    self->fall = before - self->smoothed[m];
    self->noise = sqrt(variance * (mean + 1 / (double)half));
}

/* A loss that halves has fallen: of a fast fall few steps tell, and they look like noise. */
static bool lr_range_falls(const lr_range *self)
{
    const double least = self->smoothed[self->minimum], size = fabs(least) + fabs(self->fall);
    bool halves = least > 0 && self->fall > least;
    return (halves || self->fall > LR_RANGE_SURE * self->noise) &&
           self->fall > LR_RANGE_FLOAT * size;
}

void lr_range_judge(lr_range *self)
{
    size_t n = self->diverged == LR_RANGE_NONE ? self->n : (size_t)self->diverged;
    self->minimum = self->steepest = LR_RANGE_NONE;
    for (size_t i = n / 10; i < n; i++)
        if (self->minimum == LR_RANGE_NONE || self->smoothed[i] < self->smoothed[self->minimum])
            self->minimum = (long)i;
    double steepest = 0;
    self->fall = self->noise = 0;
    if (self->minimum > 0)
        lr_range_fall(self, (size_t)self->minimum);
    if (self->minimum <= 0 || !lr_range_falls(self))
        return;
    for (size_t i = 1 + n / 10; i + 1 < n && (long)i < self->minimum; i++) {
        double slope = self->smoothed[i + 1] - self->smoothed[i - 1];
        if (slope < steepest) {
            steepest = slope;
            self->steepest = (long)i;
        }
    }
}
