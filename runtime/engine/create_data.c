/* A trainer's data: read from the config's sources or borrowed from memory, and held against what
 * the model gives and the loss takes. */
#include <stdio.h>
#include <string.h>

#include "trainer_parts.h"

static ds_status create_data_memory(const ds_trainer *self, const ds_memory_data *from,
                                    ds_dataset **out)
{
    if (from == NULL)
        return DS_OK;
    bool classes = self->config->loss->target == DS_TARGET_CLASS;
    DS_CHECK(from->n > 0 && from->x != NULL &&
                 (classes ? from->label != NULL : from->value != NULL),
             DS_ERR_USAGE, "data from memory: loss %s needs samples and %s",
             self->config->loss->name, classes ? "labels" : "values");
    ds_auto(ds_dataset) data = NULL;
    DS_TRY(ds_dataset_create(&data));
    data->n = from->n;
    data->input = *ds_model_input(self->model);
    data->values = from->x;
    data->kind = classes ? DS_TARGET_CLASS : DS_TARGET_REAL;
    data->label = from->label;
    data->n_labels = self->positions;
    data->n_classes = from->n_classes;
    data->target = from->value;
    data->n_targets = from->n_targets;
    for (size_t i = 0; classes && i < from->n * self->positions; i++)
        DS_CHECK(from->label[i] >= 0 && (size_t)from->label[i] < from->n_classes, DS_ERR_DATA,
                 "label %d of sample %zu is out of range; expected 0 to %zu", from->label[i],
                 i / self->positions, from->n_classes - 1);
    DS_TRY(ds_dataset_judge(data, "memory"));
    *out = ds_steal(data);
    return DS_OK;
}

static ds_status create_data_empty_splits(const ds_kept_data *kept, ds_splits **out)
{
    ds_splits *splits = NULL;
    DS_TRY(ds_splits_create(&splits));
    if (kept != NULL && kept->normalizer != NULL)
        splits->normalizer = *kept->normalizer;
    *out = splits;
    return DS_OK;
}

/* A checkpoint knows what the training data taught it: with them gone, its test data can be scored
 * all the same. */
static ds_status create_data_splits(ds_trainer *self, const ds_trainer_spec *spec,
                                    const ds_kept_data *kept)
{
    const ds_shape *input = ds_model_input(self->model);
    ds_data_config *data = &self->config->data;
    ds_status status = ds_splits_read(self->world, self->config, input, kept, &self->splits);
    if (status != DS_ERR_DATA || !spec->inference || kept == NULL || data->test == NULL)
        return status;
    char why[1024];
    snprintf(why, sizeof why, "%s", ds_last_error());
    const ds_value *train = data->train;
    data->train = NULL;
    status = ds_splits_read(self->world, self->config, input, kept, &self->splits);
    data->train = train;
    if (status == DS_OK && ds_world_rank(self->world) == 0)
        ds_log(DS_LOG_WARN, "only the test data are read: %s", why);
    return status;
}

ds_status create_data(ds_trainer *self, const ds_trainer_spec *spec, const ds_kept_data *kept)
{
    bool memory = spec->train != NULL || spec->test != NULL;
    if (!memory && (!spec->inference || spec->evaluate) && self->config->data.train != NULL)
        return create_data_splits(self, spec, kept);
    const ds_problem *problem = ds_model_problem(self->model);
    ds_status mine = create_data_empty_splits(kept, &self->splits);
    if (mine == DS_OK && problem != NULL && !problem->reads_data)
        return ds_agree(self->world, create_problem_data(self, &self->splits->train));
    if (mine == DS_OK)
        mine = create_data_memory(self, spec->train, &self->splits->train);
    if (mine == DS_OK)
        mine = create_data_memory(self, spec->test, &self->splits->test);
    return ds_agree(self->world, mine);
}

/* Plain numbers as labels: the first that the model has no output for. */
static ds_status create_data_label(const ds_dataset *data, const ds_value *source,
                                   const char *split, size_t outputs)
{
    size_t i = 0;
    while (i < data->n * data->n_labels && (size_t)data->label[i] < outputs)
        i++;
    if (i == data->n * data->n_labels)
        return DS_OK;
    const ds_value *file = ds_value_find(source, "labels");
    file = file != NULL ? file : ds_value_find(source, "path");
    return DS_FAIL(DS_ERR_DATA,
                   "%s: label %d of sample %zu of the %s data is out of range: the last layer "
                   "gives %zu output%s, expected 0 to %zu; mend the labels or set its units to %zu",
                   file != NULL && file->text != NULL ? file->text : "data", data->label[i],
                   i / data->n_labels, split, outputs, outputs == 1 ? "" : "s", outputs - 1,
                   data->n_classes);
}

/* The first target that the loss cannot take. */
static ds_status create_data_range(const ds_trainer *self, const ds_dataset *data,
                                   const char *split)
{
    const ds_loss_ops *loss = self->config->loss;
    size_t n = data->n * data->n_targets, i = 0;
    if (loss->target_min == 0 && loss->target_max == 0)
        return DS_OK;
    while (i < n && (double)data->target[i] >= loss->target_min &&
           (double)data->target[i] <= loss->target_max)
        i++;
    DS_CHECK(i == n, DS_ERR_DATA,
             "target %g of sample %zu of the %s data is out of range: loss %s takes %g to %g; mend "
             "the data or take another loss",
             (double)data->target[i], i / data->n_targets, split, loss->name, loss->target_min,
             loss->target_max);
    return DS_OK;
}

/* Token ids must be rows of the first layer's table, on all ranks before the first step. */
static ds_status create_data_ids(const ds_trainer *self, const ds_dataset *data, const char *split)
{
    if (ds_model_n_layers(self->model) == 0)
        return DS_OK;
    const ds_layer *first = ds_model_layer(self->model, 0);
    for (size_t i = 1; first->ops->view && i < ds_model_n_layers(self->model); i++)
        first = ds_model_layer(self->model, i);
    if (!first->ops->reads_ids)
        return DS_OK;
    const ds_value *section = ds_value_find(self->config->root, "data");
    if (ds_augment_any(&self->config->data.augment))
        return ds_value_fail(ds_value_find(section, "augment"),
                             "data.augment is for images: layer '%s' reads token ids", first->name);
    if (self->config->data.normalize != DS_NORMALIZE_NONE)
        return ds_value_fail(ds_value_find(section, "normalize"),
                             "data.normalize must be none: layer '%s' reads token ids",
                             first->name);
    size_t length = ds_shape_elements(&data->input), vocab = first->param[0]->rows;
    for (size_t i = 0; i < data->n * length; i++) {
        double id = data->bytes != NULL ? (double)data->bytes[i] : (double)data->values[i];
        DS_CHECK(id >= 0 && id < (double)vocab && id == (double)(size_t)id, DS_ERR_DATA,
                 "the %s data: sample %zu, position %zu is token %g, layer '%s' has tokens 0 to "
                 "%zu; set its vocab or mend the data",
                 split, i / length, i % length, id, first->name, vocab - 1);
    }
    return DS_OK;
}

/* Do the model's outputs fit the targets? */
static ds_status create_data_fit(const ds_trainer *self, const ds_dataset *data,
                                 const ds_value *source, const char *split)
{
    if (data == NULL)
        return DS_OK;
    DS_TRY(create_data_ids(self, data, split));
    size_t outputs = ds_model_classes(self->model, data->kind);
    const ds_value *model = self->config->model;
    if (ds_model_problem(self->model) != NULL)
        return create_problem_targets(self, data, split);
    if (data->kind == DS_TARGET_REAL)
        return data->n_targets == outputs
                   ? create_data_range(self, data, split)
                   : ds_value_fail(model,
                                   "model: the last layer gives %zu output%s, the data have %zu "
                                   "target%s a sample",
                                   outputs, outputs == 1 ? "" : "s", data->n_targets,
                                   data->n_targets == 1 ? "" : "s");
    if (data->n_labels != self->positions)
        return ds_value_fail(model,
                             "model: its output judges %zu positions a sample, the data have %zu "
                             "label%s a sample",
                             self->positions, data->n_labels, data->n_labels == 1 ? "" : "s");
    if (data->class_name == NULL)
        return create_data_label(data, source, split, outputs);
    if (data->n_classes != outputs)
        return ds_value_fail(model,
                             "model: the last layer gives %zu output%s, the data have %zu class%s: "
                             "set its units to %zu",
                             outputs, outputs == 1 ? "" : "s", data->n_classes,
                             data->n_classes == 1 ? "" : "es", data->n_classes);
    return DS_OK;
}

ds_status create_data_fits(const ds_trainer *self)
{
    const ds_data_config *from = &self->config->data;
    DS_TRY(create_data_fit(self, self->splits->train, from->train, "training"));
    DS_TRY(create_data_fit(self, self->splits->test, from->test, "test"));
    return create_data_fit(self, self->splits->validation, from->validation, "validation");
}
