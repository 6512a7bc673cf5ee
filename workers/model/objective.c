/* A model of a problem instead of layers: its pass asks for loss and gradient of each shard whole,
 * and adds the gradients along the same fixed tree as pass.c. Cost: the problem's own, one addition
 * of the flat block a shard, log2(shards) + 1 blocks of room. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank.h"

ds_status ds_model_create_problem(const ds_value *config, uint64_t seed, ds_model **out)
{
    ds_arena *arena = NULL;
    ds_model *model = NULL;
    DS_TRY(ds_arena_create("model", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *model, "the model", &model);
    if (status == DS_OK) {
        model->arena = arena;
        status = ds_problem_create(config, seed, &model->problem);
    }
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    model->input = model->problem->input;
    model->output = (ds_shape){.n = 1, .dim = {model->problem->outputs}};
    model->layout = model->problem->layout;
    *out = model;
    return DS_OK;
}

const ds_problem *ds_model_problem(const ds_model *self)
{
    return self->problem;
}

bool ds_model_gives_outputs(const ds_model *self)
{
    return self->problem == NULL || self->problem->gives_outputs;
}

static ds_problem_rows objective_rows(const ds_workspace *self, int64_t step, const ds_shard *shard)
{
    return (ds_problem_rows){.n = shard->rows,
                             .x = self->act[0] + shard->first_row * self->stride[0],
                             .x_stride = self->stride[0],
                             .targets = &shard->targets,
                             .training = self->spec.training,
                             .seed = self->spec.seed,
                             .step = step,
                             .position = shard->position};
}

ds_status ds_objective_loss(const ds_workspace *self, const float *params, int64_t step,
                            const ds_shard *shard, double *loss)
{
    ds_problem_rows rows = objective_rows(self, step, shard);
    return ds_problem_value(self->spec.model->problem, params, &rows, loss, NULL);
}

/* ---- a pass --------------------------------------------------------------------------------- */

typedef struct objective_pass {
    ds_workspace *w;
    const float *params;
    ds_pass *pass;
} objective_pass;

static ds_status objective_leaf(const objective_pass *self, ds_shard *shard, float *dst)
{
    const ds_model *m = self->w->spec.model;
    ds_problem_rows rows = objective_rows(self->w, self->pass->step, shard);
    memset(dst, 0, m->layout.n_floats * sizeof *dst);
    DS_TRY(ds_problem_value(m->problem, self->params, &rows, &shard->loss, dst));
    if (self->pass->poll != NULL)
        self->pass->poll(self->pass->context);
    return DS_OK;
}

/* As pass_sum in pass.c, of whole blocks: empty shards are no leaves. *any: dst was written. */
static ds_status objective_sum(const objective_pass *self, int lo, int hi, float *dst, int depth,
                               bool *any)
{
    if (hi - lo == 1) {
        ds_shard *shard = &self->pass->shard[lo - self->pass->lo];
        shard->loss = 0;
        *any = shard->rows > 0;
        return *any ? objective_leaf(self, shard, dst) : DS_OK;
    }
    int mid = ds_tree_split(lo, hi);
    bool right_any = false;
    DS_TRY(objective_sum(self, lo, mid, dst, depth, any));
    if (!*any)
        return objective_sum(self, mid, hi, dst, depth, any);
    float *right = self->w->scratch[depth];
    DS_TRY(objective_sum(self, mid, hi, right, depth + 1, &right_any));
    if (right_any)
        self->w->spec.kernels->add(self->w->spec.model->layout.n_floats, dst, right);
    return DS_OK;
}

ds_status ds_objective_gradient(ds_workspace *self, const float *params, ds_pass *pass)
{
    const ds_layout *layout = &self->spec.model->layout;
    objective_pass at = {self, params, pass};
    pass->finite = true;
    for (size_t i = 0; i < pass->n_partials; i++) {
        const ds_partial *partial = &pass->partial[i];
        bool any = false;
        DS_TRY(objective_sum(&at, partial->lo, partial->hi, partial->grad, 0, &any));
        if (!any)
            memset(partial->grad, 0, layout->n_floats * sizeof *partial->grad);
        pass->finite = pass->finite && self->spec.kernels->finite(layout->n_floats, partial->grad);
    }
    for (int s = 0; s < pass->hi - pass->lo; s++)
        pass->finite = pass->finite && isfinite(pass->shard[s].loss);
    for (size_t p = layout->n_params; p-- > 0 && pass->ready != NULL;)
        pass->ready(pass->context, p);
    return DS_OK;
}

ds_status ds_objective_forward(ds_workspace *self, const float *params, size_t n,
                               const ds_targets *targets, double *sum)
{
    const ds_problem *problem = self->spec.model->problem;
    ds_shard block = {.rows = n};
    if (targets != NULL)
        block.targets = *targets;
    ds_problem_rows rows = objective_rows(self, 0, &block);
    rows.training = false;
    if (n > 0 && problem->gives_outputs)
        DS_TRY(problem->ops->predict(problem, params, &rows, self->output, self->output_stride));
    if (targets == NULL || sum == NULL)
        return DS_OK;
    *sum = 0;
    return n > 0 ? ds_problem_value(problem, params, &rows, sum, NULL) : DS_OK;
}

/* ---- why is a shard not finite? ------------------------------------------------------------- */

/* What is bad about loss and gradient of these rows: "loss is nan", "gradient of w/w is inf", "".
 */
static ds_status objective_verdict(ds_workspace *self, const float *params, int64_t step,
                                   const ds_shard *shard, size_t room, char *text)
{
    const ds_model *m = self->spec.model;
    ds_problem_rows rows = objective_rows(self, step, shard);
    double loss = 0;
    float *g = self->scratch[0];
    memset(g, 0, m->layout.n_floats * sizeof *g);
    text[0] = '\0';
    DS_TRY(ds_problem_value(m->problem, params, &rows, &loss, g));
    if (!isfinite(loss))
        snprintf(text, room, "loss is %s", isnan(loss) ? "nan" : "inf");
    for (size_t p = 0; p < m->layout.n_params && text[0] == '\0'; p++) {
        const ds_param *param = &m->layout.param[p];
        size_t n = ds_param_floats(param), i = 0;
        while (i < n && isfinite(g[param->offset + i]))
            i++;
        if (i < n)
            snprintf(text, room, "gradient of %s is %s", param->name,
                     isnan(g[param->offset + i]) ? "nan" : "inf");
    }
    return DS_OK;
}

static ds_shard objective_row(const ds_shard *shard, size_t r)
{
    ds_shard row = {.first_row = shard->first_row + r, .rows = 1, .position = shard->position + r};
    row.targets = shard->targets;
    if (row.targets.label != NULL)
        row.targets.label += r;
    if (row.targets.value != NULL)
        row.targets.value += r * row.targets.width;
    return row;
}

ds_status ds_objective_diagnose(ds_workspace *self, const float *params, int64_t step,
                                const ds_shard *shard, ds_diagnosis *out)
{
    char what[200], alone[200];
    size_t count = 0, used = 0;
    *out = (ds_diagnosis){0};
    if (shard->rows == 0)
        return DS_OK;
    DS_TRY(objective_verdict(self, params, step, shard, sizeof what, what));
    if (what[0] == '\0')
        return DS_OK;
    used = (size_t)snprintf(out->text, sizeof out->text, "problem %s: %s",
                            self->spec.model->problem->name, what);
    for (size_t r = 0; r < shard->rows && self->spec.model->problem->reads_data; r++) {
        ds_shard row = objective_row(shard, r);
        DS_TRY(objective_verdict(self, params, step, &row, sizeof alone, alone));
        if (alone[0] == '\0' || ++count > DS_CULPRITS)
            continue;
        out->sample[out->n_samples++] = r;
        used += (size_t)snprintf(out->text + used, sizeof out->text - used, "%s%zu",
                                 count == 1 ? "; samples " : ", ", r);
    }
    if (count > 0)
        snprintf(out->text + used, sizeof out->text - used, "%s of the shard",
                 count > DS_CULPRITS ? ", ..." : "");
    return DS_OK;
}
