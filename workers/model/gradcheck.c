/* Is the gradient the gradient? Along random directions u of +-1 a tensor, g.u must be the slope of
 * the loss, which central differences give, extrapolated to step zero with an error estimate
 * (C. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Adv. Eng. Software 4, 1982).
 * Two things stand against 1e-3 in float32. Rounding wants large steps, and relu has kinks that
 * large steps cross (a dense direction crosses hundreds, an error of per cents). So each
 * piecewise-linear layer is held at the choices (slopes, winners) of the base point, and a loss
 * with kinks at its piece: the same function near it, smooth far from it. Costs up to 16 forwards
 * of one shard a direction and tensor. Allocates; not for a step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/rng.h"

#include "rank.h"

enum { GRADCHECK_RUNGS = 8 };
static const double GRADCHECK_SURE = 1e-5; /* agreement that ends the ladder: far below 1e-3 */

typedef struct gradcheck {
    ds_workspace *w;
    ds_arena *arena;
    const ds_shard *shard;
    const float *params;
    float *point, *grad; /* flat blocks: where the loss is asked for; the gradient under test */
    float **held;  /* (n_layers): x of the base point, dense (rows, in); NULL: layer as it is */
    float *base;   /* (rows, out) the outputs there, where the loss has kinks; else NULL */
    double *reach; /* (n_params): the largest step of an element */
    double noise;  /* of a slope: the loss's own rounding */
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

/* Calls for every element: point = params + step u when move, and adds g u to *along when not NULL.
 */
static void gradcheck_walk(gradcheck *self, const gradcheck_line *line, double step, double *along)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
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
                self->point[at + c] = self->params[at + c] + (up ? move : -move);
                if (along != NULL)
                    *along += (up ? reach : -reach) * (double)self->grad[at + c];
            }
        }
    }
}

/* Central difference of the loss at step e; also the loss's own size, for the noise. */
static ds_status gradcheck_difference(gradcheck *self, const gradcheck_line *line, double e,
                                      double *out)
{
    double up = 0, down = 0;
    gradcheck_walk(self, line, e, NULL);
    DS_TRY(gradcheck_loss(self, &up));
    gradcheck_walk(self, line, -e, NULL);
    DS_TRY(gradcheck_loss(self, &down));
    *out = (up - down) / (2 * e);
    return DS_OK;
}

/* One rung of Ridders' tableau: the entry that agrees best with its neighbours, and how well; of
 * two rungs of differences a[0] how far they lie apart, as an error of the loss. */
typedef struct gradcheck_rung {
    double value, off, noise;
} gradcheck_rung;

/* Neville's rule in e^2 for rung i. */
static gradcheck_rung gradcheck_climb(double a[GRADCHECK_RUNGS][GRADCHECK_RUNGS], int i, double e)
{
    gradcheck_rung r = {a[0][i], (double)INFINITY, 0};
    double power = 4;
    for (int j = 1; j <= i; j++, power *= 4) {
        a[j][i] = (a[j - 1][i] * power - a[j - 1][i - 1]) / (power - 1);
        double d = fmax(fabs(a[j][i] - a[j - 1][i]), fabs(a[j][i] - a[j - 1][i - 1]));
        if (d <= r.off)
            r.off = d, r.value = a[j][i];
    }
    if (i > 0)
        r.noise = fabs(a[0][i] - a[0][i - 1]) * e;
    return r;
}

/* Ridders: differences at e, e/2, e/4, ... Of all rungs counts the one that agrees best with the
 * rung before: two entries far from the limit may meet by chance, not three. Agreement finer than
 * the loss's own rounding, as it shows between the last differences, is chance too: it is the least
 * doubt there is. */
static ds_status gradcheck_slope(gradcheck *self, const gradcheck_line *line, double *best,
                                 double *doubt)
{
    double a[GRADCHECK_RUNGS][GRADCHECK_RUNGS], e = 1;
    gradcheck_rung r[GRADCHECK_RUNGS];
    int n = 0;
    for (bool on = true; n < GRADCHECK_RUNGS && on; n++, e /= 2) {
        DS_TRY(gradcheck_difference(self, line, e, &a[0][n]));
        r[n] = gradcheck_climb(a, n, e);
        if (n > 0)
            r[n].off = fmax(r[n].off, fabs(r[n].value - r[n - 1].value));
        bool sure = n > 2 && r[n].off <= GRADCHECK_SURE * fabs(r[n].value);
        bool rounding = n > 3 && r[n].noise > r[n - 1].noise / 2 && r[n].noise > r[n - 2].noise / 4;
        on = !sure && !rounding;
    }
    double noise = 2 * fmax(r[n - 1].noise, r[n - 2].noise);
    *doubt = (double)INFINITY;
    e = 1;
    for (int i = 0; i < n; i++, e /= 2) {
        r[i].off = fmax(r[i].off, noise / e);
        for (int j = 0; j < i; j++) /* what a later rung contradicts met by chance */
            r[j].off = fmax(r[j].off, fabs(r[i].value - r[j].value) - 2 * r[i].off);
    }
    for (int i = 2; i < n; i++)
        if (r[i].off <= *doubt)
            *doubt = r[i].off, *best = r[i].value;
    return DS_OK;
}

/* ---- verdicts ------------------------------------------------------------------------------- */

/* Norm-relative error over the directions of tensors [from, to). A slope that the differences
 * cannot tell from zero (a dead unit's, a bias's before batchnorm) says nothing and counts as
 * right. */
static ds_status gradcheck_tensors(gradcheck *self, size_t from, size_t to, int directions,
                                   uint64_t seed, double *error)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
    char purpose[160];
    snprintf(purpose, sizeof purpose, "gradcheck/%s",
             to - from == 1 ? layout->param[from].name : "all");
    gradcheck_line line = {from, to, ds_rng_for(seed, purpose), 0};
    double wrong = 0, norm = 0;
    for (int i = 0; i < directions; i++) {
        double along = 0, slope = 0, doubt = 0;
        line.number = (uint64_t)i;
        gradcheck_walk(self, &line, 0, &along);
        DS_TRY(gradcheck_slope(self, &line, &slope, &doubt));
        double off = fmax(0, fabs(slope - along) - 2 * doubt);
        if (fmax(fabs(slope), fabs(along)) <= self->noise)
            off = 0;
        wrong += off * off;
        norm += fmax(along * along, slope * slope);
    }
    gradcheck_walk(self, &line, 0, NULL); /* back to the base point */
    *error = wrong == 0 ? 0 : sqrt(wrong / norm);
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

static ds_status gradcheck_run(gradcheck *self, int directions, uint64_t seed, ds_gradcheck *out)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
    DS_TRY(gradcheck_room(self));
    DS_TRY(gradcheck_gradient(self));
    gradcheck_reach(self);
    DS_TRY(gradcheck_base(self));
    for (size_t p = 0; p < layout->n_params; p++) {
        out->error[p] = 0;
        if (ds_param_learns(&layout->param[p]))
            DS_TRY(gradcheck_tensors(self, p, p + 1, directions, seed, &out->error[p]));
    }
    return gradcheck_tensors(self, 0, layout->n_params, directions, seed,
                             &out->error[layout->n_params]);
}

ds_status ds_model_gradcheck(ds_workspace *self, const float *params, ds_shard *shard,
                             int directions, uint64_t seed, ds_gradcheck *out)
{
    DS_ASSERT(out->n == self->spec.model->layout.n_params + 1 && shard->rows > 0);
    gradcheck check = {.w = self, .shard = shard, .params = params};
    DS_TRY(ds_arena_create("gradient check", &check.arena));
    ds_status status = gradcheck_run(&check, directions, seed, out);
    ds_arena_destroy(&check.arena);
    return status;
}
