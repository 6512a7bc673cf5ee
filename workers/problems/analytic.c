/* Analytic functions: what all of them share. Parameters are one tensor w of n numbers; the loss of
 * every sample is f(w), so a shard of n samples gives n f(w) and n f'(w), in double, rounded to
 * float32 once. With noise, sample p of step t has the loss f(w) + noise z.w, z drawn by (seed, t,
 * p): its gradient is f' + noise z, as an estimate from data would be, and batches of 1, 8 and 64
 * differ as single-sample, mini-batch and batch descent do. Evaluation has no noise. Cost: one
 * evaluation a shard, and n draws a sample where there is noise. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "descent/rng.h"

#include "problem_parts.h"

typedef struct analytic_options {
    const ds_value *start;
    int64_t dims, record_every;
    double noise;
} analytic_options;

typedef struct analytic {
    size_t n;
    double noise;
    ds_rng rng;
    double *w, *g; /* (n) room of a call */
} analytic;

enum { ANALYTIC_MOST = 1 << 24, ANALYTIC_RECORDED = 64 };

static const ds_option analytic_table[] = {
    {.name = "start",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(analytic_options, start),
     .choices = "list of numbers",
     .help = "where the parameters begin; each function has a place of its own"},
    {.name = "dims",
     .type = DS_OPTION_INT,
     .offset = offsetof(analytic_options, dims),
     .min = 1,
     .max = ANALYTIC_MOST,
     .help = "how many parameters; default: as many as start has, else 2"},
    {.name = "noise",
     .type = DS_OPTION_REAL,
     .offset = offsetof(analytic_options, noise),
     .fallback = "0",
     .max = HUGE_VAL,
     .help = "deviation of each sample's gradient, by step and position"},
    {.name = "record_every",
     .type = DS_OPTION_INT,
     .offset = offsetof(analytic_options, record_every),
     .fallback = "1",
     .max = HUGE_VAL,
     .flags = DS_OPTION_NEUTRAL,
     .help = "steps between two lines of trajectory.csv (up to 64 parameters); 0: none"},
    {0},
};

/* `name` says which problem; a plug-in's `plugin` may not stand here. */
static const ds_option analytic_name[] = {
    {.name = "name", .type = DS_OPTION_TEXT, .help = "the function"}, {0}};

const ds_option *ds_problem_function_options(void)
{
    return analytic_table;
}

/* How many numbers: `dims`, else the start's where the function takes any number of them. */
static ds_status analytic_count(const ds_problem *self, const ds_value *map,
                                const analytic_options *o, size_t *out)
{
    const ds_problem_ops *ops = self->ops;
    char found[96];
    const ds_value *dims = ds_value_find(map, "dims");
    const ds_value *start = o->start;
    if (start != NULL && (start->kind != DS_VALUE_LIST || start->n == 0))
        return ds_value_fail(
            start, "problem %s: start is %s, expected a list of numbers", self->name,
            start->kind == DS_VALUE_LIST ? "empty" : ds_value_describe(start, sizeof found, found));
    size_t n = o->dims > 0 ? (size_t)o->dims : start != NULL && ops->many_dims ? start->n : 2;
    if (o->dims > 0 && (n < ops->least_dims || (ops->fixed_dims && n != 2)))
        return ds_value_fail(dims, "problem %s: dims is %zu, expected %s%zu", self->name, n,
                             ops->fixed_dims ? "" : "at least ", ops->least_dims);
    if (start != NULL && (start->n != n || n < ops->least_dims))
        return ds_value_fail(
            start, "problem %s: start has %zu number%s, expected %s%zu, one a parameter%s",
            self->name, start->n, start->n == 1 ? "" : "s", n < ops->least_dims ? "at least " : "",
            n < ops->least_dims ? ops->least_dims : n,
            ops->fixed_dims || ops->many_dims ? "" : " (dims)");
    *out = n;
    return DS_OK;
}

static ds_status analytic_start(ds_problem *self, const ds_value *start, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x = self->ops->start[i % 2];
        if (start != NULL)
            DS_TRY(ds_value_real(start->child[i], "problem", "start", &x));
        if (!(fabs(x) <= 3e38))
            return ds_value_fail(start->child[i],
                                 "problem: start has %g, more than a float32 holds", x);
        self->initial[i] = (float)x;
    }
    return DS_OK;
}

ds_status ds_analytic_open(ds_problem *self, const ds_value *map)
{
    analytic_options o = {0};
    analytic *state = NULL;
    void *own = NULL;
    char what[64] = "problem ";
    strncat(what, self->name, sizeof what - 16);
    const ds_option *tables[] = {analytic_name, analytic_table, self->ops->options};
    DS_TRY(ds_options_check(3, tables, map, what));
    DS_TRY(ds_options_fill(analytic_table, map, what, self->arena, &o));
    DS_TRY(ds_arena_take(self->arena, 1, self->ops->options_size, what, &own));
    DS_TRY(ds_options_fill(self->ops->options, map, what, self->arena, own));
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *state, what, &state));
    DS_TRY(analytic_count(self, map, &o, &state->n));
    self->options = own;
    self->state = state;
    self->record_every = state->n <= ANALYTIC_RECORDED ? o.record_every : 0;
    state->noise = o.noise;
    state->rng = ds_rng_for(self->seed, "problem/noise");
    DS_TRY(ds_arena_take(self->arena, state->n, sizeof *state->w, what, &state->w));
    DS_TRY(ds_arena_take(self->arena, state->n, sizeof *state->g, what, &state->g));
    DS_TRY(ds_problem_room(self, 1));
    DS_TRY(ds_problem_add(self, "w", &(ds_shape){.n = 1, .dim = {state->n}}));
    DS_TRY(ds_problem_settle(self));
    return analytic_start(self, o.start, state->n);
}

/* Mean 0, variance 1, nearly normal: four uniform numbers; no libm. */
static double analytic_draw(const analytic *self, int64_t step, uint64_t number)
{
    uint32_t word[4];
    ds_rng_block(&self->rng, (uint64_t)step, number, word);
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double)word[i] + 0.5;
    return (sum * 0x1p-32 - 2) * sqrt(3.0);
}

static void analytic_add_noise(const analytic *self, const ds_problem_rows *rows, double *loss,
                               double *g)
{
    for (size_t i = 0; i < self->n; i++) {
        double sum = 0;
        for (size_t r = 0; r < rows->n; r++)
            sum += analytic_draw(self, rows->step, (rows->position + r) * self->n + i);
        *loss += self->noise * sum * self->w[i];
        g[i] += self->noise * sum;
    }
}

ds_status ds_analytic_value(const ds_problem *self, const float *params,
                            const ds_problem_rows *rows, double *loss, float *gradient)
{
    const analytic *a = self->state;
    const double n = (double)rows->n;
    for (size_t i = 0; i < a->n; i++)
        a->w[i] = (double)params[i];
    *loss = n * self->ops->point(self->options, a->n, a->w, gradient != NULL ? a->g : NULL);
    for (size_t i = 0; i < a->n && gradient != NULL; i++)
        a->g[i] *= n;
    if (a->noise > 0 && rows->training)
        analytic_add_noise(a, rows, loss, a->g);
    for (size_t i = 0; i < a->n && gradient != NULL; i++)
        gradient[i] = (float)a->g[i];
    return DS_OK;
}
