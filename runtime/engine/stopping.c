/* Stopping rules: a gradient norm below a threshold, a training loss that no longer falls, a
 * validation loss that no longer falls. Their counters are plain data so that a resumed run stops
 * where the undisturbed one does. */
#include <math.h>
#include <stdio.h>

#include "trainer_parts.h"

void stopping_reset(stopping *self)
{
    *self = (stopping){.plateau_best = (double)INFINITY,
                       .early_best = (double)INFINITY,
                       .early_reference = (double)INFINITY,
                       .best_step = -1};
}

void stopping_end(stopping *self, const char *reason)
{
    if (self->reason[0] == '\0')
        snprintf(self->reason, sizeof self->reason, "%s", reason);
}

void stopping_after_step(stopping *self, const ds_stop_config *rules, const ds_outcome *outcome)
{
    if (!outcome->finite)
        return;
    if (rules->grad_norm > 0 && outcome->grad_norm < rules->grad_norm)
        stopping_end(self, "grad_norm");
    if (rules->plateau_patience == 0)
        return;
    if (outcome->loss < self->plateau_best - rules->plateau_min_delta) {
        self->plateau_best = outcome->loss;
        self->plateau_wait = 0;
    } else if (++self->plateau_wait >= rules->plateau_patience) {
        stopping_end(self, "plateau");
    }
}

bool stopping_after_eval(stopping *self, const ds_stop_config *rules, int64_t step, double loss)
{
    bool best = loss < self->early_best;
    if (loss < self->early_reference - rules->early_min_delta) {
        self->early_reference = loss;
        self->early_wait = 0;
    } else {
        self->early_wait++;
    }
    if (best) {
        self->early_best = loss;
        self->best_step = step;
    }
    if (rules->early_patience > 0 && self->early_wait >= rules->early_patience)
        stopping_end(self, "early");
    return best;
}
