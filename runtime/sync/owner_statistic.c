/* What owners do with statistics: no business of the optimizer's, but for factors, which move when
 * it says so. Cost: reads sums and values, writes values once. */
#include "descent/simd.h"

#include "owner.h"

/* w -= mean of g. */
DS_SIMD static void owner_statistic_subtract(size_t n, float scale, const float *restrict g,
                                             float *restrict w)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= g[i] * scale;
}

/* Between the times when factors move, none of them changes a bit. */
static void owner_statistic_factor(const ds_owner *self, const ds_param *param, float share,
                                   ds_update *u)
{
    const double keep = self->spec.optimizer->keep(self->spec.options, u->t - 1);
    if (keep < 1)
        ds_param_move_factor(param, u->n, share, keep, u->g, u->w);
}

bool ds_owner_statistic(const ds_owner *self, const ds_param *param, ds_update *u)
{
    const float share = 1 / (float)self->samples;
    if (!ds_param_moves(param))
        return false;
    if (self->spec.means == DS_MEANS_AS_ANY) { /* but by samples, whatever they weigh */
        u->scale = share;
        return false;
    }
    if (self->spec.means == DS_MEANS_MEET)
        owner_statistic_subtract(u->n, u->scale, u->g, u->w);
    else if (param->kind == DS_PARAM_STATISTIC) /* clipping is none of theirs either */
        ds_param_move(param, u->n, share, u->g, u->w);
    else
        owner_statistic_factor(self, param, share, u);
    return true;
}
