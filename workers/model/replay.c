/* Why is a shard not finite? Run it again, slowly: parameters, input, each layer's output, loss,
 * then each gradient from the last layer down; where the first bad value shows, ask every sample
 * alone. Where it comes out of a layer that mixes the shard's rows (batchnorm) one bad sample
 * spoils them all, and none can be asked alone: the shard's samples are named together. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank.h"

typedef struct replay {
    const ds_workspace *w;
    const float *params;
    int64_t step;
    const ds_shard *shard;
    bool found;
    bool together; /* what is looked at next comes out of a layer that mixes rows */
    size_t used;   /* of out->text */
    ds_diagnosis *out;
} replay;

static void replay_say(replay *self, const char *text)
{
    size_t room = sizeof self->out->text;
    if (self->used + 1 < room)
        self->used += (size_t)snprintf(self->out->text + self->used, room - self->used, "%s", text);
}

/* First value that is not finite: "nan", "inf", or NULL. */
static const char *replay_values(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return isnan(x[i]) ? "nan" : "inf";
    return NULL;
}

/* "WHERE: nan", once. */
static void replay_report(replay *self, const char *where, const char *what)
{
    self->found = true;
    replay_say(self, where);
    replay_say(self, ": ");
    replay_say(self, what);
}

/* Names bad samples as they come: the count so far. */
static void replay_sample(replay *self, size_t *count, size_t sample)
{
    char text[48];
    if ((*count)++ == DS_CULPRITS)
        replay_say(self, ", ...");
    if (*count > DS_CULPRITS)
        return;
    self->out->sample[self->out->n_samples++] = sample;
    snprintf(text, sizeof text, "%s%zu", *count == 1 ? "; samples " : ", ", sample);
    replay_say(self, text);
}

static void replay_all(replay *self)
{
    char text[64];
    size_t n = self->shard->rows;
    snprintf(text, sizeof text, "; the %zu samples of the shard together", n);
    replay_say(self, text);
    for (size_t r = 0; r < n && n <= DS_CULPRITS; r++)
        self->out->sample[self->out->n_samples++] = r;
}

/* A frozen layer mixes nothing, as in evaluation. */
static bool replay_mixes(const replay *self, size_t l)
{
    const ds_layer *layer = &self->w->spec.model->layer[l];
    return layer->ops->mixes && layer->trainable && self->shard->rows > 1;
}

/* A block of the shard's rows, each row of one sample. */
static void replay_rows(replay *self, const char *where, const float *x, size_t width,
                        size_t stride)
{
    size_t n = self->shard->rows, count = 0;
    const char *what = NULL;
    for (size_t r = 0; r < n && what == NULL; r++)
        what = replay_values(width, x + r * stride);
    if (what == NULL)
        return;
    replay_report(self, where, what);
    if (self->together) {
        replay_all(self);
        return;
    }
    for (size_t r = 0; r < n; r++)
        if (replay_values(width, x + r * stride) != NULL)
            replay_sample(self, &count, r);
    replay_say(self, " of the shard");
}

static void replay_params(replay *self)
{
    const ds_layout *layout = ds_model_layout(self->w->spec.model);
    char where[160];
    for (size_t p = 0; p < layout->n_params && !self->found; p++) {
        const ds_param *param = &layout->param[p];
        const char *what = replay_values(ds_param_floats(param), self->params + param->offset);
        snprintf(where, sizeof where, "parameter %s before the step", param->name);
        if (what != NULL)
            replay_report(self, where, what);
    }
}

static ds_rows replay_at(const replay *self, size_t l, int side, const ds_shard *shard)
{
    return ds_workspace_rows(self->w, l, side, self->step, shard);
}

static ds_status replay_forward(replay *self)
{
    const ds_model *m = self->w->spec.model;
    ds_rows first = replay_at(self, 0, 0, self->shard);
    replay_rows(self, "input", first.x, ds_shape_elements(&m->input), first.x_stride);
    char where[96];
    for (size_t l = 0; l < m->n_layers && !self->found; l++) {
        ds_rows rows = replay_at(self, l, 0, self->shard);
        DS_TRY(ds_workspace_layer(self->w, l, self->params, &rows));
        snprintf(where, sizeof where, "layer %s forward", m->layer[l].name);
        self->together = replay_mixes(self, l);
        replay_rows(self, where, rows.y, ds_shape_elements(&m->layer[l].out), rows.y_stride);
    }
    self->together = false;
    return DS_OK;
}

/* The loss of row r alone, or of the whole shard (r = rows), with its gradient. */
static double replay_loss_of(const replay *self, size_t r)
{
    const ds_workspace_spec *spec = &self->w->spec;
    bool whole = r == self->shard->rows;
    ds_rows rows = replay_at(self, spec->model->n_layers - 1, 0, self->shard);
    ds_targets t = self->shard->targets;
    size_t at = whole ? 0 : r;
    t.label =
        t.label == NULL ? NULL : t.label + at * ds_model_positions(spec->model, DS_TARGET_CLASS);
    t.value = t.value == NULL ? NULL : t.value + at * t.width;
    double sum = 0;
    ds_workspace_loss(self->w, whole ? rows.n : 1, rows.y + at * rows.y_stride, rows.y_stride, &t,
                      &sum, rows.dy + at * rows.y_stride);
    return sum;
}

static void replay_loss(replay *self)
{
    size_t n = self->shard->rows, count = 0;
    double sum = replay_loss_of(self, n);
    if (isfinite(sum))
        return;
    replay_report(self, "loss", isnan(sum) ? "nan" : "inf");
    for (size_t r = 0; r < n; r++)
        if (!isfinite(replay_loss_of(self, r)))
            replay_sample(self, &count, r);
    replay_say(self, " of the shard");
}

/* One panel's gradient from `shard` in scratch: what is bad in it, or NULL. */
static ds_status replay_panel(const replay *self, size_t l, size_t p, int side, size_t from,
                              const ds_shard *shard, const char **what)
{
    const ds_layer *layer = &self->w->spec.model->layer[l];
    const ds_param *param = layer->param[p];
    size_t to = from + ds_panel_rows(param);
    to = to < param->rows ? to : param->rows;
    ds_rows rows = replay_at(self, l, side, shard);
    float *dst = self->w->scratch[0];
    memset(dst, 0, (to - from) * param->stride * sizeof *dst);
    DS_TRY(layer->ops->gradient(layer, self->w->spec.kernels, p, from, to, &rows, dst, false));
    *what = replay_values((to - from) * param->stride, dst);
    return DS_OK;
}

static ds_status replay_gradient(replay *self, size_t l, size_t p, int side)
{
    const ds_layer *layer = &self->w->spec.model->layer[l];
    const ds_param *param = layer->param[p];
    const char *what = NULL, *alone = NULL;
    char where[160];
    size_t count = 0, from = 0, step = ds_panel_rows(param);
    for (; from < param->rows && what == NULL; from += step)
        DS_TRY(replay_panel(self, l, p, side, from, self->shard, &what));
    if (what == NULL)
        return DS_OK;
    snprintf(where, sizeof where, "layer %s backward, gradient of %s", layer->name, param->name);
    replay_report(self, where, what);
    if (replay_mixes(self, l)) {
        replay_all(self);
        return DS_OK;
    }
    for (size_t r = 0; r < self->shard->rows; r++) {
        ds_shard row = {.first_row = self->shard->first_row + r,
                        .rows = 1,
                        .position = self->shard->position + r};
        DS_TRY(replay_panel(self, l, p, side, from - step, &row, &alone));
        if (alone != NULL)
            replay_sample(self, &count, r);
    }
    replay_say(self, count > 0 ? " of the shard" : "; only in the sum over samples");
    return DS_OK;
}

static ds_status replay_backward(replay *self)
{
    const ds_model *m = self->w->spec.model;
    char where[96];
    int side = 0;
    for (size_t l = m->n_layers; l-- > m->lowest && !self->found;) {
        const ds_layer *layer = &m->layer[l];
        ds_rows rows = replay_at(self, l, side, self->shard);
        snprintf(where, sizeof where, "layer %s backward", layer->name);
        replay_rows(self, where, rows.dy, ds_shape_elements(&layer->out), rows.y_stride);
        bool filled = false;
        DS_TRY(ds_workspace_before(self->w, l, self->params, &rows, &filled));
        for (size_t p = 0; p < layer->n_params && !self->found; p++)
            if (layer->param[p]->trainable)
                DS_TRY(replay_gradient(self, l, p, side));
        if (l == m->lowest || self->found)
            continue;
        DS_TRY(ds_workspace_backward(self->w, l, self->params, &rows, &filled));
        self->together = replay_mixes(self, l);
        side = ds_layer_dx_in_place(layer) ? side : 1 - side;
    }
    return DS_OK;
}

ds_status ds_model_diagnose(ds_workspace *self, const float *params, int64_t step, ds_shard *shard,
                            ds_diagnosis *out)
{
    DS_ASSERT(self->spec.training && self->spec.loss != NULL);
    *out = (ds_diagnosis){0};
    const bool problem = self->spec.model->problem != NULL;
    replay d = {.w = self, .params = params, .step = step, .shard = shard, .out = out};
    replay_params(&d);
    if (!d.found && problem)
        return ds_objective_diagnose(self, params, step, shard, out);
    if (!d.found && shard->rows > 0)
        DS_TRY(replay_forward(&d));
    if (!d.found && shard->rows > 0)
        replay_loss(&d);
    if (!d.found && shard->rows > 0)
        DS_TRY(replay_backward(&d));
    return DS_OK;
}
