/* Data sets that need no file: lines, blobs, spirals in a few numbers, digits as 28 x 28 images.
 * Sample i is a pure function of (seed, split, i), by Philox. */
#include <stdio.h>
#include <string.h>

#include "descent/power.h"
#include "descent/rng.h"

#include "digits.h"
#include "read.h"

typedef enum synthetic_kind {
    SYNTHETIC_LINES,
    SYNTHETIC_BLOBS,
    SYNTHETIC_SPIRALS,
    SYNTHETIC_DIGITS
} synthetic_kind;

typedef struct synthetic_options {
    int kind;
    int64_t samples, classes, seed;
    double noise;
} synthetic_options;

static const ds_option options[] = {
    {.name = "kind",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(synthetic_options, kind),
     .choices = "lines|blobs|spirals|digits",
     .flags = DS_OPTION_REQUIRED,
     .help = "y = 2 x - 1; Gaussian clouds; spiral arms; drawn digits"},
    {.name = "samples",
     .type = DS_OPTION_INT,
     .offset = offsetof(synthetic_options, samples),
     .fallback = "1000",
     .min = 1,
     .max = 1e9,
     .help = "how many"},
    {.name = "classes",
     .type = DS_OPTION_INT,
     .offset = offsetof(synthetic_options, classes),
     .fallback = "3",
     .min = 2,
     .max = 64,
     .help = "clouds of blobs, arms of spirals"},
    {.name = "noise",
     .type = DS_OPTION_REAL,
     .offset = offsetof(synthetic_options, noise),
     .fallback = "0.1",
     .min = 0,
     .max = 1e6,
     .help = "standard deviation of what is added to coordinates; of digits: of pixels, 1 is black "
             "to white"},
    {.name = "seed",
     .type = DS_OPTION_INT,
     .offset = offsetof(synthetic_options, seed),
     .fallback = "-1",
     .min = -1,
     .max = 9e18,
     .help = "of its own; -1: the config's"},
    {.name = NULL},
};

enum { NUMBERS = 8 }; /* of the stream, for each sample of the small kinds */

/* x is (2); returns the label, or for lines the target in x[1]. */
static int64_t synthetic_point(const synthetic_options *o, const ds_rng *rng, size_t i, double x[2])
{
    uint64_t at = (uint64_t)i * NUMBERS;
    double u = ds_rng_uniform(rng, at), a = o->noise * ds_rng_normal(rng, at + 1),
           b = o->noise * ds_rng_normal(rng, at + 2);
    int64_t label = (int64_t)(i % (size_t)o->classes);
    if (o->kind == SYNTHETIC_LINES) {
        x[0] = 4 * u - 2;
        x[1] = 2 * x[0] - 1 + a;
    } else if (o->kind == SYNTHETIC_BLOBS) {
        double turn = (double)label / (double)o->classes;
        x[0] = ds_cos_turns(turn) + 3 * a;
        x[1] = ds_sin_turns(turn) + 3 * b;
    } else {
        double radius = 0.1 + 0.9 * u, turn = (double)label / (double)o->classes + 0.75 * radius;
        x[0] = radius * ds_cos_turns(turn) + 0.3 * a;
        x[1] = radius * ds_sin_turns(turn) + 0.3 * b;
    }
    return label;
}

static ds_status synthetic_points(const synthetic_options *o, const ds_read_request *request,
                                  const ds_rng *rng, ds_dataset *out)
{
    bool lines = o->kind == SYNTHETIC_LINES;
    ds_shape shape = {.n = 1, .dim = {lines ? 1 : 2}};
    float *values = NULL, *target = NULL;
    int64_t *label = NULL;
    DS_TRY(ds_read_input(request, "synthetic data", (size_t)o->samples, &shape, out));
    DS_TRY(ds_arena_take(out->arena, out->n, shape.dim[0] * sizeof *values, "samples", &values));
    DS_TRY(ds_arena_take(out->arena, out->n, sizeof *target, "targets", &target));
    DS_TRY(ds_arena_take(out->arena, out->n, sizeof *label, "labels", &label));
    for (size_t i = 0; i < out->n; i++) {
        double x[2];
        label[i] = synthetic_point(o, rng, i, x);
        for (size_t j = 0; j < shape.dim[0]; j++)
            values[i * shape.dim[0] + j] = (float)x[j];
        target[i] = (float)x[1];
    }
    out->values = values;
    if (!lines)
        return ds_read_labels(request, "synthetic data", label, out);
    DS_CHECK(request->kind == DS_TARGET_REAL, DS_ERR_USAGE,
             "synthetic lines have real targets: expected a loss such as mse, not one of classes");
    out->kind = DS_TARGET_REAL;
    out->target = target;
    out->n_targets = 1;
    return DS_OK;
}

static ds_status synthetic_digits(const synthetic_options *o, const ds_read_request *request,
                                  const ds_rng *rng, ds_dataset *out)
{
    ds_shape shape = {.n = 3, .dim = {1, DIGITS_SIDE, DIGITS_SIDE}};
    uint8_t *bytes = NULL;
    int64_t *label = NULL;
    DS_TRY(ds_read_input(request, "synthetic digits", (size_t)o->samples, &shape, out));
    DS_TRY(ds_arena_take(out->arena, out->n, DIGITS_SIDE * DIGITS_SIDE, "images", &bytes));
    DS_TRY(ds_arena_take(out->arena, out->n, sizeof *label, "labels", &label));
    for (size_t i = 0; i < out->n; i++) {
        label[i] = (int64_t)(i % 10);
        digits_draw((int)label[i], rng, i, o->noise, bytes + i * DIGITS_SIDE * DIGITS_SIDE);
    }
    out->bytes = bytes;
    return ds_read_labels(request, "synthetic digits", label, out);
}

static ds_status synthetic_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const synthetic_options *o = opts;
    char purpose[64];
    snprintf(purpose, sizeof purpose, "synthetic/%s", request->split);
    ds_rng rng = ds_rng_for(o->seed < 0 ? request->seed : (uint64_t)o->seed, purpose);
    return o->kind == SYNTHETIC_DIGITS ? synthetic_digits(o, request, &rng, out)
                                       : synthetic_points(o, request, &rng, out);
}

extern const ds_format_ops ds_format_synthetic;
const ds_format_ops ds_format_synthetic = {
    .name = "synthetic",
    .help = "made on the spot: lines, blobs, spirals, digits",
    .options = options,
    .options_size = sizeof(synthetic_options),
    .read = synthetic_read,
};
