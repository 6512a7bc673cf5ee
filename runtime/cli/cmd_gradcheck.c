/* descent gradcheck: do the gradients of a config's model agree with differences of its loss? All
 * ranks check the same samples in the same directions: the verdict cannot depend on their number,
 * only tell of a rank that computes otherwise. */
#include <stdio.h>
#include <stdlib.h>

#include "descent/trainer.h"

#include "args.h"
#include "command.h"
#include "shared_text.h"

enum { GRADCHECK_DIRECTIONS = 16, GRADCHECK_ROWS = 16 };

static ds_status gradcheck_local(const ds_trainer *trainer, double *error)
{
    const ds_config *config = ds_trainer_config(trainer);
    const ds_dataset *data = ds_trainer_splits(trainer)->train;
    size_t n = data->n < GRADCHECK_ROWS ? data->n : GRADCHECK_ROWS, stride;
    ds_workspace_spec spec = {.model = ds_trainer_model(trainer),
                              .kernels = ds_kernels_find(config->compute.kernels),
                              .loss = config->loss,
                              .loss_options = config->loss_options,
                              .rows = n,
                              .shards = 1,
                              .training = true};
    size_t n_weights;
    spec.class_weight = ds_trainer_class_weights(trainer, &n_weights);
    ds_auto(ds_workspace) workspace = NULL;
    DS_TRY(ds_workspace_create(&spec, &workspace));
    float *x = ds_workspace_input(workspace, &stride);
    uint64_t index[GRADCHECK_ROWS], seed = config->seed;
    ds_order order = ds_order_for(seed, 0, data->n);
    for (size_t i = 0; i < n; i++)
        index[i] = ds_order_at(&order, i);
    int32_t *label = calloc(n * data->n_labels + 1, sizeof *label);
    float *value = calloc(n * data->n_targets + 1, sizeof *value);
    if (value == NULL || label == NULL) {
        free(value);
        free(label);
        return DS_FAIL(DS_ERR_NOMEM, "out of memory for targets");
    }
    bool classes = data->kind == DS_TARGET_CLASS;
    ds_dataset_fetch(data, &ds_trainer_splits(trainer)->normalizer, n, index, x, stride,
                     classes ? label : NULL, classes ? NULL : value);
    ds_shard shard = {.rows = n};
    shard.targets = (ds_targets){
        .label = classes ? label : NULL, .value = classes ? NULL : value, .width = data->n_targets};
    ds_gradcheck check = {.n = ds_model_layout(spec.model)->n_params + 1, .error = error};
    ds_status status = ds_model_gradcheck(workspace, ds_trainer_params(trainer), &shard,
                                          GRADCHECK_DIRECTIONS, seed, &check);
    free(value);
    free(label);
    return status;
}

static ds_status gradcheck_verdict(ds_world *world, const ds_layout *layout, const double *error,
                                   double tolerance)
{
    size_t bad = layout->n_params + 1;
    for (size_t i = 0; i <= layout->n_params; i++) {
        const char *name = i < layout->n_params ? layout->param[i].name : "all together";
        bool good = error[i] <= tolerance;
        if (ds_world_rank(world) == 0)
            printf("%-32s %.3e%s\n", name, ds_shown(error[i]), good ? "" : "  differs");
        if (!good && (bad > layout->n_params || error[i] > error[bad]))
            bad = i;
    }
    DS_CHECK(bad > layout->n_params, DS_NO,
             "gradcheck: %s differs by %.3e, expected at most %.0e of its norm",
             bad < layout->n_params ? layout->param[bad].name : "the gradient",
             ds_shown(error[bad]), tolerance);
    return DS_OK;
}

static ds_status gradcheck_check(ds_world *world, const ds_trainer *trainer, double tolerance)
{
    const ds_layout *layout = ds_model_layout(ds_trainer_model(trainer));
    double *error = calloc(layout->n_params + 1, sizeof *error);
    ds_status status =
        error != NULL ? gradcheck_local(trainer, error) : DS_FAIL(DS_ERR_NOMEM, "out of memory");
    status = ds_agree(world, status);
    if (status == DS_OK)
        status = ds_world_max(world, error, layout->n_params + 1);
    if (status == DS_OK)
        status = gradcheck_verdict(world, layout, error, tolerance);
    free(error);
    return status;
}

static ds_status gradcheck_run(ds_world *world, int argc, char **argv)
{
    arg_list set = {0}, positional;
    const char *tolerance = "1e-3";
    const arg table[] = {
        {"--set", ARG_LIST, &set}, {"--tolerance", ARG_VALUE, &tolerance}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("gradcheck", &positional, 1, 1, "one config file"));
    char *text = NULL, path[4096], *end = NULL;
    double bound = strtod(tolerance, &end);
    DS_CHECK(*end == '\0' && bound > 0, DS_ERR_USAGE,
             "gradcheck: --tolerance '%s'; expected a number > 0", tolerance);
    DS_TRY(shared_config_text(world, positional.item[0], &text, sizeof path, path));
    ds_trainer_spec spec = {.config = text,
                            .path = path,
                            .n_set = set.n,
                            .set = set.item,
                            .inference = true,
                            .evaluate = true};
    ds_auto(ds_trainer) trainer = NULL;
    ds_status status = ds_trainer_open(world, &spec, &trainer);
    free(text);
    DS_TRY(status);
    DS_CHECK(ds_trainer_splits(trainer)->train != NULL, DS_ERR_USAGE,
             "gradcheck: the config has no training data");
    return gradcheck_check(world, trainer, bound);
}

extern const ds_command ds_command_gradcheck;
const ds_command ds_command_gradcheck = {
    .name = "gradcheck",
    .usage = "gradcheck CONFIG [--set KEY=VALUE]... [--tolerance 1e-3]",
    .help = "Compares the gradient of the config's model at its initial values, tensor by tensor, "
            "with central differences of the\n"
            "loss (summed in double) along 16 random directions, on samples of the training data; "
            "under mpirun every rank checks\n"
            "the same, and the largest error counts.\n"
            "Exit code 1 where the norm-relative error exceeds the tolerance.\n",
    .computes = true,
    .run = gradcheck_run,
};
