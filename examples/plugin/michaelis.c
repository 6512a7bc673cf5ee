/* A plug-in for descent: the Michaelis-Menten law of enzyme kinetics, v = vmax c / (km + c), fitted
 * to measured rates by least squares. Build it with this folder's one line, and train it on any
 * number of ranks:
 *
 *     cc -shared -fPIC -O2 -I ../../include -o libmichaelis.so michaelis.c
 *     mpirun -n 2 descent train michaelis.yaml
 *
 * The loss of a sample is (v - rate)^2. + - * / alone: the same bits on every CPU. */
#include <stdio.h>
#include <stdlib.h>

#include "descent/plugin.h"

enum { VMAX, KM, TENSORS };

/* Parameters in units in which they are about 1: descent treats all elements alike. */
static const ds_plugin_tensor tensors[TENSORS] = {{"vmax", 0, {0}}, {"km", 0, {0}}};
static const ds_plugin_option options[TENSORS] = {
    {"vmax", DS_PLUGIN_REAL, "100", 1e-30, 1e30, "a guess of the largest rate, and its unit"},
    {"km", DS_PLUGIN_REAL, "0.1", 1e-30, 1e30,
     "a guess of the half-rate concentration, and its unit"},
};

typedef struct kinetics {
    double unit[TENSORS];
} kinetics;

static int kinetics_open(const ds_plugin_setup *setup, ds_plugin_problem *out, char *message)
{
    kinetics *self = malloc(sizeof *self);
    if (self == NULL) {
        snprintf(message, DS_PLUGIN_MESSAGE, "out of memory");
        return DS_PLUGIN_UNFIT;
    }
    for (int i = 0; i < TENSORS; i++)
        self->unit[i] = setup->option[i].real;
    *out = (ds_plugin_problem){.self = self, .n_tensors = TENSORS, .tensor = tensors};
    return DS_PLUGIN_OK;
}

static int kinetics_initial(void *self, uint64_t seed, float *const *param, char *message)
{
    (void)self, (void)seed, (void)message;
    *param[VMAX] = 1;
    *param[KM] = 1;
    return DS_PLUGIN_OK;
}

static double kinetics_rate(const kinetics *self, const float *const *param, double c)
{
    return self->unit[VMAX] * (double)*param[VMAX] * c / (self->unit[KM] * (double)*param[KM] + c);
}

static int kinetics_loss(void *data, const ds_plugin_shard *shard, const float *const *param,
                         double *loss, float *const *gradient, char *message)
{
    const kinetics *self = data;
    const double km = self->unit[KM] * (double)*param[KM];
    double sum = 0, by_vmax = 0, by_km = 0;
    (void)message;
    for (size_t i = 0; i < shard->n; i++) {
        const double c = (double)shard->x[i * shard->x_stride];
        const double v = kinetics_rate(self, param, c), error = v - (double)shard->target[i];
        sum += error * error;
        by_vmax += 2 * error * self->unit[VMAX] * c / (km + c);
        by_km -= 2 * error * self->unit[KM] * v / (km + c);
    }
    *loss = sum;
    if (gradient != NULL) {
        *gradient[VMAX] = (float)by_vmax;
        *gradient[KM] = (float)by_km;
    }
    return DS_PLUGIN_OK;
}

static int kinetics_predict(void *self, const ds_plugin_shard *shard, const float *const *param,
                            float *y, size_t y_stride, char *message)
{
    (void)message;
    for (size_t i = 0; i < shard->n; i++)
        y[i * y_stride] = (float)kinetics_rate(self, param, (double)shard->x[i * shard->x_stride]);
    return DS_PLUGIN_OK;
}

static void kinetics_close(void *self)
{
    free(self);
}

const ds_plugin descent_plugin = {
    .abi = DS_PLUGIN_ABI,
    .bytes = sizeof(ds_plugin),
    .name = "michaelis",
    .data = DS_PLUGIN_NUMBERS,
    .n_inputs = 1,
    .n_targets = 1,
    .n_options = TENSORS,
    .option = options,
    .open = kinetics_open,
    .initial = kinetics_initial,
    .loss = kinetics_loss,
    .predict = kinetics_predict,
    .close = kinetics_close,
};
