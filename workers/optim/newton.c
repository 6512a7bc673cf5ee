/* Newton's method for small problems (Nocedal & Wright, chapter 3): the Hessian by central
 * differences of gradients, H_j = (g(w + h e_j) - g(w - h e_j)) / 2h, made symmetric; H + damping I
 * by Cholesky, the damping raised until it is positive definite; the step halved until the loss
 * falls. There is no lr. Cost: 2 n + 2 questions and n^3 / 3 operations a step, n^2 doubles a rank.
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "ending.h"

typedef struct newton_options {
    double damping, difference, tolerance;
} newton_options;

static const ds_option newton_table[] = {
    {.name = "damping",
     .type = DS_OPTION_REAL,
     .offset = offsetof(newton_options, damping),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "added to the Hessian's diagonal"},
    {.name = "difference",
     .type = DS_OPTION_REAL,
     .offset = offsetof(newton_options, difference),
     .fallback = "0.01",
     .min = DS_ABOVE_0,
     .max = HUGE_VAL,
     .help = "step of the differences; larger for quadratic problems, smaller for curved ones"},
    {.name = "tolerance",
     .type = DS_OPTION_REAL,
     .offset = offsetof(newton_options, tolerance),
     .fallback = "1e-9",
     .max = HUGE_VAL,
     .help = "the run ends where the gradient's norm is below it"},
    {0},
};

enum { NEWTON_MOST = 1000, NEWTON_HALVINGS = 30 };
enum { NEWTON_POINT, NEWTON_GRADIENT, NEWTON_OTHER };

/* hessian (n, n) from the room; its lower half becomes the factor. */
typedef struct newton_system {
    size_t n;
    double *hessian, *factor, *step;
} newton_system;

static size_t newton_room(size_t n)
{
    return 2 * n * n + n;
}

static ds_status newton_column(const newton_options *o, ds_drive *drive, size_t j, double *column)
{
    float *point = drive->work[NEWTON_POINT], *g = drive->work[NEWTON_OTHER];
    const size_t at = drive->at[j];
    const float middle = drive->w[at], high = middle + (float)o->difference,
                low = middle - (float)o->difference;
    const double width = (double)high - (double)low;
    double loss = 0;
    DS_CHECK(width > 0, DS_ERR_USAGE,
             "newton: optimizer.difference %g is lost in float beside a weight of %g: raise it",
             o->difference, (double)middle);
    point[at] = high;
    DS_TRY(drive->ask(drive, point, &loss, g));
    for (size_t i = 0; i < drive->n_elements; i++)
        column[i] = (double)g[drive->at[i]] / width;
    point[at] = low;
    double other = 0;
    DS_TRY(drive->ask(drive, point, &other, g));
    point[at] = middle;
    for (size_t i = 0; i < drive->n_elements; i++)
        column[i] -= (double)g[drive->at[i]] / width;
    DS_CHECK(isfinite(loss) && isfinite(other), DS_ERR_DIVERGED,
             "newton: the loss is not finite within %g of the point: lower optimizer.difference",
             o->difference);
    return DS_OK;
}

static ds_status newton_hessian(const newton_options *o, ds_drive *drive, newton_system *s)
{
    memcpy(drive->work[NEWTON_POINT], drive->w, drive->n * sizeof(float));
    for (size_t j = 0; j < s->n; j++)
        DS_TRY(newton_column(o, drive, j, s->hessian + j * s->n));
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < i; j++) {
            const double mean = 0.5 * (s->hessian[i * s->n + j] + s->hessian[j * s->n + i]);
            s->hessian[i * s->n + j] = s->hessian[j * s->n + i] = mean;
        }
    return DS_OK;
}

/* factor = lower Cholesky factor of hessian + damping I; false where that is not positive. */
static bool newton_factor(const newton_system *s, double damping)
{
    const size_t n = s->n;
    double *l = s->factor, largest = 0;
    memcpy(l, s->hessian, n * n * sizeof *l);
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(s->hessian[i * n + i]));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double x = l[i * n + j] + (i == j ? damping : 0);
            for (size_t k = 0; k < j; k++)
                x -= l[i * n + k] * l[j * n + k];
            if (i == j && !(x > 1e-12 * largest))
                return false;
            l[i * n + j] = i == j ? sqrt(x) : x / l[j * n + j];
        }
    return true;
}

/* step = (L L^T)^-1 g. */
static void newton_solve(const newton_system *s, const ds_drive *drive)
{
    const size_t n = s->n;
    const double *l = s->factor;
    double *x = s->step;
    for (size_t i = 0; i < n; i++) {
        x[i] = (double)drive->work[NEWTON_GRADIENT][drive->at[i]];
        for (size_t k = 0; k < i; k++)
            x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

/* s'Hs, which is the slope's size for an undamped step. */
static double newton_curvature(const newton_system *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->n; j++)
            sum += s->step[i] * s->hessian[i * s->n + j] * s->step[j];
    return sum;
}

/* w less that part of the step. */
static void newton_point(const ds_drive *drive, const newton_system *s, double part, float *point)
{
    memcpy(point, drive->w, drive->n * sizeof *point);
    for (size_t k = 0; k < s->n; k++)
        point[drive->at[k]] = (float)((double)point[drive->at[k]] - part * s->step[k]);
}

/* That part of the step went lower, to `at`, and little but the damping keeps it short: does the
 * loss fall for ever? If not, back to it. The gradient's block becomes the direction. */
static ds_status newton_no_end(ds_drive *drive, const newton_system *s, double part, double at)
{
    float *direction = drive->work[NEWTON_GRADIENT];
    double slope = 0;
    for (size_t k = 0; k < s->n; k++)
        slope -= s->step[k] * (double)direction[drive->at[k]];
    if (!(newton_curvature(s) < -0.1 * slope))
        return DS_OK;
    for (size_t k = 0; k < s->n; k++)
        direction[drive->at[k]] = (float)-s->step[k];
    const ds_ray ray = {.direction = direction,
                        .loss = drive->loss,
                        .slope = slope,
                        .step = part,
                        .at = at,
                        .point = drive->work[NEWTON_POINT],
                        .g = drive->work[NEWTON_OTHER]};
    DS_TRY(ds_ending_ray(drive, "newton", &ray));
    newton_point(drive, s, part, ray.point);
    return drive->ask(drive, ray.point, &at, ray.g);
}

/* The whole step, or half, a quarter, ... of it: the first that is lower. */
static ds_status newton_move(ds_drive *drive, const newton_system *s)
{
    float *point = drive->work[NEWTON_POINT];
    double part = 1, loss = 0;
    bool rose = false;
    for (int i = 0; i < NEWTON_HALVINGS; i++, part /= 2) {
        newton_point(drive, s, part, point);
        DS_TRY(drive->ask(drive, point, &loss, drive->work[NEWTON_OTHER]));
        if (!(loss < drive->loss)) {
            rose = rose || isfinite(loss);
            continue;
        }
        if (!rose)
            DS_TRY(newton_no_end(drive, s, part, loss));
        memcpy(drive->w, point, drive->n * sizeof *point);
        return DS_OK;
    }
    return ds_ending_no_lower(drive, "newton", drive->work[NEWTON_GRADIENT]);
}

static ds_status newton_drive(const void *options, ds_drive *drive)
{
    const newton_options *o = options;
    const size_t n = drive->n_elements;
    newton_system s = {n, drive->room, drive->room + n * n, drive->room + 2 * n * n};
    float *g = drive->work[NEWTON_GRADIENT];
    DS_TRY(drive->ask(drive, drive->w, &drive->loss, g));
    DS_CHECK(isfinite(drive->loss), DS_ERR_DIVERGED,
             "newton: loss or gradient is not finite where the step begins");
    drive->norm = sqrt(drive->dot(drive, g, g));
    drive->done = drive->norm <= o->tolerance;
    if (drive->done)
        return DS_OK;
    DS_TRY(newton_hessian(o, drive, &s));
    double damping = o->damping, trace = 0;
    for (size_t i = 0; i < n; i++)
        trace += fabs(s.hessian[i * n + i]);
    while (!newton_factor(&s, damping))
        damping = fmax(10 * damping, 1e-8 * trace / (double)n + 1e-30);
    newton_solve(&s, drive);
    return newton_move(drive, &s);
}

extern const ds_optim_ops ds_optim_newton;
const ds_optim_ops ds_optim_newton = {
    .name = "newton",
    .help = "the Hessian by differences, for at most 1000 parameters; a step takes all samples",
    .options = newton_table,
    .options_size = sizeof(newton_options),
    .reach = DS_REACH_MODEL,
    .drive = newton_drive,
    .n_work = 3,
    .room = newton_room,
    .max_elements = NEWTON_MOST,
};
