/* A plug-in for tests: linear regression (the mean over targets of squared errors), whose weight of
 * shape (targets, inputs) lies padded in descent's block; and every way to go wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/plugin.h"

#ifndef FAULTY_ABI
#define FAULTY_ABI DS_PLUGIN_ABI
#endif
#ifndef FAULTY_BYTES
#define FAULTY_BYTES sizeof(ds_plugin)
#endif
#ifndef FAULTY_DATA
#define FAULTY_DATA DS_PLUGIN_NUMBERS
#endif
#ifndef FAULTY_AT /* the defaults of "at" and "scale" */
#define FAULTY_AT "0"
#endif
#ifndef FAULTY_SCALE
#define FAULTY_SCALE "1"
#endif
#ifndef FAULTY_SYMBOL
#define FAULTY_SYMBOL descent_plugin
#endif

enum { FAULT, AT, SCALE, OPTIONS };
static const ds_plugin_option options[OPTIONS] = {
    {"fault", DS_PLUGIN_TEXT, "none", 0, 0, "what goes wrong"},
    {"at", DS_PLUGIN_INTEGER, FAULTY_AT, 0, 1e9, "from which step on"},
    {"scale", DS_PLUGIN_REAL, FAULTY_SCALE, 0, 1e9, "of the loss"},
};

typedef struct faulty {
    char fault[32];
    int64_t at;
    double scale;
    size_t inputs, targets;
    ds_plugin_tensor tensor[2];
} faulty;

static int faulty_open(const ds_plugin_setup *setup, ds_plugin_problem *out, char *message)
{
    faulty *self = calloc(1, sizeof *self);
    if (self == NULL || strcmp(setup->option[FAULT].text, "open") == 0) {
        free(self);
        snprintf(message, DS_PLUGIN_MESSAGE, "asked not to\nopen");
        return DS_PLUGIN_UNFIT;
    }
    snprintf(self->fault, sizeof self->fault, "%s", setup->option[FAULT].text);
    self->at = setup->option[AT].integer;
    self->scale = setup->option[SCALE].real;
    self->inputs = setup->n_inputs;
    self->targets = setup->n_targets;
    self->tensor[0] = (ds_plugin_tensor){"weight", 2, {self->targets, self->inputs}};
    self->tensor[1] = (ds_plugin_tensor){"bias", 1, {self->targets}};
    if (strcmp(self->fault, "twice") == 0)
        self->tensor[1].name = "weight";
    if (strcmp(self->fault, "shape") == 0)
        self->tensor[1].dim[0] = 0;
    *out = (ds_plugin_problem){self, strcmp(self->fault, "tensors") == 0 ? 0 : 2,
                               strcmp(self->fault, "table") == 0 ? NULL : self->tensor};
    return DS_PLUGIN_OK;
}

static int faulty_initial(void *data, uint64_t seed, float *const *param, char *message)
{
    const faulty *self = data;
    (void)seed, (void)message;
    param[1][0] = 0;
    return strcmp(self->fault, "initial") == 0 ? 77 : DS_PLUGIN_OK;
}

static double faulty_output(const faulty *self, const float *const *param, const float *x, size_t t)
{
    double z = (double)param[1][t];
    for (size_t j = 0; j < self->inputs; j++)
        z += (double)param[0][t * self->inputs + j] * (double)x[j];
    return z;
}

static double faulty_target(const faulty *self, const ds_plugin_shard *shard, size_t i, size_t t)
{
    if (shard->label != NULL)
        return shard->label[i] == (int32_t)t;
    return (double)shard->target[i * self->targets + t];
}

static void faulty_add(const faulty *self, const float *x, size_t t, double by_z, float *const *g)
{
    for (size_t j = 0; j < self->inputs; j++)
        g[0][t * self->inputs + j] += (float)(by_z * (double)x[j]);
    g[1][t] += (float)by_z;
}

static int faulty_loss(void *data, const ds_plugin_shard *shard, const float *const *param,
                       double *loss, float *const *gradient, char *message)
{
    const faulty *self = data;
    const double share = self->scale / (double)self->targets;
    const int now = shard->step >= self->at, plane = strcmp(self->fault, "plane") == 0;
    double sum = 0;
    for (size_t i = 0; i < shard->n; i++)
        for (size_t t = 0; t < self->targets; t++) {
            const float *x = shard->x + i * shard->x_stride;
            double error = faulty_output(self, param, x, t) - faulty_target(self, shard, i, t);
            sum += share * error * (plane ? 1 : error); /* a plane has no lower bound */
            if (gradient != NULL)
                faulty_add(self, x, t, share * (plane ? 1 : 2 * error), gradient);
        }
    *loss = sum;
    /* one sample in the middle of the batch */
    const int mine = shard->position <= 21 && 21 < shard->position + shard->n;
    if (now && mine && strcmp(self->fault, "nan") == 0)
        *loss = (double)NAN;
    if (!shard->training && strcmp(self->fault, "evaluation") == 0)
        *loss = -(double)NAN;
    if (now && mine && strcmp(self->fault, "nan_gradient") == 0 && gradient != NULL)
        gradient[1][0] = NAN;
    if (now && mine && strcmp(self->fault, "loss") == 0) {
        snprintf(message, DS_PLUGIN_MESSAGE, "asked to fail");
        return 1;
    }
    if (now && mine && strcmp(self->fault, "exit") == 0)
        exit(0);
    if (now && mine && strcmp(self->fault, "data") == 0)
        return DS_PLUGIN_BAD_DATA;
    if (now && mine && strcmp(self->fault, "diverged") == 0)
        return DS_PLUGIN_DIVERGED;
    return DS_PLUGIN_OK;
}

static int faulty_predict(void *data, const ds_plugin_shard *shard, const float *const *param,
                          float *y, size_t y_stride, char *message)
{
    const faulty *self = data;
    const int lost = strcmp(self->fault, "predict") == 0;
    (void)message;
    for (size_t i = 0; i < shard->n; i++)
        for (size_t t = 0; t < self->targets; t++)
            y[i * y_stride + t] =
                lost && shard->x[i * shard->x_stride] < 0
                    ? -NAN
                    : (float)faulty_output(self, param, shard->x + i * shard->x_stride, t);
    return DS_PLUGIN_OK;
}

extern const ds_plugin FAULTY_SYMBOL __attribute__((visibility("default")));
const ds_plugin FAULTY_SYMBOL = {
    .abi = FAULTY_ABI,
    .bytes = FAULTY_BYTES,
    .name = "faulty",
    .data = FAULTY_DATA,
    .n_options = OPTIONS,
    .option = options,
    .open = faulty_open,
    .initial = faulty_initial,
    .loss = faulty_loss,
    .predict = faulty_predict,
    .close = free,
};
