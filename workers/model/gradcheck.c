/* Is the gradient the gradient? Along random directions u of +-1 a tensor, g.u must be the slope of
 * the loss, which central differences give, extrapolated to step zero with a doubt (slope.h).
 * Two things stand against 1e-3 in float32. Rounding wants large steps, and relu has kinks that
 * large steps cross (a dense direction crosses hundreds, an error of per cents). So each
 * piecewise-linear layer is held at the choices (slopes, winners) of the base point, and a loss
 * with kinks at its piece: the same function near it, smooth far from it. Costs up to 64 forwards
 * of one shard a direction and tensor, commonly 20. Allocates; not for a step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/rng.h"

#include "rank.h"
#include "slope.h"

enum { GRADCHECK_NOISE_LINES = 4 };

/* What is asked for. */
typedef struct gradcheck_task {
    int directions;
    uint64_t seed;
    ds_gradcheck *out;
} gradcheck_task;

typedef struct gradcheck {
    ds_workspace *w;
    ds_arena *arena;
    const ds_shard *shard;
    const float *params;
    float *point, *grad; /* flat blocks: where the loss is asked for; the gradient under test */
    float **held;  /* (n_layers): x of the base point, dense (rows, in); NULL: layer as it is */
    float *base;   /* (rows, out) the outputs there, where the loss has kinks; else NULL */
    double *reach; /* (n_params): the largest step of an element */
    double noise;  /* slopes no larger may be the gradient's rounding alone */
    double loss;   /* at the base point */
} gradcheck;

static ds_rows gradcheck_rows(const gradcheck *self, size_t l)
{
    return ds_workspace_rows(self->w, l, 0, 0, self->shard);
}

/* Forward of a kinked layer at the base point; remembers its x. */
static ds_status gradcheck_hold(gradcheck *self, size_t l, const ds_rows *rows)
{
    size_t width = ds_shape_elements(&self->w->spec.model->layer[l].in);
    for (size_t r = 0; r < rows->n; r++)
        memcpy(self->held[l] + r * width, rows->x + r * rows->x_stride,
               width * sizeof *self->held[l]);
    return ds_workspace_layer(self->w, l, self->params, rows);
}

static void gradcheck_apply(const ds_layer *layer, const float *base, const ds_rows *rows)
{
    size_t width = ds_shape_elements(&layer->in);
    for (size_t r = 0; r < rows->n; r++)
        layer->ops->held(layer, base + r * width, rows->x + r * rows->x_stride,
                         rows->y + r * rows->y_stride);
}

static ds_status gradcheck_base(gradcheck *self)
{
    const ds_model *m = self->w->spec.model;
    for (size_t l = 0; l < m->n_layers; l++) {
        ds_rows rows = gradcheck_rows(self, l);
        DS_TRY(self->held[l] != NULL ? gradcheck_hold(self, l, &rows)
                                     : ds_workspace_layer(self->w, l, self->params, &rows));
    }
    if (self->base == NULL)
        return DS_OK;
    ds_rows last = gradcheck_rows(self, m->n_layers - 1);
    memcpy(self->base, last.y, last.n * last.y_stride * sizeof *self->base);
    return DS_OK;
}

/* The loss at `point`, in double from the outputs on. */
static ds_status gradcheck_loss(gradcheck *self, double *out)
{
    const ds_workspace_spec *spec = &self->w->spec;
    const ds_model *m = spec->model;
    ds_rows rows = {.n = 0};
    if (m->problem != NULL)
        return ds_objective_loss(self->w, self->point, 0, self->shard, out);
    for (size_t l = 0; l < m->n_layers; l++) {
        rows = gradcheck_rows(self, l);
        if (self->held[l] != NULL)
            gradcheck_apply(&m->layer[l], self->held[l], &rows);
        else
            DS_TRY(ds_workspace_layer(self->w, l, self->point, &rows));
    }
    size_t outputs = ds_shape_elements(ds_model_output(m));
    if (self->base != NULL)
        *out = spec->loss->piece(spec->loss_options, rows.n, outputs, rows.y, self->base,
                                 rows.y_stride, &self->shard->targets);
    else
        ds_workspace_loss(self->w, rows.n, rows.y, rows.y_stride, &self->shard->targets, out, NULL);
    return DS_OK;
}

/* ---- directions ----------------------------------------------------------------------------- */

/* One direction: +-1 for each element of tensors [from, to), times their reach. */
typedef struct gradcheck_line {
    size_t from, to;
    ds_rng rng;
    uint64_t number;
} gradcheck_line;

/* What the gradient says of a line: g u, and g (point - params), where the point is float32's. */
typedef struct gradcheck_along {
    double unit, moved;
} gradcheck_along;

/* Point = params + step u. */
static gradcheck_along gradcheck_walk(gradcheck *self, const gradcheck_line *line, double step)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
    gradcheck_along along = {0, 0};
    uint64_t n = 0;
    uint32_t word[4] = {0};
    for (size_t p = line->from; p < line->to; p++) {
        const ds_param *param = &layout->param[p];
        if (!ds_param_learns(param))
            continue;
        double reach = self->reach[p];
        float move = (float)(step * reach);
        for (size_t r = 0; r < param->rows; r++) {
            size_t at = param->offset + r * param->stride;
            for (size_t c = 0; c < param->cols; c++, n++) {
                if (n % 128 == 0)
                    ds_rng_block(&line->rng, line->number, n / 128, word);
                bool up = word[n / 32 % 4] >> (n % 32) & 1;
                double from = (double)self->params[at + c], g = (double)self->grad[at + c];
                self->point[at + c] = self->params[at + c] + (up ? move : -move);
                along.unit += (up ? reach : -reach) * g;
                along.moved += ((double)self->point[at + c] - from) * g;
            }
        }
    }
    return along;
}

/* The loss at step t along the line, less what the gradient makes of the point's own rounding. */
typedef struct gradcheck_curve {
    gradcheck *check;
    const gradcheck_line *line;
} gradcheck_curve;

static ds_status gradcheck_curve_at(void *context, double t, double *out)
{
    const gradcheck_curve *self = context;
    gradcheck_along along = gradcheck_walk(self->check, self->line, t);
    DS_TRY(gradcheck_loss(self->check, out));
    *out -= along.moved - t * along.unit;
    return DS_OK;
}

/* ---- verdicts ------------------------------------------------------------------------------- */

/* Squares over the directions of one tensor. */
typedef struct gradcheck_sums {
    double difference, doubt, wrong; /* slope from gradient; of the slope; beyond 2 doubts */
    double norm;
} gradcheck_sums;

/* Noise of the loss along the first directions of a tensor: it differs from line to line, and the
 * figure of one is rough. */
static ds_status gradcheck_noise(gradcheck *self, gradcheck_line *line, int directions, double *out)
{
    gradcheck_curve along = {self, line};
    ds_curve curve = {gradcheck_curve_at, &along};
    int n = directions < GRADCHECK_NOISE_LINES ? directions : GRADCHECK_NOISE_LINES;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double square = 0;
        line->number = (uint64_t)i;
        DS_TRY(ds_slope_noise(&curve, i, &square));
        sum += square;
    }
    *out = sqrt(sum / n);
    return DS_OK;
}

/* Where slope and gradient are no more than the gradient's own rounding (of a dead unit, a bias
 * before batchnorm), their difference says nothing: it is doubt. */
static ds_status gradcheck_direction(gradcheck *self, const gradcheck_line *line, double noise,
                                     gradcheck_sums *sums)
{
    gradcheck_curve at = {self, line};
    ds_curve curve = {gradcheck_curve_at, &at};
    ds_slope slope = {0, 0};
    double along = gradcheck_walk(self, line, 0).unit;
    DS_TRY(ds_slope_find(&curve, noise, &slope));
    double off = fabs(slope.value - along), size = fmax(fabs(slope.value), fabs(along));
    double doubt = size <= self->noise ? fmax(slope.doubt, off / 2) : slope.doubt;
    double wrong = fmax(0, off - 2 * doubt);
    sums->difference += off * off;
    sums->doubt += doubt * doubt;
    sums->wrong += wrong * wrong;
    sums->norm += size * size;
    return DS_OK;
}

/* Slope and gradient are exactly 0 where the norm is, as at a minimum: they agree, unless no step
 * told anything. */
static double gradcheck_ratio(double squares, double norm)
{
    bool agree = squares == 0 || (norm == 0 && isfinite(squares));
    return agree ? 0 : sqrt(squares / norm);
}

static void gradcheck_note(ds_gradcheck *out, size_t i, const gradcheck_sums *sums)
{
    out->error[i] = gradcheck_ratio(sums->wrong, sums->norm);
    if (out->difference != NULL)
        out->difference[i] = gradcheck_ratio(sums->difference, sums->norm);
    if (out->doubt != NULL)
        out->doubt[i] = gradcheck_ratio(sums->doubt, sums->norm);
}

/* Entry `at` of out: norm-relative figures over the directions of tensors [from, to). */
static ds_status gradcheck_tensors(gradcheck *self, const gradcheck_task *task, size_t from,
                                   size_t to, size_t at)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
    gradcheck_sums sums = {0, 0, 0, 0};
    double noise = 0;
    char purpose[160];
    snprintf(purpose, sizeof purpose, "gradcheck/%s",
             to - from == 1 ? layout->param[from].name : "all");
    gradcheck_line line = {from, to, ds_rng_for(task->seed, purpose), 0};
    DS_TRY(gradcheck_noise(self, &line, task->directions, &noise));
    for (int i = 0; i < task->directions; i++) {
        line.number = (uint64_t)i;
        DS_TRY(gradcheck_direction(self, &line, noise, &sums));
    }
    gradcheck_walk(self, &line, 0); /* back to the base point */
    gradcheck_note(task->out, at, &sums);
    return DS_OK;
}

static ds_status gradcheck_gradient(gradcheck *self)
{
    ds_shard shard = *self->shard;
    ds_partial partial = {0, 1, self->grad};
    ds_pass pass = {.lo = 0, .hi = 1, .shard = &shard, .n_partials = 1, .partial = &partial};
    DS_TRY(ds_model_gradient(self->w, self->params, &pass));
    DS_CHECK(pass.finite, DS_ERR_DIVERGED,
             "loss or gradient is not finite at the point to be checked: found loss %g",
             ds_shown(shard.loss));
    self->noise = 0x1p-19 * fabs(shard.loss);
    self->loss = shard.loss;
    return DS_OK;
}

/* A problem's loss may be of any size, and its parameters alone give it, in double: the step moves
 * the loss by a part of itself, and is a power of two, so that points in float32 lie where they
 * should. */
static double gradcheck_problem_reach(const gradcheck *self, double own, double slope)
{
    double most = 0.5 * (own > 0 && own < (double)INFINITY ? own : 0.5), least = most / 1024;
    double by_loss = slope > 0 ? 0.2 * fabs(self->loss) / slope : most;
    double reach = by_loss < least ? least : by_loss < most ? by_loss : most;
    int exponent = 0;
    frexp(reach, &exponent);
    return ldexp(0.5, exponent);
}

/* Root mean square of a tensor's elements. */
static double gradcheck_size(const gradcheck *self, const ds_param *param)
{
    double squares =
        self->w->spec.kernels->squares(ds_param_floats(param), self->params + param->offset);
    return sqrt(squares / (double)(param->rows * param->cols));
}

/* The largest step of an element: it moves outputs by a fraction of their size, the loss by a
 * fraction of what a sample's is, and a tensor by half its own size: behind a normalisation the
 * loss's series ends at about that distance, however small the tensor. One of zeros takes the
 * smallest other's. */
static void gradcheck_reach(gradcheck *self)
{
    const ds_workspace_spec *spec = &self->w->spec;
    const ds_layout *layout = ds_model_layout(spec->model);
    double smallest = (double)INFINITY;
    for (size_t p = 0; p < layout->n_params; p++) {
        double own = gradcheck_size(self, &layout->param[p]);
        smallest = own > 0 && own < smallest ? own : smallest;
    }
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        double squares = ds_param_learns(param) ? spec->kernels->squares(ds_param_floats(param),
                                                                         self->grad + param->offset)
                                                : 0;
        double by_size = 0.25 / sqrt((double)param->rows);
        double by_loss = 0.2 * (double)self->shard->rows / sqrt(squares);
        double own = gradcheck_size(self, param), by_own = 0.5 * (own > 0 ? own : smallest);
        self->reach[p] = squares > 0 && by_loss < by_size ? by_loss : by_size;
        self->reach[p] = by_own < self->reach[p] ? by_own : self->reach[p];
        if (spec->model->problem != NULL)
            self->reach[p] = gradcheck_problem_reach(self, own, sqrt(squares));
    }
}

static ds_status gradcheck_room(gradcheck *self)
{
    const ds_model *m = self->w->spec.model;
    size_t n = m->layout.n_floats;
    DS_TRY(ds_arena_take(self->arena, n, sizeof(float), "a point", &self->point));
    DS_TRY(ds_arena_take(self->arena, n, sizeof(float), "a gradient", &self->grad));
    DS_TRY(ds_arena_take(self->arena, m->layout.n_params, sizeof(double), "steps", &self->reach));
    DS_TRY(ds_arena_take(self->arena, m->n_layers, sizeof(float *), "base points", &self->held));
    for (size_t l = 0; l < m->n_layers; l++)
        if (m->layer[l].ops->held != NULL)
            DS_TRY(ds_arena_take(self->arena, self->shard->rows,
                                 ds_shape_elements(&m->layer[l].in) * sizeof(float), "base points",
                                 &self->held[l]));
    memcpy(self->point, self->params, n * sizeof(float));
    if (m->problem != NULL || self->w->spec.loss->piece == NULL)
        return DS_OK;
    size_t stride = m->layer[m->n_layers - 1].y_stride;
    return ds_arena_take(self->arena, self->shard->rows, stride * sizeof(float), "outputs",
                         &self->base);
}

static ds_status gradcheck_run(gradcheck *self, const gradcheck_task *task)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
    size_t n = layout->n_params;
    DS_TRY(gradcheck_room(self));
    DS_TRY(gradcheck_gradient(self));
    gradcheck_reach(self);
    DS_TRY(gradcheck_base(self));
    for (size_t p = 0; p < n; p++) {
        gradcheck_note(task->out, p, &(gradcheck_sums){0, 0, 0, 0});
        if (ds_param_learns(&layout->param[p]))
            DS_TRY(gradcheck_tensors(self, task, p, p + 1, p));
    }
    return gradcheck_tensors(self, task, 0, n, n);
}

ds_status ds_model_gradcheck(ds_workspace *self, const float *params, ds_shard *shard,
                             int directions, uint64_t seed, ds_gradcheck *out)
{
    DS_ASSERT(out->n == self->spec.model->layout.n_params + 1 && shard->rows > 0);
    gradcheck check = {.w = self, .shard = shard, .params = params};
    gradcheck_task task = {directions, seed, out};
    DS_TRY(ds_arena_create("gradient check", &check.arena));
    ds_status status = gradcheck_run(&check, &task);
    ds_arena_destroy(&check.arena);
    return status;
}

ds_gradcheck_verdict ds_gradcheck_judge(const ds_gradcheck *self, size_t i, double tolerance)
{
    if (!(self->error[i] <= tolerance))
        return DS_GRADCHECK_DIFFERS;
    bool told = self->difference[i] <= tolerance && self->doubt[i] <= tolerance;
    return told ? DS_GRADCHECK_AGREES : DS_GRADCHECK_UNDECIDED;
}
