/* descent gradcheck: do the gradients of a config's model agree with differences of its loss? All
 * ranks check the same samples in the same directions: the verdict cannot depend on their number,
 * only tell of a rank that computes otherwise. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "descent/trainer.h"

#include "args.h"
#include "command.h"
#include "shared_text.h"

enum { GRADCHECK_DIRECTIONS = 16, GRADCHECK_ROWS = 16 };

static ds_status gradcheck_local(const ds_trainer *trainer, ds_gradcheck *check)
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
    ds_status status = ds_model_gradcheck(workspace, ds_trainer_params(trainer), &shard,
                                          GRADCHECK_DIRECTIONS, seed, check);
    free(value);
    free(label);
    return status;
}

static void gradcheck_print(const char *name, const ds_gradcheck *check, size_t i,
                            ds_gradcheck_verdict verdict)
{
    static const char *const word[] = {[DS_GRADCHECK_AGREES] = "ok",
                                       [DS_GRADCHECK_DIFFERS] = "differs",
                                       [DS_GRADCHECK_UNDECIDED] = "undecided"};
    printf("%-32s %.3e +- %.1e  %s\n", name, ds_shown(check->difference[i]),
           ds_shown(check->doubt[i]), word[verdict]);
}

/* What was found over all tensors and all together. */
typedef struct gradcheck_tally {
    size_t n[3];  /* by verdict, frozen tensors apart */
    size_t bad;   /* entry of the largest error; meaningful where n[DIFFERS] > 0 */
    double doubt; /* the least of an undecided entry */
} gradcheck_tally;

static gradcheck_tally gradcheck_count(const ds_layout *layout, const ds_gradcheck *check,
                                       double tolerance, bool print)
{
    gradcheck_tally tally = {.doubt = (double)INFINITY};
    for (size_t i = 0; i < check->n; i++) {
        const ds_param *param = i < layout->n_params ? &layout->param[i] : NULL;
        if (param != NULL && !ds_param_learns(param)) {
            if (print)
                printf("%-32s frozen\n", param->name);
            continue;
        }
        ds_gradcheck_verdict verdict = ds_gradcheck_judge(check, i, tolerance);
        if (print)
            gradcheck_print(param != NULL ? param->name : "all together", check, i, verdict);
        if (verdict == DS_GRADCHECK_DIFFERS &&
            (tally.n[verdict] == 0 || check->error[i] > check->error[tally.bad]))
            tally.bad = i;
        if (verdict == DS_GRADCHECK_UNDECIDED)
            tally.doubt = fmin(tally.doubt, check->doubt[i]);
        tally.n[verdict]++;
    }
    return tally;
}

static ds_status gradcheck_verdict(ds_world *world, const ds_layout *layout,
                                   const ds_gradcheck *check, double tolerance)
{
    bool first = ds_world_rank(world) == 0;
    gradcheck_tally t = gradcheck_count(layout, check, tolerance, first);
    size_t undecided = t.n[DS_GRADCHECK_UNDECIDED], n = undecided;
    n += t.n[DS_GRADCHECK_AGREES] + t.n[DS_GRADCHECK_DIFFERS];
    DS_CHECK(t.n[DS_GRADCHECK_DIFFERS] == 0, DS_NO,
             "gradcheck: %s differs by %.3e +- %.1e, expected at most %.0e of its norm",
             t.bad < layout->n_params ? layout->param[t.bad].name : "the gradient",
             ds_shown(check->difference[t.bad]), ds_shown(check->doubt[t.bad]), tolerance);
    DS_CHECK(undecided < n, DS_NO,
             "gradcheck: nothing was decided: the least doubt of a slope is %.1e of its norm, "
             "expected at most %.0e; the loss is too flat or too curved here",
             t.doubt, tolerance);
    if (undecided > 0 && first)
        printf("%zu of %zu undecided: no step tells their slopes from rounding or curvature\n",
               undecided, n);
    return DS_OK;
}

/* The worst of all ranks. */
static ds_status gradcheck_gather(ds_world *world, const ds_gradcheck *check)
{
    DS_TRY(ds_world_max(world, check->error, check->n));
    DS_TRY(ds_world_max(world, check->difference, check->n));
    return ds_world_max(world, check->doubt, check->n);
}

static ds_status gradcheck_check(ds_world *world, const ds_trainer *trainer, double tolerance)
{
    const ds_layout *layout = ds_model_layout(ds_trainer_model(trainer));
    size_t n = layout->n_params + 1;
    double *figures = calloc(3 * n, sizeof *figures);
    ds_gradcheck check = {n, figures, figures + n, figures + 2 * n};
    ds_status status =
        figures != NULL ? gradcheck_local(trainer, &check) : DS_FAIL(DS_ERR_NOMEM, "out of memory");
    status = ds_agree(world, status);
    if (status == DS_OK)
        status = gradcheck_gather(world, &check);
    if (status == DS_OK)
        status = gradcheck_verdict(world, layout, &check, tolerance);
    free(figures);
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
    .help =
        "Compares the gradient of the config's model at its initial values, tensor by tensor, "
        "with central differences of the\n"
        "loss (summed in double) along 16 random directions, on samples of the training data; "
        "under mpirun every rank checks\n"
        "the same, and the largest figures count. Printed is the norm-relative difference, then "
        "its doubt: what rounding and\n"
        "curvature of the loss leave open.\n"
        "  ok         difference and doubt are within the tolerance\n"
        "  differs    the difference exceeds the tolerance by more than 2 doubts\n"
        "  undecided  neither, as of a slope lost in rounding\n"
        "Exit code 1 where something differs, or where nothing is decided.\n",
    .computes = true,
    .run = gradcheck_run,
};
