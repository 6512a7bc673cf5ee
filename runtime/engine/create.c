/* Putting a trainer together: config, kernels, numerics, model, data, plan, synchronisation,
 * memory, first values. Local work, then agreement, phase by phase: all ranks go on or none. */
#include <stdio.h>
#include <string.h>

#include "trainer_parts.h"

/* What the CPUs of all ranks have: the instruction set of `auto` where bits depend on it. */
static ds_status create_lowest_isa(ds_world *world, int *lowest)
{
    double negated = -ds_kernels_isa();
    DS_TRY(ds_world_max(world, &negated, 1));
    *lowest = (int)-negated;
    return DS_OK;
}

/* Factors are state of an optimizer: whoever only infers has none. */
static ds_status create_layers(ds_trainer *self)
{
    const ds_config *config = self->config;
    bool factored = !self->inference && config->optimizer->keep != NULL;
    return factored ? ds_model_create_factored(config->model, 0, &self->model)
                    : ds_model_create(config->model, 0, &self->model);
}

static ds_status create_model(ds_trainer *self)
{
    ds_config *config = self->config;
    ds_model_destroy(&self->model);
    if (config->problem != NULL) {
        DS_TRY(ds_model_create_problem(config->problem, config->seed, &self->model));
        config->loss = ds_problem_objective(ds_model_problem(self->model)->target);
    } else {
        DS_TRY(create_layers(self));
    }
    self->positions = ds_model_positions(self->model, config->loss->target);
    const ds_value *data = ds_value_find(config->root, "data");
    return ds_augment_check(&config->data.augment, ds_model_input(self->model),
                            ds_value_find(data, "augment"));
}

/* A preset's last layer has as many outputs as the data have classes or target columns. */
static ds_status create_outputs(ds_trainer *self)
{
    const ds_dataset *data = self->splits->train != NULL ? self->splits->train : self->splits->test;
    if (self->config->preset == NULL || data == NULL)
        return DS_OK;
    DS_TRY(ds_config_fit(self->config,
                         data->kind == DS_TARGET_CLASS ? data->n_classes : data->n_targets));
    return create_model(self);
}

static void create_say_idle(const ds_trainer *self)
{
    const char *key = ds_config_idle_rate(self->config);
    if (key != NULL && ds_world_rank(self->world) == 0)
        ds_log(DS_LOG_WARN, "%s has no meaning here: optimizer %s searches its steps; leave it out",
               key, self->config->optimizer->name);
}

static ds_status create_config(ds_trainer *self, const ds_trainer_spec *spec, int lowest_isa)
{
    DS_CHECK(spec->config != NULL, DS_ERR_USAGE, "no config text");
    DS_TRY(ds_config_create(spec->config, spec->path == NULL ? "" : spec->path, spec->n_set,
                            spec->set, &self->config));
    DS_TRY(ds_sync_check(self->config));
    if (!spec->inference)
        create_say_idle(self);
    const ds_compute_config *compute = &self->config->compute;
    self->kernels = ds_kernels_find(compute->kernels);
    DS_CHECK(self->kernels != NULL, DS_ERR_USAGE,
             "compute.kernels: '%s' is not in this build (see descent list kernels); auto takes "
             "the best that is",
             compute->kernels);
    /* Native products have the same bits on all: nobody needs to compute as the least of them. */
    bool lowest = strcmp(compute->isa, "auto") == 0 && self->kernels->product == NULL;
    DS_TRY(ds_kernels_limit_isa(lowest ? ds_kernels_isa_name(lowest_isa) : compute->isa));
    self->products = compute->bf16 ? self->kernels->bf16 : self->kernels;
    DS_CHECK(self->products != NULL, DS_ERR_USAGE,
             "compute.precision: kernels '%s' have no products of bf16; use compute.kernels auto",
             compute->kernels);
    DS_TRY(ds_kernels_set_threads((int)compute->threads));
    ds_numerics_read(self->products, (int)compute->threads, &self->numerics);
    DS_TRY(create_model(self));
    return create_problem_fits(self, spec);
}

/* Other numerics, other bits: no run may mix them. */
static ds_status create_numerics(ds_trainer *self)
{
    int n = ds_world_size(self->world);
    ds_numerics *all = NULL;
    ds_status mine =
        ds_arena_take(self->arena, (size_t)n, sizeof *all, "the ranks' numerics", &all);
    DS_TRY(ds_agree(self->world, mine));
    DS_TRY(ds_world_gather_all(self->world, &self->numerics, sizeof self->numerics, all));
    for (int r = 1; r < n; r++) {
        char first[512], other[512];
        if (memcmp(&all[0], &all[r], sizeof all[0]) == 0)
            continue;
        ds_numerics_text(&all[0], sizeof first, first);
        ds_numerics_text(&all[r], sizeof other, other);
        return DS_FAIL(DS_ERR_USAGE,
                       "the hosts compute differently: rank 0 has %s; rank %d has %s; give all "
                       "ranks the same libraries and "
                       "cores (compute.isa, OPENBLAS_CORETYPE)",
                       first, r, other);
    }
    return DS_OK;
}

/* A short batch's shard may have fewer rows; if all have, the run learns nothing. */
static ds_status create_rows_fit(const ds_trainer *self)
{
    const ds_dataset *train = self->splits->train;
    size_t shards = (size_t)self->plan->shards, batch = self->plan->batch;
    if (train != NULL && train->n < batch)
        batch = train->n;
    for (size_t i = 0; i < ds_model_n_layers(self->model); i++) {
        const ds_layer *layer = ds_model_layer(self->model, i);
        size_t least = layer->least;
        DS_CHECK(batch / shards >= least, DS_ERR_USAGE,
                 "layer '%s' needs at least %zu samples a shard, found %zu in %zu shards: %s %zu "
                 "or %s",
                 layer->name, least, batch, shards,
                 batch < least ? "take" : "set batch.shards x batch.accumulate to",
                 batch < least ? least : batch / least, batch < least ? "more" : "less");
    }
    return DS_OK;
}

static ds_status create_plan(ds_trainer *self)
{
    DS_TRY(create_outputs(self));
    DS_TRY(create_data_fits(self));
    if (self->inference)
        return DS_OK;
    size_t samples =
        self->splits->train != NULL ? self->splits->train->n : (size_t)self->config->batch.size;
    DS_TRY(ds_plan_create(self->config, ds_model_layout(self->model), samples,
                          ds_world_size(self->world), &self->plan));
    DS_TRY(create_rows_fit(self));
    return memory_check(self);
}

static int create_depth(int lo, int hi, int pass)
{
    if (hi - lo <= pass)
        return 0;
    int mid = ds_tree_split(lo, hi);
    int left = create_depth(lo, mid, pass), right = 1 + create_depth(mid, hi, pass);
    return left > right ? left : right;
}

static ds_status create_scratch(ds_trainer *self)
{
    const ds_plan *plan = self->plan;
    size_t n_floats = ds_model_layout(self->model)->n_floats;
    int rank = ds_world_rank(self->world), depth = 0;
    for (size_t j = plan->node_begin[rank]; j < plan->node_begin[rank + 1]; j++) {
        int d = create_depth(plan->node[j].lo, plan->node[j].hi, plan->pass_shards);
        depth = d > depth ? d : depth;
    }
    DS_ASSERT(depth < DS_MAX_DEPTH);
    for (int d = 0; d < depth; d++)
        DS_TRY(ds_arena_take(self->arena, n_floats, sizeof(float), "gradient sums",
                             &self->scratch[d]));
    DS_TRY(ds_arena_take(self->arena, (size_t)plan->shards, sizeof *self->shard, "the shards",
                         &self->shard));
    DS_TRY(ds_arena_take(self->arena, (size_t)plan->shards, sizeof *self->loss, "the losses",
                         &self->loss));
    return ds_arena_take(self->arena, (size_t)plan->shards, sizeof *self->bad, "the verdicts",
                         &self->bad);
}

static size_t create_eval_blocks(const ds_trainer *self)
{
    static const char *const name[] = {"train", "validation", "test"};
    size_t most = 0;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const ds_dataset *data = evaluate_split(self, name[i]);
        most = data != NULL && data->n > most ? data->n : most;
    }
    size_t rows = evaluate_rows(self);
    return (most + rows - 1) / rows + 1;
}

static ds_status create_penalty(ds_trainer *self)
{
    const ds_layout *layout = ds_model_layout(self->model);
    DS_TRY(ds_arena_take(self->arena, layout->n_params, sizeof *self->penalty, "penalties",
                         &self->penalty));
    for (size_t p = 0; p < layout->n_params; p++)
        self->penalty[p] = ds_plan_rule(self->config, &layout->param[p]);
    return DS_OK;
}

static ds_status create_buffers(ds_trainer *self)
{
    size_t rows = evaluate_rows(self), outputs = ds_shape_elements(ds_model_output(self->model));
    if (self->plan != NULL) {
        size_t pass = ds_plan_pass_rows(self->plan, ds_world_rank(self->world));
        rows = pass > rows ? pass : rows;
    }
    DS_TRY(ds_arena_take(self->arena, rows, sizeof *self->index, "sample numbers", &self->index));
    DS_TRY(ds_arena_take(self->arena, rows * self->positions, sizeof *self->label, "labels",
                         &self->label));
    DS_TRY(
        ds_arena_take(self->arena, rows * outputs, sizeof *self->value, "targets", &self->value));
    size_t sums = create_eval_blocks(self) * evaluate_columns(self);
    DS_TRY(ds_arena_take(self->arena, sums, sizeof *self->block_sum, "evaluation sums",
                         &self->block_sum));
    size_t classes = ds_model_classes(self->model, self->config->loss->target);
    if (self->config->loss->target == DS_TARGET_CLASS)
        DS_TRY(ds_arena_take(self->arena, classes * classes, sizeof *self->confusion,
                             "the confusion table", &self->confusion));
    size_t n_floats = ds_model_layout(self->model)->n_floats;
    DS_TRY(ds_arena_take(self->arena, n_floats, sizeof *self->staging, "staging", &self->staging));
    if (self->inference)
        return ds_arena_take(self->arena, n_floats, sizeof *self->own_params, "parameters",
                             &self->own_params);
    if (ds_plan_penalised(self->config))
        DS_TRY(create_penalty(self));
    DS_TRY(drive_create(self));
    return create_scratch(self);
}

static ds_status create_workspaces(ds_trainer *self)
{
    ds_workspace_spec spec = {.model = self->model,
                              .kernels = self->products,
                              .loss = self->config->loss,
                              .loss_options = self->config->loss_options,
                              .class_weight = self->class_weight,
                              .rows = evaluate_rows(self),
                              .shards = 1,
                              .seed = self->config->seed,
                              .training = false};
    DS_TRY(ds_workspace_create(&spec, &self->evaluating));
    if (self->inference)
        return DS_OK;
    spec.rows = ds_plan_pass_rows(self->plan, ds_world_rank(self->world));
    spec.shards = self->plan->pass_shards;
    spec.training = true;
    return ds_workspace_create(&spec, &self->training);
}

static ds_status create_memory(ds_trainer *self)
{
    DS_TRY(create_buffers(self));
    DS_TRY(history_create(self->arena, &self->history));
    DS_TRY(ds_arena_text(self->arena, "[]", &self->lineage));
    stopping_reset(&self->stopping);
    DS_TRY(rate_create(self));
    DS_TRY(spike_create(self));
    DS_TRY(layer_watch_create(self));
    return create_workspaces(self);
}

static ds_status create_values(ds_trainer *self, const ds_checkpoint *file)
{
    if (file == NULL) {
        ds_model_init(self->model, self->config->seed, self->staging);
        return DS_OK;
    }
    return restore_params(self, file, self->staging);
}

static ds_status create_start(ds_trainer *self, const ds_trainer_spec *spec,
                              const ds_checkpoint *file)
{
    DS_TRY(ds_agree(self->world, create_values(self, file)));
    if (self->inference) {
        memcpy(self->own_params, self->staging,
               ds_model_layout(self->model)->n_floats * sizeof *self->own_params);
        return DS_OK;
    }
    DS_TRY(ds_sync_load(self->sync, self->staging));
    return spec->resume ? restore_run(self, file, spec) : DS_OK;
}

static ds_status create_sync(ds_trainer *self)
{
    if (self->inference)
        return DS_OK;
    DS_TRY(ds_world_same(self->world, &self->plan->hash, sizeof self->plan->hash, "the plan"));
    ds_sync_spec spec = {.world = self->world,
                         .plan = self->plan,
                         .layout = ds_model_layout(self->model),
                         .config = self->config,
                         .kernels = self->kernels};
    DS_TRY(ds_sync_create(&spec, &self->sync));
    return sharpness_create(self);
}

static ds_status create_all(ds_trainer *self, const ds_trainer_spec *spec)
{
    ds_auto(ds_checkpoint) file = NULL;
    int lowest_isa = -1;
    DS_TRY(create_lowest_isa(self->world, &lowest_isa));
    ds_status mine = create_config(self, spec, lowest_isa);
    if (mine == DS_OK && spec->checkpoint != NULL)
        mine = ds_checkpoint_open(spec->checkpoint, &file);
    if (mine == DS_OK && file != NULL)
        mine = restore_data(self, file);
    if (mine == DS_OK && spec->resume)
        mine = restore_replicas(self, file, spec);
    DS_TRY(ds_agree(self->world, mine));
    DS_TRY(ds_watch_arm(self->world, self->config->watch.timeout));
    DS_TRY(create_numerics(self));
    DS_TRY(create_problem_same(self));
    ds_kept_data kept = {.normalizer = &self->kept,
                         .n_classes = self->names[DS_NAMES_CLASSES].n,
                         .class_name = self->names[DS_NAMES_CLASSES].name,
                         .n_columns = self->names[DS_NAMES_INPUTS].n,
                         .column = self->names[DS_NAMES_INPUTS].name,
                         .n_target_columns = self->names[DS_NAMES_TARGETS].n,
                         .target_column = self->names[DS_NAMES_TARGETS].name};
    ds_watch_note(self->world, DS_PHASE_READING, 0);
    DS_TRY(create_data(self, spec, file != NULL ? &kept : NULL));
    ds_watch_note(self->world, DS_PHASE_SETUP, 0);
    mine = create_plan(self);
    if (mine == DS_OK)
        mine = class_weights_create(self, file);
    if (mine == DS_OK && spec->resume)
        mine = restore_check(self, file, spec);
    DS_TRY(ds_agree(self->world, mine));
    DS_TRY(ds_agree(self->world, create_memory(self)));
    DS_TRY(create_sync(self));
    DS_TRY(create_start(self, spec, file));
    ds_arena_seal(self->arena);
    return DS_OK;
}

ds_status ds_trainer_open(ds_world *world, const ds_trainer_spec *spec, ds_trainer **out)
{
    ds_arena *arena = NULL;
    ds_trainer *self = NULL;
    ds_status mine = ds_arena_create("the trainer", &arena);
    if (mine == DS_OK)
        mine = ds_arena_take(arena, 1, sizeof *self, "the trainer", &self);
    if (self != NULL)
        *self = (ds_trainer){.arena = arena,
                             .world = world,
                             .inference = spec->inference,
                             .loaded_step = -1,
                             .saved_step = -1};
    mine = ds_agree(world, mine);
    if (mine == DS_OK)
        mine = create_all(self, spec);
    if (mine == DS_OK) {
        *out = self;
        return DS_OK;
    }
    if (self == NULL)
        ds_arena_destroy(&arena);
    else
        ds_trainer_destroy(&self);
    return mine;
}
