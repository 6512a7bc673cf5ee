/* Signs that training goes wrong, judged on lines of metrics and evaluations. Each cause is said
 * once to people by each process and comes again in metrics.jsonl at most every 50 lines. Its
 * thresholds:
 *  exploding    gradient norm above 100 times the median of the last 64 lines and above all of the
 *               first 16: clipping is set at half to ten times the mean norm (Pascanu, Mikolov and
 *               Bengio, ICML 2013, section 3.2); this is ten times the largest of these.
 *  vanishing    a layer's norm below 1e-4 of the last layer's in 10 lines in a row: what six layers
 *               of sigmoids, slope 1/4 at most, leave of it (Glorot and Bengio, AISTATS 2010).
 *  dead         more than half of the units behind a layer zero for the whole batch, of at least 32
 *               samples, in 10 lines in a row: half of a layer is lost (Lu et al. 2019).
 *  overfitting  in 3 evaluations in a row the loss rose while the training loss fell (Prechelt's
 *               UP_3, 1998), to at least 2 % above its best. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trainer_parts.h"

enum { ALARM_EXPLODING, ALARM_VANISHING, ALARM_DEAD, ALARM_OVERFITTING };
enum { ALARMS_EARLY = 16, ALARMS_LINES = 10, ALARMS_RISES = 3, ALARMS_QUIET = 50 };
static const double alarms_explode = 100, alarms_vanish = 1e-4, alarms_dead = 0.5,
                    alarms_above = 1.02;
static const size_t alarms_batch = 32;

static DS_PRINTF(5, 6) ds_status
    alarms_ring(alarms *self, ds_report *report, int64_t step, int cause, const char *fmt, ...)
{
    static const char *const name[] = {"exploding", "vanishing", "dead", "overfitting"};
    char text[512];
    va_list args;
    if (self->lines < self->quiet[cause])
        return DS_OK;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!self->said[cause])
        ds_log(DS_LOG_WARN, "step %lld: %s", (long long)step, text);
    self->said[cause] = true;
    self->quiet[cause] = self->lines + ALARMS_QUIET;
    return ds_report_warning(report, step, name[cause], text);
}

static int alarms_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double alarms_median(const alarms *self)
{
    double sorted[ALARMS_NORMS];
    size_t n = self->n_norms < ALARMS_NORMS ? (size_t)self->n_norms : ALARMS_NORMS;
    memcpy(sorted, self->norm, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, alarms_order);
    return sorted[n / 2];
}

static ds_status alarms_norm(alarms *self, ds_report *report, const ds_step_facts *step)
{
    const double norm = step->grad_norm;
    if (!isfinite(norm))
        return DS_OK;
    if (self->n_norms >= ALARMS_EARLY) {
        const double median = alarms_median(self);
        if (norm > alarms_explode * median && norm > self->early_norm)
            DS_TRY(alarms_ring(self, report, step->step, ALARM_EXPLODING,
                               "the gradient explodes: its norm is %.3g, the median of the last "
                               "lines %.3g; lower optimizer.lr, set optimizer.clip_norm or "
                               "train.spike",
                               norm, median));
    } else if (norm > self->early_norm) {
        self->early_norm = norm;
    }
    self->norm[self->n_norms++ % ALARMS_NORMS] = norm;
    return DS_OK;
}

static ds_status alarms_vanishing(alarms *self, ds_report *report, int64_t step, size_t n,
                                  const ds_layer_facts *layer)
{
    size_t least = n, last = n;
    for (size_t i = 0; i < n; i++) {
        if (!(layer[i].grad_norm >= 0) || layer[i].frozen)
            continue;
        last = i;
        least = least == n || layer[i].grad_norm < layer[least].grad_norm ? i : least;
    }
    bool gone = last < n && layer[least].grad_norm < alarms_vanish * layer[last].grad_norm;
    self->vanishing = gone ? self->vanishing + 1 : 0;
    if (self->vanishing < ALARMS_LINES)
        return DS_OK;
    return alarms_ring(self, report, step, ALARM_VANISHING,
                       "gradients vanish on their way back: the norm is %.3g in %s, %.3g in %s; "
                       "take relu, residual blocks or layernorm, or another init",
                       layer[least].grad_norm, layer[least].name, layer[last].grad_norm,
                       layer[last].name);
}

static ds_status alarms_units(alarms *self, ds_report *report, int64_t step, size_t n,
                              const ds_layer_facts *layer)
{
    size_t worst = n;
    for (size_t i = 0; i < n; i++)
        if (layer[i].units > 0 && (worst == n || layer[i].dead > layer[worst].dead))
            worst = i;
    self->dead = worst < n && layer[worst].dead > alarms_dead ? self->dead + 1 : 0;
    if (self->dead < ALARMS_LINES)
        return DS_OK;
    return alarms_ring(self, report, step, ALARM_DEAD,
                       "%.0f %% of the %zu units behind %s are dead: zero for the whole batch; "
                       "lower optimizer.lr, or take leaky_relu",
                       100 * layer[worst].dead, layer[worst].units, layer[worst].name);
}

void alarms_loss(alarms *self, double loss)
{
    self->train_sum += loss;
    self->train_n++;
}

ds_status alarms_line(alarms *self, ds_report *report, const ds_step_facts *step, size_t n_layers,
                      const ds_layer_facts *layer, size_t batch)
{
    self->lines++;
    DS_TRY(alarms_norm(self, report, step));
    if (layer == NULL)
        return DS_OK;
    DS_TRY(alarms_vanishing(self, report, step->step, n_layers, layer));
    return batch < alarms_batch ? DS_OK : alarms_units(self, report, step->step, n_layers, layer);
}

ds_status alarms_eval(alarms *self, ds_report *report, int64_t step, const char *split, double loss)
{
    if (self->train_n == 0 || !isfinite(loss))
        return DS_OK;
    const double train = self->train_sum / (double)self->train_n;
    const bool first = self->evals++ == 0;
    self->overfitting =
        !first && loss > self->eval_last && train < self->train_last ? self->overfitting + 1 : 0;
    self->eval_best = first || loss < self->eval_best ? loss : self->eval_best;
    self->eval_last = loss;
    self->train_last = train;
    self->train_sum = 0;
    self->train_n = 0;
    if (self->overfitting < ALARMS_RISES || !(loss > alarms_above * self->eval_best))
        return DS_OK;
    return alarms_ring(self, report, step, ALARM_OVERFITTING,
                       "over-fitting: the %s loss rose %lld times in a row, to %.4g from %.4g at "
                       "best, while the training loss fell to %.4g; stop.early, weight_decay, "
                       "dropout or more data",
                       split, (long long)self->overfitting, loss, self->eval_best, train);
}
