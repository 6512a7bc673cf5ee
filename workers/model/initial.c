/* Initial values (Glorot and Bengio 2010; He et al. 2015; gain 1 for xavier, sqrt 2 for he). Each
 * is a function of seed, tensor name and outside index alone, so no layout or rank count can change
 * it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/rng.h"

#include "graph.h"

/* Uniform in [-spread, spread), normal of deviation spread, or the constant spread. */
typedef enum initial_law { INITIAL_CONSTANT, INITIAL_UNIFORM, INITIAL_NORMAL } initial_law;

static initial_law initial_find(const ds_initial *self, double *spread)
{
    double in = (double)self->fan_in, both = in + (double)self->fan_out;
    switch (self->kind) {
    case DS_INIT_ONES:
        *spread = 1;
        return INITIAL_CONSTANT;
    case DS_INIT_NORMAL:
        *spread = 0.01;
        return INITIAL_NORMAL;
    case DS_INIT_XAVIER_UNIFORM:
        *spread = sqrt(6 / both);
        return INITIAL_UNIFORM;
    case DS_INIT_XAVIER_NORMAL:
        *spread = sqrt(2 / both);
        return INITIAL_NORMAL;
    case DS_INIT_HE_UNIFORM:
        *spread = sqrt(6 / in);
        return INITIAL_UNIFORM;
    case DS_INIT_HE_NORMAL:
        *spread = sqrt(2 / in);
        return INITIAL_NORMAL;
    case DS_INIT_DEFAULT:
    case DS_INIT_ZEROS:
    default:
        *spread = 0;
        return INITIAL_CONSTANT;
    }
}

static float initial_value(initial_law law, double spread, const ds_rng *rng, uint64_t index)
{
    if (law == INITIAL_NORMAL)
        return (float)(spread * ds_rng_normal(rng, index));
    if (law == INITIAL_UNIFORM)
        return (float)(spread * (2 * ds_rng_uniform(rng, index) - 1));
    return (float)spread;
}

static void initial_fill(const ds_param *param, const ds_initial *initial, uint64_t seed, float *w)
{
    char purpose[256];
    snprintf(purpose, sizeof purpose, "init/%s", param->name);
    ds_rng rng = ds_rng_for(seed, purpose);
    double spread = 0;
    initial_law law = initial_find(initial, &spread);
    for (size_t r = 0; r < param->rows; r++)
        for (size_t c = 0; c < param->cols; c++) {
            size_t index = param->transposed ? c * param->rows + r : r * param->cols + c;
            w[r * param->stride + c] = initial_value(law, spread, &rng, index);
        }
}

void ds_model_init(const ds_model *self, uint64_t seed, float *flat)
{
    if (self->problem != NULL) {
        memcpy(flat, self->problem->initial, self->layout.n_floats * sizeof *flat);
        return;
    }
    memset(flat, 0, self->layout.n_floats * sizeof *flat);
    for (size_t p = 0; p < self->layout.n_params; p++) {
        const ds_param *param = &self->layout.param[p];
        initial_fill(param, &self->initial[p], seed, flat + param->offset);
    }
}
