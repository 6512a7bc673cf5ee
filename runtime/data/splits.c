/* The splits of a run: read by every rank, compared over the ranks, the validation part cut off by
 * a keyed order, normalised by the training split. */
#include "splits.h"

#include <math.h>
#include <string.h>

#include "descent/rng.h"

void ds_splits_destroy(ds_splits **splits)
{
    ds_splits *self = *splits;
    if (self == NULL)
        return;
    ds_dataset_destroy(&self->train);
    ds_dataset_destroy(&self->validation);
    ds_dataset_destroy(&self->test);
    ds_arena *arena = self->arena;
    ds_arena_destroy(&arena);
    *splits = NULL;
}

/* The samples index[0..n) of `from` as a dataset of its own. */
static ds_status splits_select(const ds_dataset *from, size_t n, const uint64_t *index,
                               ds_dataset *out)
{
    size_t elements = ds_shape_elements(&from->input);
    uint8_t *bytes = NULL;
    float *values = NULL, *target = NULL;
    int32_t *label = NULL;
    if (from->bytes != NULL)
        DS_TRY(ds_arena_take(out->arena, n, elements, "samples", &bytes));
    if (from->values != NULL)
        DS_TRY(ds_arena_take(out->arena, n, elements * sizeof *values, "samples", &values));
    if (from->label != NULL)
        DS_TRY(ds_arena_take(out->arena, n, from->n_labels * sizeof *label, "labels", &label));
    if (from->target != NULL)
        DS_TRY(ds_arena_take(out->arena, n, from->n_targets * sizeof *target, "targets", &target));
    for (size_t i = 0; i < n; i++) {
        size_t s = (size_t)index[i];
        if (bytes != NULL)
            memcpy(bytes + i * elements, from->bytes + s * elements, elements);
        if (values != NULL)
            memcpy(values + i * elements, from->values + s * elements, elements * sizeof *values);
        if (label != NULL)
            memcpy(label + i * from->n_labels, from->label + s * from->n_labels,
                   from->n_labels * sizeof *label);
        if (target != NULL)
            memcpy(target + i * from->n_targets, from->target + s * from->n_targets,
                   from->n_targets * sizeof *target);
    }
    out->n = n;
    out->bytes = bytes;
    out->values = values;
    out->label = label;
    out->target = target;
    return DS_OK;
}

static ds_status splits_copy_names(ds_arena *arena, size_t n, const char *const *from,
                                   const char *const **out)
{
    char **name = NULL;
    if (from == NULL)
        return DS_OK;
    DS_TRY(ds_arena_take(arena, n, sizeof *name, "names", &name));
    for (size_t i = 0; i < n; i++)
        DS_TRY(ds_arena_text(arena, from[i], &name[i]));
    *out = (const char *const *)name;
    return DS_OK;
}

static ds_status splits_part(const ds_dataset *from, size_t n, const uint64_t *index,
                             ds_dataset **out)
{
    ds_auto(ds_dataset) self = NULL;
    DS_TRY(ds_dataset_create(&self));
    ds_arena *arena = self->arena;
    *self = *from;
    self->arena = arena;
    DS_TRY(splits_select(from, n, index, self));
    DS_TRY(splits_copy_names(arena, from->n_classes, from->class_name, &self->class_name));
    DS_TRY(splits_copy_names(arena, ds_shape_elements(&from->input), from->column, &self->column));
    DS_TRY(splits_copy_names(arena, from->n_targets, from->target_column, &self->target_column));
    *out = ds_steal(self);
    return DS_OK;
}

/* Which positions of the keyed order are for validation: the first round(fraction n), at least 1;
 * or part `fold` of `folds`, the parts together being all. */
static ds_status splits_held(const ds_data_config *data, size_t n, size_t *from, size_t *to)
{
    size_t k = (size_t)llround(data->validation_fraction * (double)n);
    *from = 0;
    *to = k == 0 ? 1 : k;
    if (data->folds == 0) {
        DS_CHECK(*to < n, DS_ERR_DATA,
                 "validation: a fraction of %g leaves no training data of %zu samples",
                 data->validation_fraction, n);
        return DS_OK;
    }
    size_t folds = (size_t)data->folds, fold = (size_t)data->fold, each = n / folds;
    DS_CHECK(folds <= n, DS_ERR_DATA,
             "validation: %zu folds of %zu samples; expected at most one a sample", folds, n);
    *from = (fold - 1) * each + (fold - 1) * (n % folds) / folds;
    *to = fold * each + fold * (n % folds) / folds;
    return DS_OK;
}

/* Some of a keyed order are for validation; both parts keep the file's order. */
static ds_status splits_cut(ds_splits *self, const ds_config *config)
{
    ds_dataset *all = self->train;
    size_t n = all->n, from = 0, to = 0;
    DS_TRY(splits_held(&config->data, n, &from, &to));
    size_t k = to - from;
    ds_rng rng = ds_rng_for(config->seed, "validation");
    ds_order order = ds_order_for(ds_rng_bits(&rng, 0), 0, n);
    bool *held = NULL;
    uint64_t *index = NULL;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *held, "the validation cut", &held));
    DS_TRY(ds_arena_take(self->arena, n, sizeof *index, "the validation cut", &index));
    for (size_t i = from; i < to; i++)
        held[ds_order_at(&order, i)] = true;
    size_t kept = 0, cut = n - k;
    for (size_t i = 0; i < n; i++)
        index[held[i] ? cut++ : kept++] = i;
    self->train = NULL;
    ds_status status = splits_part(all, n - k, index, &self->train);
    if (status == DS_OK)
        status = splits_part(all, k, index + (n - k), &self->validation);
    ds_dataset_destroy(&all);
    return status;
}

static ds_status splits_source(const ds_config *config, const ds_shape *input,
                               const ds_value *source, const char *split, const ds_dataset *train,
                               const ds_kept_data *kept, ds_dataset **out)
{
    ds_read_request request = {.source = source,
                               .kind = config->loss->target,
                               .input = input,
                               .seed = config->seed,
                               .split = split};
    if (kept != NULL && kept->class_name != NULL) {
        request.n_classes = kept->n_classes;
        request.class_name = kept->class_name;
    } else if (train != NULL && train->class_name != NULL) {
        request.n_classes = train->n_classes;
        request.class_name = train->class_name;
    }
    if (train != NULL && train->column != NULL) {
        request.column = train->column;
        request.n_columns = ds_shape_elements(&train->input);
        request.target_column = train->target_column;
        request.n_target_columns = train->n_targets;
    } else if (train == NULL && kept != NULL && kept->column != NULL) {
        request.column = kept->column;
        request.n_columns = kept->n_columns;
        request.target_column = kept->target_column;
        request.n_target_columns = kept->n_target_columns;
    }
    return source == NULL ? DS_OK : ds_dataset_read(&request, out);
}

static ds_status splits_read_mine(ds_splits *self, const ds_config *config, const ds_shape *input,
                                  const ds_kept_data *kept)
{
    const ds_data_config *data = &config->data;
    DS_TRY(splits_source(config, input, data->train, "train", NULL, kept, &self->train));
    DS_TRY(splits_source(config, input, data->validation, "validation", self->train, kept,
                         &self->validation));
    DS_TRY(splits_source(config, input, data->test, "test", self->train, kept, &self->test));
    bool cut = data->validation_fraction > 0 || data->folds > 0;
    return self->train != NULL && cut ? splits_cut(self, config) : DS_OK;
}

/* Ranks with other data would train another model without a word. */
static ds_status splits_compare(ds_world *world, const ds_dataset *data, const char *split)
{
    uint64_t identity = data == NULL ? 0 : data->identity;
    if (ds_world_same(world, &identity, sizeof identity, split) == DS_OK)
        return DS_OK;
    return DS_FAIL(DS_ERR_DATA, "the ranks do not read the same %s data: %s", split,
                   ds_last_error());
}

ds_status ds_splits_create(ds_splits **out)
{
    ds_arena *arena = NULL;
    ds_splits *self = NULL;
    DS_TRY(ds_arena_create("the splits", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *self, "the splits", &self);
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    self->arena = arena;
    self->normalizer.scale = 1;
    *out = self;
    return DS_OK;
}

ds_status ds_splits_read(ds_world *world, const ds_config *config, const ds_shape *input,
                         const ds_kept_data *kept, ds_splits **out)
{
    ds_auto(ds_splits) self = NULL;
    ds_status mine = ds_splits_create(&self);
    if (mine == DS_OK)
        mine = splits_read_mine(self, config, input, kept);
    DS_TRY(ds_agree(world, mine));
    DS_TRY(splits_compare(world, self->train, "train"));
    DS_TRY(splits_compare(world, self->validation, "validation"));
    DS_TRY(splits_compare(world, self->test, "test"));
    if (kept != NULL && kept->normalizer != NULL)
        self->normalizer = *kept->normalizer;
    else if (self->train != NULL)
        DS_TRY(splits_normalize(world, config->data.normalize, self->train, self->arena,
                                &self->normalizer));
    *out = ds_steal(self);
    return DS_OK;
}
