/* L-BFGS (Liu & Nocedal, Math. Programming 45, 1989): the two-loop recursion (Nocedal & Wright,
 * Numerical Optimization, algorithm 7.4) over the last `memory` pairs s = w' - w, y = g' - g, from
 * gamma = s.y / y.y of the newest; then a line search to the strong Wolfe conditions
 * (algorithms 3.5 and 3.6, cubic interpolation). There is no lr: the first trial is the whole step.
 * A direction that cannot be followed drops the pairs and tries the steepest descent; that failing,
 * the run is done. One that falls however far it is followed ends it as diverged (ending.c). Cost:
 * a step asks once as a rule; 4 memory n operations besides; 2 memory + 1 blocks a rank. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "ending.h"

typedef struct lbfgs_options {
    int64_t memory, line_search;
    double tolerance;
} lbfgs_options;

static const ds_option lbfgs_table[] = {
    {.name = "memory",
     .type = DS_OPTION_INT,
     .offset = offsetof(lbfgs_options, memory),
     .fallback = "10",
     .min = 1,
     .max = 10,
     .help = "pairs of steps and gradient changes that are kept"},
    {.name = "line_search",
     .type = DS_OPTION_INT,
     .offset = offsetof(lbfgs_options, line_search),
     .fallback = "25",
     .min = 1,
     .max = 1000,
     .help = "most points tried along a direction"},
    {.name = "tolerance",
     .type = DS_OPTION_REAL,
     .offset = offsetof(lbfgs_options, tolerance),
     .fallback = "1e-9",
     .max = HUGE_VAL,
     .help = "the run ends where the gradient's norm is below it"},
    {0},
};

/* Slots: the gradient at w, then s and y of pair i at 1 + 2 i and 2 + 2 i, a ring. */
enum { LBFGS_GRADIENT, LBFGS_S = 1, LBFGS_Y = 2, LBFGS_MOST = 10 };
enum { LBFGS_LOSS, LBFGS_PAIRS, LBFGS_NEXT, LBFGS_CURVATURE, LBFGS_NUMBERS = 3 + LBFGS_MOST };
enum { LBFGS_DIRECTION, LBFGS_POINT, LBFGS_TRIAL };
static const double LBFGS_C1 = 1e-4, LBFGS_C2 = 0.9;

/* A point along the direction. */
typedef struct lbfgs_trial {
    double step, loss, slope;
} lbfgs_trial;

typedef struct lbfgs_search {
    ds_drive *drive;
    lbfgs_trial start, at; /* `at` is what the trial blocks hold */
    int64_t left;
} lbfgs_search;

/* y += a x; y = a y. */
static void lbfgs_add(size_t n, double a, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)y[i] + a * (double)x[i]);
}

static void lbfgs_scale(size_t n, double a, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(a * (double)y[i]);
}

/* d = -H g. */
static void lbfgs_direction(const lbfgs_options *o, ds_drive *drive)
{
    float *d = drive->work[LBFGS_DIRECTION];
    const double *curvature = drive->number + LBFGS_CURVATURE;
    const int pairs = (int)drive->number[LBFGS_PAIRS], next = (int)drive->number[LBFGS_NEXT];
    double a[LBFGS_MOST], gamma = 1;
    memcpy(d, drive->slot[LBFGS_GRADIENT], drive->n * sizeof *d);
    for (int k = 1; k <= pairs; k++) { /* newest first */
        const int i = (next - k + (int)o->memory) % (int)o->memory;
        const float *s = drive->slot[LBFGS_S + 2 * i], *y = drive->slot[LBFGS_Y + 2 * i];
        a[i] = drive->dot(drive, s, d) / curvature[i];
        lbfgs_add(drive->n, -a[i], y, d);
        if (k == 1)
            gamma = curvature[i] / drive->dot(drive, y, y);
    }
    lbfgs_scale(drive->n, -gamma, d);
    for (int k = pairs; k >= 1; k--) {
        const int i = (next - k + (int)o->memory) % (int)o->memory;
        const float *s = drive->slot[LBFGS_S + 2 * i], *y = drive->slot[LBFGS_Y + 2 * i];
        const double b = -drive->dot(drive, y, d) / curvature[i];
        lbfgs_add(drive->n, b - a[i], s, d);
    }
}

/* Loss and slope at w + step d, its gradient in TRIAL, the point in POINT. */
static ds_status lbfgs_try(lbfgs_search *self, double step)
{
    ds_drive *drive = self->drive;
    float *point = drive->work[LBFGS_POINT];
    memcpy(point, drive->w, drive->n * sizeof *point);
    lbfgs_add(drive->n, step, drive->work[LBFGS_DIRECTION], point);
    self->at = (lbfgs_trial){.step = step, .slope = (double)INFINITY};
    self->left--;
    DS_TRY(drive->ask(drive, point, &self->at.loss, drive->work[LBFGS_TRIAL]));
    if (isfinite(self->at.loss))
        self->at.slope = drive->dot(drive, drive->work[LBFGS_TRIAL], drive->work[LBFGS_DIRECTION]);
    return DS_OK;
}

static bool lbfgs_too_high(const lbfgs_search *self)
{
    const lbfgs_trial *s = &self->start;
    return !(self->at.loss <= s->loss + LBFGS_C1 * self->at.step * s->slope);
}

static bool lbfgs_good(const lbfgs_search *self)
{
    return !lbfgs_too_high(self) && fabs(self->at.slope) <= -LBFGS_C2 * self->start.slope;
}

/* The minimum of the cubic through two trials, kept off their ends (equation 3.59). */
static double lbfgs_between(const lbfgs_trial *a, const lbfgs_trial *b)
{
    const double width = b->step - a->step;
    double x = a->step + 0.5 * width;
    if (isfinite(a->loss) && isfinite(b->loss)) {
        const double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->step - b->step);
        const double square = d1 * d1 - a->slope * b->slope;
        const double d2 = copysign(sqrt(square > 0 ? square : 0), width);
        const double cubic =
            b->step - width * (b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2);
        x = square >= 0 && isfinite(cubic) ? cubic : x;
    }
    const double low = a->step + 0.1 * width, high = b->step - 0.1 * width;
    return width > 0 ? fmin(fmax(x, low), high) : fmax(fmin(x, low), high);
}

/* Between low, the best so far, and high the strong Wolfe conditions can be met (algorithm 3.6). */
static ds_status lbfgs_zoom(lbfgs_search *self, lbfgs_trial low, lbfgs_trial high)
{
    while (self->left > 0) {
        DS_TRY(lbfgs_try(self, lbfgs_between(&low, &high)));
        if (lbfgs_good(self))
            return DS_OK;
        if (lbfgs_too_high(self) || self->at.loss >= low.loss) {
            high = self->at;
            continue;
        }
        if (self->at.slope * (high.step - low.step) >= 0)
            high = low;
        low = self->at;
    }
    /* Out of tries: the best that was seen, if it is below the start. */
    return low.step > 0 && low.loss < self->start.loss ? lbfgs_try(self, low.step) : DS_OK;
}

/* Out of tries, and each went lower: does the loss fall for ever? If not, back to the last one. */
static ds_status lbfgs_no_end(lbfgs_search *self)
{
    ds_drive *drive = self->drive;
    const ds_ray ray = {.direction = drive->work[LBFGS_DIRECTION],
                        .loss = self->start.loss,
                        .slope = self->start.slope,
                        .step = self->at.step,
                        .at = self->at.loss,
                        .point = drive->work[LBFGS_POINT],
                        .g = drive->work[LBFGS_TRIAL]};
    DS_TRY(ds_ending_ray(drive, "lbfgs", &ray));
    return lbfgs_try(self, self->at.step);
}

/* Algorithm 3.5. On return `at` is the last trial; the caller sees whether it is lower. */
static ds_status lbfgs_line_search(lbfgs_search *self, double first)
{
    lbfgs_trial before = self->start;
    double step = first;
    for (bool begin = true; self->left > 0; begin = false) {
        DS_TRY(lbfgs_try(self, step));
        if (lbfgs_too_high(self) || (!begin && self->at.loss >= before.loss))
            return lbfgs_zoom(self, before, self->at);
        if (lbfgs_good(self))
            return DS_OK;
        if (self->at.slope >= 0)
            return lbfgs_zoom(self, self->at, before);
        before = self->at;
        step *= 2.5;
    }
    return lbfgs_no_end(self);
}

/* The trial becomes the point; what the step taught joins the ring where it curves upwards. */
static void lbfgs_accept(const lbfgs_options *o, lbfgs_search *self)
{
    ds_drive *drive = self->drive;
    const int i = (int)drive->number[LBFGS_NEXT];
    float *s = drive->slot[LBFGS_S + 2 * i], *y = drive->slot[LBFGS_Y + 2 * i];
    float *g = drive->slot[LBFGS_GRADIENT];
    const float *point = drive->work[LBFGS_POINT], *trial = drive->work[LBFGS_TRIAL];
    for (size_t k = 0; k < drive->n; k++) {
        s[k] = point[k] - drive->w[k];
        y[k] = trial[k] - g[k];
    }
    memcpy(drive->w, point, drive->n * sizeof *point);
    memcpy(g, trial, drive->n * sizeof *trial);
    drive->number[LBFGS_LOSS] = self->at.loss;
    const double curvature = drive->dot(drive, s, y), memory = (double)o->memory;
    if (!(curvature > 1e-10 * drive->dot(drive, y, y))) {
        /* What was written over was the oldest pair of a full ring. */
        drive->number[LBFGS_PAIRS] = fmin(drive->number[LBFGS_PAIRS], memory - 1);
        return;
    }
    drive->number[LBFGS_CURVATURE + i] = curvature;
    drive->number[LBFGS_NEXT] = (i + 1) % (int)o->memory;
    drive->number[LBFGS_PAIRS] = fmin(drive->number[LBFGS_PAIRS] + 1, memory);
}

/* One direction and its search; *moved: the point is lower now. */
static ds_status lbfgs_move(const lbfgs_options *o, ds_drive *drive, bool *moved)
{
    lbfgs_search search = {.drive = drive, .left = o->line_search};
    lbfgs_direction(o, drive);
    const double slope =
        drive->dot(drive, drive->slot[LBFGS_GRADIENT], drive->work[LBFGS_DIRECTION]);
    *moved = false;
    if (!(slope < 0))
        return DS_OK;
    search.start = (lbfgs_trial){.loss = drive->number[LBFGS_LOSS], .slope = slope};
    const double first = drive->number[LBFGS_PAIRS] > 0 ? 1 : fmin(1, 1 / drive->norm);
    DS_TRY(lbfgs_line_search(&search, first));
    *moved = search.at.loss < search.start.loss;
    if (*moved)
        lbfgs_accept(o, &search);
    return DS_OK;
}

static ds_status lbfgs_drive(const void *options, ds_drive *drive)
{
    const lbfgs_options *o = options;
    bool moved = false;
    if (drive->fresh) {
        memset(drive->number, 0, LBFGS_NUMBERS * sizeof *drive->number);
        DS_TRY(
            drive->ask(drive, drive->w, &drive->number[LBFGS_LOSS], drive->slot[LBFGS_GRADIENT]));
    }
    drive->loss = drive->number[LBFGS_LOSS];
    DS_CHECK(isfinite(drive->loss), DS_ERR_DIVERGED,
             "lbfgs: loss or gradient is not finite where the step begins");
    const float *g = drive->slot[LBFGS_GRADIENT];
    drive->norm = sqrt(drive->dot(drive, g, g));
    drive->done = drive->norm <= o->tolerance;
    if (drive->done)
        return DS_OK;
    DS_TRY(lbfgs_move(o, drive, &moved));
    if (!moved && drive->number[LBFGS_PAIRS] > 0) {
        drive->number[LBFGS_PAIRS] = 0;
        DS_TRY(lbfgs_move(o, drive, &moved));
    }
    return moved ? DS_OK : ds_ending_no_lower(drive, "lbfgs", g);
}

static bool lbfgs_uses(const void *options, size_t slot, const ds_matrix *matrix)
{
    (void)matrix;
    const lbfgs_options *o = options;
    return slot < 1 + 2 * (size_t)o->memory;
}

extern const ds_optim_ops ds_optim_lbfgs;
const ds_optim_ops ds_optim_lbfgs = {
    .name = "lbfgs",
    .help = "quasi-Newton with a strong Wolfe line search; a step takes all samples",
    .options = lbfgs_table,
    .options_size = sizeof(lbfgs_options),
    .reach = DS_REACH_MODEL,
    .n_slots = 1 + 2 * LBFGS_MOST,
    .slot_name = {"gradient", "s0", "y0", "s1", "y1", "s2", "y2", "s3", "y3", "s4", "y4",
                  "s5",       "y5", "s6", "y6", "s7", "y7", "s8", "y8", "s9", "y9"},
    .uses = lbfgs_uses,
    .drive = lbfgs_drive,
    .n_numbers = LBFGS_NUMBERS,
    .n_work = 3,
};
