/* A model, a workspace and a batch from a few lines of config, for the tests of models and layers.
 */
#ifndef DS_TEST_MODEL_RIG_H
#define DS_TEST_MODEL_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/config.h"
#include "descent/model.h"
#include "descent/rng.h"

enum { RIG_TOKENS = 5 }; /* ids of models that begin with a layer that reads them */

typedef struct model_rig {
    ds_config *config;
    ds_model *model;
    ds_workspace *workspace;
    float *params;
    size_t rows;
    int32_t *label;
    float *value;
    size_t width; /* of the output */
} model_rig;

#define RIG_OK(expr) \
    ck_assert_msg((expr) == DS_OK, "%s: %s\n%s", #expr, ds_last_error(), ds_last_trace())

/* A whole config around lines `model:` ... (the model starts in line 4). */
static inline ds_config *rig_config(const char *model, const char *loss)
{
    char text[4096];
    ds_config *config = NULL;
    snprintf(text, sizeof text,
             "name: test\ndata:\n  train: {format: synthetic, kind: blobs, samples: 100}\n%s\n"
             "loss: %s\nbatch: {size: 16, shards: 4}\noptimizer: {name: sgd, lr: 0.1}\n"
             "train: {epochs: 1}\n",
             model, loss);
    RIG_OK(ds_config_create(text, "test.yaml", 0, NULL, &config));
    return config;
}

static inline void rig_fill(model_rig *rig)
{
    size_t stride = 0, n = ds_shape_elements(ds_model_input(rig->model));
    float *x = ds_workspace_input(rig->workspace, &stride);
    ds_rng rng = ds_rng_for(7, "test/input");
    for (size_t r = 0; r < rig->rows; r++)
        for (size_t j = 0; j < n; j++)
            x[r * stride + j] = ds_model_layer(rig->model, 0)->ops->reads_ids
                                    ? (float)(ds_rng_bits(&rng, r * n + j) % RIG_TOKENS)
                                    : (float)ds_rng_normal(&rng, r * n + j);
    for (size_t i = 0; i < rig->rows; i++)
        rig->label[i] = (int32_t)(ds_rng_bits(&rng, i) % rig->width);
    for (size_t i = 0; i < rig->rows * rig->width; i++)
        rig->value[i] = (float)ds_rng_normal(&rng, 1000000 + i);
}

/* Model with initial values of seed 1 and `rows` normal samples with targets. */
static inline void rig_make(model_rig *rig, const char *model, const char *loss, size_t rows,
                            int shards, const ds_kernels *kernels)
{
    *rig = (model_rig){.config = rig_config(model, loss), .rows = rows};
    RIG_OK(ds_model_create(rig->config->model, 0, &rig->model));
    size_t n = ds_model_layout(rig->model)->n_floats;
    rig->width = ds_shape_elements(ds_model_output(rig->model));
    rig->params = calloc(n + 1, sizeof *rig->params);
    rig->label = calloc(rows + 1, sizeof *rig->label);
    rig->value = calloc(rows * rig->width + 1, sizeof *rig->value);
    ds_model_init(rig->model, 1, rig->params);
    ds_workspace_spec spec = {.model = rig->model,
                              .kernels = kernels,
                              .loss = rig->config->loss,
                              .loss_options = rig->config->loss_options,
                              .rows = rows,
                              .shards = shards,
                              .training = true};
    RIG_OK(ds_workspace_create(&spec, &rig->workspace));
    rig_fill(rig);
}

static inline ds_targets rig_targets(const model_rig *rig, size_t row)
{
    bool classes = rig->config->loss->target == DS_TARGET_CLASS;
    return (ds_targets){.label = classes ? rig->label + row : NULL,
                        .value = classes ? NULL : rig->value + row * rig->width,
                        .width = rig->width};
}

static inline ds_shard rig_shard(const model_rig *rig, size_t row, size_t rows)
{
    return (ds_shard){
        .first_row = row, .rows = rows, .position = row, .targets = rig_targets(rig, row)};
}

static inline void rig_free(model_rig *rig)
{
    ds_workspace_destroy(&rig->workspace);
    ds_model_destroy(&rig->model);
    ds_config_destroy(&rig->config);
    free(rig->params);
    free(rig->label);
    free(rig->value);
}

/* Run one case of loop tests over all suites' members; TAP on stdout. */
static inline int rig_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
