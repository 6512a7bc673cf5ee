/* The spike guard: a step whose loss or gradient norm stands out from those of the window before it
 * by more than z standard deviations is not taken (z-scores over 128 steps, as llm.c has them). It
 * enters the window all the same: what lasts is accepted after a few steps, since its own deviation
 * grows with each. Cost: two readings of the window a step. */
#include <math.h>
#include <string.h>

#include "trainer_parts.h"

ds_status spike_create(ds_trainer *self)
{
    const ds_train_config *train = &self->config->train;
    if (self->inference || train->spike_z <= 0)
        return DS_OK;
    DS_CHECK(self->config->optimizer->reach != DS_REACH_MODEL, DS_ERR_USAGE,
             "train.spike: optimizer %s judges its steps itself: leave spike out",
             self->config->optimizer->name);
    size_t window = (size_t)train->spike_window;
    DS_TRY(
        ds_arena_take(self->arena, window, sizeof(double), "the spike guard", &self->spike.loss));
    return ds_arena_take(self->arena, window, sizeof(double), "the spike guard", &self->spike.norm);
}

/* How many deviations x lies above the mean of the series; a series that hardly moves counts as one
 * with a deviation of a millionth of its mean. */
static double spike_score(size_t n, const double *series, double x)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += series[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (series[i] - mean) * (series[i] - mean);
    double deviation = sqrt(squares / (double)n), least = 1e-6 * fabs(mean);
    deviation = deviation > least ? deviation : least;
    if (deviation > 0)
        return (x - mean) / deviation;
    return x > mean ? (double)INFINITY : 0;
}

static void spike_add(size_t n, size_t window, double *series, double x)
{
    if (n == window)
        memmove(series, series + 1, (n - 1) * sizeof *series);
    series[n < window ? n : n - 1] = x;
}

bool spike_veto(void *context, double loss, double grad_norm)
{
    ds_trainer *t = context;
    spike_guard *self = &t->spike;
    const size_t window = (size_t)t->config->train.spike_window;
    const double z = t->config->train.spike_z;
    self->verdict = (ds_spike_facts){.loss = loss, .grad_norm = grad_norm};
    if (self->n == window) {
        self->verdict.z_loss = spike_score(self->n, self->loss, loss);
        self->verdict.z_norm = spike_score(self->n, self->norm, grad_norm);
    }
    spike_add(self->n, window, self->loss, loss);
    spike_add(self->n, window, self->norm, grad_norm);
    self->n += self->n < window;
    bool out = self->verdict.z_loss > z || self->verdict.z_norm > z;
    self->skipped += out;
    return out;
}
