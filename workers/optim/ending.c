/* Where the loss is bounded below, a line search along a direction of descent finds a point that
 * meets the Wolfe conditions (Nocedal & Wright, lemma 3.1). One that met none, however far it went,
 * may be on a ray that falls for ever: the ray is then followed, a thousandfold each time, while
 * the loss keeps a tenth of the first slope, down to what SNOPT calls an unbounded objective (Gill,
 * Murray & Saunders 2005: -1e15). A loss that is never negative cannot follow. Cost: a question
 * where the loss turns at once, at most 13 as a rule.
 *
 * Where no lower point is found, floats have no better one, or they are too coarse for the way to
 * it: the relative gradient tells (Dennis & Schnabel 1983, equation 7.2.5, and their bound). */
#include "ending.h"

#include <math.h>
#include <stddef.h>

static const double ENDING_UNBOUNDED = 1e15, ENDING_LOWEST = 1e30, ENDING_FACTOR = 1000,
                    ENDING_FALL = 0.1, ENDING_GRADIENT = 4.9e-3;

/* A loss below this is below any bound. */
static double ending_bound(double loss)
{
    return -fmin(ENDING_UNBOUNDED * fmax(1, fabs(loss)), ENDING_LOWEST);
}

ds_status ds_ending_ray(ds_drive *drive, const char *name, const ds_ray *ray)
{
    double t = ray->step, loss = ray->at;
    while (loss > ending_bound(ray->loss)) {
        t *= ENDING_FACTOR;
        for (size_t i = 0; i < drive->n; i++)
            ray->point[i] = (float)((double)drive->w[i] + t * (double)ray->direction[i]);
        DS_TRY(drive->ask(drive, ray->point, &loss, ray->g));
        if (!isfinite(loss) || loss > ray->loss + ENDING_FALL * t * ray->slope)
            return DS_OK;
    }
    return DS_FAIL(DS_ERR_DIVERGED,
                   "%s: the loss has no lower bound: along the step's direction it falls from %.6g "
                   "to %.6g and on",
                   name, ray->loss, loss);
}

ds_status ds_ending_no_lower(ds_drive *drive, const char *name, const float *g)
{
    double most = 0;
    for (size_t i = 0; i < drive->n; i++)
        most = fmax(most, fabs((double)g[i]) * fmax(fabs((double)drive->w[i]), 1));
    drive->done = true;
    drive->stuck = most > ENDING_GRADIENT * fmax(fabs(drive->loss), 1);
    DS_CHECK(!drive->stuck || drive->loss > -ENDING_UNBOUNDED, DS_ERR_DIVERGED,
             "%s: the loss has no lower bound: it is %.6g, the gradient's norm %.6g", name,
             drive->loss, drive->norm);
    return DS_OK;
}
