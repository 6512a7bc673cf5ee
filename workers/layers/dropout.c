/* Dropout (Srivastava et al. 2014): in training each element is zero with probability p, the others
 * grow by 1 / (1 - p); otherwise nothing happens. The choice is a pure function of seed, layer
 * name, step and the sample's position in the step's batch, so it does not know ranks or passes;
 * backward draws it again instead of keeping it. */
#include <stdio.h>

#include "descent/rng.h"

#include "activation.h"

typedef struct dropout_options {
    double p;
} dropout_options;

static const ds_option options[] = {
    {.name = "p",
     .type = DS_OPTION_REAL,
     .offset = offsetof(dropout_options, p),
     .fallback = "0.5",
     .min = 0,
     .max = DS_BELOW_1,
     .help = "probability of a zero"},
    {.name = NULL},
};

/* Row r of `to` from `from`: four elements a block of the generator. */
static void dropout_row(const dropout_options *o, const ds_rng *rng, const ds_rows *rows, size_t r,
                        size_t n, const float *from, float *to)
{
    uint64_t position = rows->position + r, blocks = (n + 3) / 4;
    uint32_t limit = (uint32_t)(o->p * 0x1p32), word[4];
    float grow = (float)(1 / (1 - o->p));
    for (uint64_t b = 0; b < blocks; b++) {
        ds_rng_block(rng, (uint64_t)rows->step, position * blocks + b, word);
        for (size_t i = 0; i < 4 && 4 * b + i < n; i++)
            to[4 * b + i] = word[i] < limit ? 0 : from[4 * b + i] * grow;
    }
}

static ds_rng dropout_rng(const ds_layer *self, const ds_rows *rows)
{
    char purpose[128];
    snprintf(purpose, sizeof purpose, "dropout/%s", self->name);
    return ds_rng_for(rows->seed, purpose);
}

static ds_status dropout_forward(const ds_layer *self, const ds_kernels *k, const float *params,
                                 const ds_rows *rows)
{
    (void)k, (void)params;
    size_t n = ds_shape_elements(&self->in);
    ds_rng rng = dropout_rng(self, rows);
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride;
        float *y = rows->y + r * rows->y_stride;
        if (rows->training)
            dropout_row(self->options, &rng, rows, r, n, x, y);
        for (size_t i = 0; i < n && !rows->training && y != x; i++)
            y[i] = x[i];
    }
    return DS_OK;
}

static ds_status dropout_backward(const ds_layer *self, const ds_kernels *k, const float *params,
                                  const ds_rows *rows)
{
    (void)k, (void)params;
    size_t n = ds_shape_elements(&self->in);
    ds_rng rng = dropout_rng(self, rows);
    for (size_t r = 0; r < rows->n; r++)
        dropout_row(self->options, &rng, rows, r, n, rows->dy + r * rows->y_stride,
                    rows->dx + r * rows->x_stride);
    return DS_OK;
}

extern const ds_layer_ops ds_layer_dropout;
const ds_layer_ops ds_layer_dropout = {
    .name = "dropout",
    .help = "zeros at random while training (Srivastava et al. 2014)",
    .options = options,
    .options_size = sizeof(dropout_options),
    .in_place = true,
    .prepare = ds_activation_prepare,
    .forward = dropout_forward,
    .backward = dropout_backward,
};
