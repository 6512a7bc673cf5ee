/* Evaluation and prediction: data are cut into blocks of eval.batch samples, fewer where those of a
 * large model would take more than 32 MiB; block i is computed by rank i mod ranks. Sums are kept
 * by block in double and added in block order, counts are integers: the ranks cannot change a bit.
 */
#include <math.h>
#include <string.h>

#include "trainer_parts.h"

enum { EVALUATE_BYTES = 32 << 20 }; /* of activations */

typedef struct evaluation {
    ds_trainer *trainer;
    const ds_dataset *data;
    const ds_normalizer *normalizer;
    const float *params;
    size_t rows, n_blocks, outputs;
    size_t positions, classes; /* outputs of a sample: (positions, classes) */
    size_t columns;            /* of block_sum: the loss; then |error| and error^2 by target */
} evaluation;

size_t evaluate_rows(const ds_trainer *self)
{
    size_t one = ds_workspace_bytes(self->model, 1, 1, false),
           row = ds_workspace_bytes(self->model, 2, 1, false) - one,
           asked = (size_t)self->config->eval_batch;
    size_t fit = one == SIZE_MAX || row == 0 ? 1 : EVALUATE_BYTES / row;
    return fit > asked ? asked : fit > 0 ? fit : 1;
}

size_t evaluate_columns(const ds_trainer *self)
{
    bool classes = self->config->loss->target == DS_TARGET_CLASS;
    return classes ? 1 : 1 + 2 * ds_shape_elements(ds_model_output(self->model));
}

static evaluation evaluate_plan(ds_trainer *self, const ds_dataset *data,
                                const ds_normalizer *normalizer)
{
    evaluation e = {.trainer = self, .data = data, .normalizer = normalizer};
    e.rows = evaluate_rows(self);
    e.n_blocks = (data->n + e.rows - 1) / e.rows;
    e.outputs = ds_shape_elements(ds_model_output(self->model));
    e.columns = evaluate_columns(self);
    e.positions = self->positions;
    e.classes = e.outputs / e.positions;
    return e;
}

static bool evaluate_mine(const evaluation *e, size_t block)
{
    return block % (size_t)ds_world_size(e->trainer->world) ==
           (size_t)ds_world_rank(e->trainer->world);
}

/* Outputs of one block; with targets also its summed loss. Returns its samples in *n. */
static ds_status evaluate_block(const evaluation *e, size_t block, bool targets, size_t *n,
                                double *loss)
{
    ds_trainer *t = e->trainer;
    ds_watch_beat(t->world);
    size_t from = block * e->rows, stride;
    *n = e->data->n - from < e->rows ? e->data->n - from : e->rows;
    for (size_t i = 0; i < *n; i++)
        t->index[i] = from + i;
    float *x = ds_workspace_input(t->evaluating, &stride);
    bool classes = e->data->kind == DS_TARGET_CLASS;
    ds_dataset_fetch(e->data, e->normalizer, *n, t->index, x, stride,
                     targets && classes ? t->label : NULL, targets && !classes ? t->value : NULL);
    ds_targets target = {.label = classes ? t->label : NULL,
                         .value = classes ? NULL : t->value,
                         .width = e->outputs};
    return ds_model_forward(t->evaluating, e->params, *n, targets ? &target : NULL,
                            targets ? loss : NULL);
}

static size_t evaluate_argmax(const float *z, size_t n)
{
    size_t best = 0;
    for (size_t j = 1; j < n; j++)
        if (z[j] > z[best])
            best = j;
    return best;
}

static void evaluate_count(const evaluation *e, size_t n, double *sums)
{
    ds_trainer *t = e->trainer;
    size_t stride;
    if (!ds_model_gives_outputs(t->model))
        return;
    const float *z = ds_workspace_output(t->evaluating, &stride);
    double (*link)(double) = t->config->loss->link;
    for (size_t i = 0; i < n; i++, z += stride) {
        for (size_t p = 0; p < e->positions && e->data->kind == DS_TARGET_CLASS; p++) {
            size_t truth = (size_t)t->label[i * e->positions + p];
            size_t found = evaluate_argmax(z + p * e->classes, e->classes);
            t->confusion[truth * e->classes + found]++;
        }
        if (e->data->kind == DS_TARGET_CLASS)
            continue;
        for (size_t j = 0; j < e->outputs; j++) {
            double y = link != NULL ? link((double)z[j]) : (double)z[j];
            double error = y - (double)t->value[i * e->outputs + j];
            sums[1 + 2 * j] += fabs(error);
            sums[2 + 2 * j] += error * error;
        }
    }
}

static ds_status evaluate_mine_all(const evaluation *e)
{
    for (size_t b = 0; b < e->n_blocks; b++) {
        if (!evaluate_mine(e, b))
            continue;
        size_t n;
        double *sums = e->trainer->block_sum + b * e->columns;
        DS_TRY(evaluate_block(e, b, true, &n, &sums[0]));
        evaluate_count(e, n, sums);
    }
    return DS_OK;
}

/* 1 - sum of squared errors / sum of squared deviations, averaged over the targets; a constant
 * target counts as 1 when met exactly, else 0 (scikit-learn's rule). */
static double evaluate_r2(const evaluation *e, const double *total)
{
    double sum = 0;
    for (size_t j = 0; j < e->outputs; j++) {
        double mean = 0, spread = 0;
        for (size_t i = 0; i < e->data->n; i++)
            mean += (double)e->data->target[i * e->outputs + j] / (double)e->data->n;
        for (size_t i = 0; i < e->data->n; i++) {
            double d = (double)e->data->target[i * e->outputs + j] - mean;
            spread += d * d;
        }
        double squares = total[2 + 2 * j];
        sum += spread > 0 ? 1 - squares / spread : squares == 0 ? 1 : 0;
    }
    return sum / (double)e->outputs;
}

static void evaluate_scores(const evaluation *e, const double *total, ds_scores *out)
{
    ds_trainer *t = e->trainer;
    double n = (double)e->data->n;
    *out = (ds_scores){.samples = e->data->n,
                       .loss = total[0] / class_weights_of_split(t, e->data),
                       .classes = e->data->kind == DS_TARGET_CLASS};
    out->loss_only = !ds_model_gives_outputs(t->model);
    if (out->loss_only)
        return;
    if (out->classes) {
        int64_t right = 0;
        for (size_t c = 0; c < e->classes; c++)
            right += t->confusion[c * e->classes + c];
        out->accuracy = (double)right / (n * (double)e->positions);
        out->bits = e->positions > 1 ? out->loss / 0.69314718055994530942 : 0;
        out->n_classes = e->classes;
        out->confusion = t->confusion;
        return;
    }
    double absolute = 0;
    for (size_t j = 0; j < e->outputs; j++)
        absolute += total[1 + 2 * j];
    out->mae = absolute / (n * (double)e->outputs);
    out->r2 = evaluate_r2(e, total);
}

/* The weights to judge: averaged ones where they are kept, then in `staging`. */
static ds_status evaluate_params(evaluation *e)
{
    ds_trainer *t = e->trainer;
    e->params = ds_trainer_params(t);
    if (t->sync == NULL || t->config->ema <= 0)
        return DS_OK;
    const ds_layout *layout = ds_model_layout(t->model);
    DS_TRY(ds_sync_gather_slot(t->sync, t->config->optimizer->n_slots, t->staging));
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        if (!ds_param_learns(param))
            memcpy(t->staging + param->offset, e->params + param->offset,
                   ds_param_floats(param) * sizeof *t->staging);
    }
    e->params = t->staging;
    return DS_OK;
}

static ds_status evaluate_data(ds_trainer *self, const ds_dataset *data, ds_scores *out)
{
    evaluation e = evaluate_plan(self, data, &self->splits->normalizer);
    ds_watch_note(self->world, DS_PHASE_EVALUATION, self->step);
    DS_TRY(evaluate_params(&e));
    size_t n_sums = e.n_blocks * e.columns;
    memset(self->block_sum, 0, n_sums * sizeof *self->block_sum);
    if (self->confusion != NULL)
        memset(self->confusion, 0, e.classes * e.classes * sizeof *self->confusion);
    DS_TRY(ds_agree(self->world, evaluate_mine_all(&e)));
    DS_TRY(ds_world_sum(self->world, self->block_sum, n_sums));
    if (self->confusion != NULL)
        DS_TRY(ds_world_sum_int(self->world, self->confusion, e.classes * e.classes));
    for (size_t b = 1; b < e.n_blocks; b++)
        for (size_t c = 0; c < e.columns; c++)
            self->block_sum[c] += self->block_sum[b * e.columns + c];
    evaluate_scores(&e, self->block_sum, out);
    ds_watch_note(self->world, DS_PHASE_REPORT, self->step);
    return DS_OK;
}

const ds_dataset *evaluate_split(const ds_trainer *self, const char *split)
{
    if (self->splits == NULL)
        return NULL;
    return strcmp(split, "train") == 0        ? self->splits->train
           : strcmp(split, "validation") == 0 ? self->splits->validation
           : strcmp(split, "test") == 0       ? self->splits->test
                                              : NULL;
}

ds_status ds_trainer_evaluate(ds_trainer *self, const char *split, ds_scores *out)
{
    const ds_dataset *data = evaluate_split(self, split);
    DS_CHECK(data != NULL, DS_ERR_USAGE, "no %s data: the config has none under data.%s", split,
             split);
    return evaluate_data(self, data, out);
}

static ds_status evaluate_outputs(const evaluation *e, float *out)
{
    for (size_t b = 0; b < e->n_blocks; b++) {
        if (!evaluate_mine(e, b))
            continue;
        size_t n, stride;
        DS_TRY(evaluate_block(e, b, false, &n, NULL));
        const float *z = ds_workspace_output(e->trainer->evaluating, &stride);
        for (size_t i = 0; i < n; i++)
            memcpy(out + (b * e->rows + i) * e->outputs, z + i * stride, e->outputs * sizeof *out);
    }
    return DS_OK;
}

ds_status ds_trainer_predict_data(ds_trainer *self, const ds_dataset *data, float *out)
{
    const ds_normalizer none = {.scale = 1};
    DS_CHECK(ds_model_gives_outputs(self->model), DS_ERR_USAGE,
             "problem '%s' gives no outputs: there is nothing to predict",
             ds_model_problem(self->model)->name);
    evaluation e =
        evaluate_plan(self, data, self->splits != NULL ? &self->splits->normalizer : &none);
    DS_TRY(evaluate_params(&e));
    DS_TRY(ds_agree(self->world, evaluate_outputs(&e, out)));
    for (size_t b = 0; b < e.n_blocks; b++) {
        size_t from = b * e.rows, n = data->n - from < e.rows ? data->n - from : e.rows;
        int owner = (int)(b % (size_t)ds_world_size(self->world));
        DS_TRY(ds_world_broadcast(self->world, out + from * e.outputs, n * e.outputs * sizeof *out,
                                  owner));
    }
    return DS_OK;
}

ds_status ds_trainer_predict(ds_trainer *self, size_t n, const float *x, float *out)
{
    ds_dataset data = {
        .n = n, .input = *ds_model_input(self->model), .values = x, .kind = DS_TARGET_REAL};
    return ds_trainer_predict_data(self, &data, out);
}
