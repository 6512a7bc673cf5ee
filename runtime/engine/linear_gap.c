/* A linear regression has a closed form: how far is the result from it? Asked once at the end of a
 * run whose model is a single dense layer under mse, on rank 0, where the data are small enough to
 * be solved in a moment. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descent/least_squares.h"

#include "trainer_parts.h"

typedef struct linear_gap {
    size_t rows, cols, targets; /* cols counts the bias */
    double *a, *b, *best, *found;
    uint64_t *index;
    float *x, *value;
} linear_gap;

/* The dense layer of a linear regression, or NULL. */
static const ds_layer *linear_layer(const ds_trainer *self)
{
    const ds_layer *dense = NULL;
    for (size_t i = 0; i < ds_model_n_layers(self->model); i++) {
        const ds_layer *layer = ds_model_layer(self->model, i);
        if (strcmp(layer->ops->name, "flatten") == 0)
            continue;
        if (dense != NULL || strcmp(layer->ops->name, "dense") != 0)
            return NULL;
        dense = layer;
    }
    bool plain = strcmp(self->config->loss->name, "mse") == 0 &&
                 !ds_augment_any(&self->config->data.augment);
    return plain ? dense : NULL;
}

static bool linear_small(const linear_gap *g)
{
    double work = (double)g->rows * (double)g->cols;
    return work <= 1e7 && work * (double)g->cols <= 1e10;
}

static void linear_read(ds_trainer *self, linear_gap *g)
{
    const ds_dataset *data = self->splits->train;
    size_t inputs = g->cols - 1;
    for (size_t i = 0; i < g->rows; i++)
        g->index[i] = i;
    ds_dataset_fetch(data, &self->splits->normalizer, g->rows, g->index, g->x, inputs, NULL,
                     g->value);
    for (size_t i = 0; i < g->rows; i++) {
        for (size_t j = 0; j < inputs; j++)
            g->a[j * g->rows + i] = (double)g->x[i * inputs + j];
        g->a[inputs * g->rows + i] = 1;
        for (size_t t = 0; t < g->targets; t++)
            g->b[t * g->rows + i] = (double)g->value[i * g->targets + t];
    }
}

/* The model's weights as the columns of least squares: (cols, targets), the bias last. */
static void linear_found(const ds_trainer *self, const ds_layer *dense, linear_gap *g)
{
    const float *flat = ds_trainer_params(self);
    const ds_param *weight = dense->param[0];
    for (size_t t = 0; t < g->targets; t++) {
        for (size_t j = 0; j + 1 < g->cols; j++)
            g->found[t * g->cols + j] = (double)flat[weight->offset + j * weight->stride + t];
        g->found[t * g->cols + g->cols - 1] =
            dense->n_params > 1 ? (double)flat[dense->param[1]->offset + t] : 0;
    }
}

/* Mean squared error of coefficients c. */
static double linear_loss(const linear_gap *g, const double *c)
{
    double sum = 0;
    size_t inputs = g->cols - 1;
    for (size_t i = 0; i < g->rows; i++)
        for (size_t t = 0; t < g->targets; t++) {
            double y = c[t * g->cols + inputs] - (double)g->value[i * g->targets + t];
            for (size_t j = 0; j < inputs; j++)
                y += c[t * g->cols + j] * (double)g->x[i * inputs + j];
            sum += y * y;
        }
    return sum / (double)(g->rows * g->targets);
}

static ds_status linear_solve(ds_trainer *self, const ds_layer *dense, linear_gap *g,
                              ds_linear_gap *out)
{
    DS_CHECK(g->a && g->b && g->best && g->found && g->index && g->x && g->value, DS_ERR_NOMEM,
             "out of memory for the closed-form solution");
    linear_read(self, g);
    linear_found(self, dense, g);
    DS_TRY(ds_least_squares(g->rows, g->cols, g->targets, g->a, g->b, g->best));
    double distance = 0, size = 0;
    for (size_t k = 0; k < g->cols * g->targets; k++) {
        distance += (g->found[k] - g->best[k]) * (g->found[k] - g->best[k]);
        size += g->best[k] * g->best[k];
    }
    *out = (ds_linear_gap){.loss = linear_loss(g, g->found),
                           .best_loss = linear_loss(g, g->best),
                           .distance = size > 0 ? sqrt(distance / size) : sqrt(distance)};
    return DS_OK;
}

ds_status linear_gap_find(ds_trainer *self, bool *applies, ds_linear_gap *out)
{
    const ds_layer *dense = linear_layer(self);
    *applies = false;
    if (dense == NULL || dense->n_params < 2)
        return DS_OK;
    linear_gap g = {.rows = self->splits->train->n,
                    .cols = ds_shape_elements(&dense->in) + 1,
                    .targets = ds_shape_elements(&dense->out)};
    if (!linear_small(&g))
        return DS_OK;
    g.a = malloc(g.rows * g.cols * sizeof *g.a);
    g.b = malloc(g.rows * g.targets * sizeof *g.b);
    g.best = malloc(g.cols * g.targets * sizeof *g.best);
    g.found = malloc(g.cols * g.targets * sizeof *g.found);
    g.index = malloc(g.rows * sizeof *g.index);
    g.x = malloc(g.rows * g.cols * sizeof *g.x);
    g.value = malloc(g.rows * g.targets * sizeof *g.value);
    ds_status status = linear_solve(self, dense, &g, out);
    *applies = status == DS_OK;
    void *blocks[] = {g.a, g.b, g.best, g.found, g.index, g.x, g.value};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
    return status;
}
