/* The loss over the plane of a race with two parameters, around the paths of its runs: at each
 * point of a grid over all samples of the training data (the first 2000). Contours are drawn by
 * rank: of the grid's points, which part lies lower; so a valley shows however steep its walls are.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "race.h"

enum { SURFACE_SAMPLES = 2000 };

typedef struct surface {
    ds_trainer *trainer;
    ds_workspace *workspace;
    size_t n;        /* samples */
    size_t place[2]; /* of the two parameters in the flat block */
    float *flat, *value;
    int32_t *label;
} surface;

static void surface_free(surface *self)
{
    ds_workspace_destroy(&self->workspace);
    ds_trainer_destroy(&self->trainer);
    free(self->flat);
    free(self->value);
    free(self->label);
}

/* The points that count: paths of runs that did not diverge, and where all began. */
static void surface_frame(const race *self, race_surface *out)
{
    double low[2] = {(double)INFINITY, (double)INFINITY},
           high[2] = {-(double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < self->n; i++)
        for (size_t k = 0; k < self->run[i].n && (k == 0 || !self->run[i].diverged); k++)
            for (int d = 0; d < 2; d++) {
                low[d] = fmin(low[d], self->run[i].w[k][d]);
                high[d] = fmax(high[d], self->run[i].w[k][d]);
            }
    double wide = fmax(high[0] - low[0], high[1] - low[1]);
    for (int d = 0; d < 2; d++) {
        double own = high[d] - low[d], least = wide > 0 ? 0.4 * wide : 2;
        double room = 0.12 * own + (own < least ? (least - own) / 2 : 0);
        low[d] -= room;
        high[d] += room;
    }
    out->x0 = low[0];
    out->x1 = high[0];
    out->y0 = low[1];
    out->y1 = high[1];
}

/* Where the elements lie in the block, in the order of race_place. */
static void surface_places(surface *self, const ds_layout *layout)
{
    size_t n = 0;
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        for (size_t i = 0; i < param->rows * param->cols && n < 2; i++) {
            size_t r = param->transposed ? i % param->rows : i / param->cols;
            size_t c = param->transposed ? i / param->rows : i % param->cols;
            self->place[n++] = param->offset + r * param->stride + c;
        }
    }
}

static ds_status surface_samples(surface *self)
{
    const ds_splits *splits = ds_trainer_splits(self->trainer);
    const ds_dataset *data = splits->train;
    const ds_problem *problem = ds_model_problem(ds_trainer_model(self->trainer));
    bool alone = problem != NULL && !problem->reads_data;
    size_t most = alone ? 1 : SURFACE_SAMPLES, stride;
    uint64_t index[SURFACE_SAMPLES];
    self->n = data->n < most ? data->n : most;
    self->label = calloc(self->n * data->n_labels + 1, sizeof *self->label);
    self->value = calloc(self->n * data->n_targets + 1, sizeof *self->value);
    self->flat = calloc(ds_model_layout(ds_trainer_model(self->trainer))->n_floats, sizeof(float));
    DS_CHECK(self->label && self->value && self->flat, DS_ERR_NOMEM, "out of memory for a picture");
    const ds_config *config = ds_trainer_config(self->trainer);
    ds_workspace_spec spec = {.model = ds_trainer_model(self->trainer),
                              .kernels = ds_kernels_find(config->compute.kernels),
                              .loss = config->loss,
                              .loss_options = config->loss_options,
                              .rows = self->n,
                              .shards = 1};
    DS_TRY(ds_workspace_create(&spec, &self->workspace));
    for (size_t i = 0; i < self->n; i++)
        index[i] = i;
    float *x = ds_workspace_input(self->workspace, &stride);
    bool classes = data->kind == DS_TARGET_CLASS;
    ds_dataset_fetch(data, &splits->normalizer, self->n, index, x, stride,
                     classes ? self->label : NULL, classes ? NULL : self->value);
    return DS_OK;
}

static ds_status surface_values(surface *self, race_surface *out)
{
    const ds_dataset *data = ds_trainer_splits(self->trainer)->train;
    bool classes = data->kind == DS_TARGET_CLASS;
    ds_targets targets = {.label = classes ? self->label : NULL,
                          .value = classes ? NULL : self->value,
                          .width = data->n_targets};
    for (size_t j = 0; j < out->rows; j++)
        for (size_t i = 0; i < out->columns; i++) {
            double x = (double)i / (double)(out->columns - 1),
                   y = (double)j / (double)(out->rows - 1);
            self->flat[self->place[0]] = (float)(out->x0 + x * (out->x1 - out->x0));
            self->flat[self->place[1]] = (float)(out->y0 + y * (out->y1 - out->y0));
            DS_TRY(ds_model_forward(self->workspace, self->flat, self->n, &targets,
                                    &out->level[j * out->columns + i]));
        }
    return DS_OK;
}

static int surface_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Values to ranks, 0 to 1. */
static ds_status surface_rank(race_surface *self)
{
    size_t n = self->columns * self->rows;
    double *sorted = malloc(n * sizeof *sorted);
    DS_CHECK(sorted != NULL, DS_ERR_NOMEM, "out of memory for a picture");
    for (size_t i = 0; i < n; i++)
        if (!isfinite(self->level[i]))
            self->level[i] = 1e300;
    memcpy(sorted, self->level, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, surface_compare);
    for (size_t i = 0; i < n; i++) {
        size_t low = 0, high = n;
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (sorted[mid] < self->level[i])
                low = mid + 1;
            else
                high = mid;
        }
        self->level[i] = (double)low / (double)n;
    }
    free(sorted);
    return DS_OK;
}

static ds_status surface_fill(const race *race_of, surface *self, race_surface *out)
{
    ds_auto(ds_world) alone = NULL;
    ds_trainer_spec spec = {.config = race_of->text,
                            .path = race_of->path,
                            .n_set = race_of->set.n,
                            .set = race_of->set.item,
                            .inference = true,
                            .evaluate = true};
    DS_TRY(ds_world_self(&alone));
    DS_TRY(ds_trainer_open(alone, &spec, &self->trainer));
    ds_status st = surface_samples(self);
    surface_places(self, ds_model_layout(ds_trainer_model(self->trainer)));
    if (st == DS_OK)
        st = surface_values(self, out);
    ds_trainer_destroy(&self->trainer); /* before its world */
    DS_TRY(st);
    return surface_rank(out);
}

ds_status race_surface_make(const race *self, size_t columns, size_t rows, race_surface *out)
{
    race_surface made = {.columns = columns, .rows = rows};
    surface work = {0};
    surface_frame(self, &made);
    made.level = calloc(columns * rows, sizeof *made.level);
    DS_CHECK(made.level != NULL, DS_ERR_NOMEM, "out of memory for a picture");
    ds_status st = surface_fill(self, &work, &made);
    surface_free(&work);
    if (st != DS_OK) {
        free(made.level);
        return st;
    }
    *out = made;
    return DS_OK;
}
