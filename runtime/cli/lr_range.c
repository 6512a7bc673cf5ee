/* The range test (Smith, Cyclical learning rates, WACV 2017): the rate grows by the same factor at
 * each step. The loss is smoothed as an exponential mean with its bias taken out, m_i / (1 - b^i).
 * The first tenth counts for no steepest point: its mean is of few losses. */
#include "lr_range.h"

#include <math.h>

static double lr_range_best(const lr_range *self, size_t n)
{
    double best = (double)INFINITY;
    for (size_t i = 0; i < n; i++)
        best = fmin(best, self->smoothed[i]);
    return best;
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
    if (isfinite(self->smoothed[i]) && (i == 0 || self->smoothed[i] <= 4 * lr_range_best(self, i)))
        return true;
    self->diverged = (long)i;
    return false;
}

void lr_range_judge(lr_range *self)
{
    size_t n = self->diverged == LR_RANGE_NONE ? self->n : (size_t)self->diverged;
    self->minimum = self->steepest = LR_RANGE_NONE;
    for (size_t i = 0; i < n; i++)
        if (self->minimum == LR_RANGE_NONE || self->smoothed[i] < self->smoothed[self->minimum])
            self->minimum = (long)i;
    double steepest = 0;
    for (size_t i = 1 + n / 10; i + 1 < n && (long)i < self->minimum; i++) {
        double slope = self->smoothed[i + 1] - self->smoothed[i - 1];
        if (slope < steepest) {
            steepest = slope;
            self->steepest = (long)i;
        }
    }
}
