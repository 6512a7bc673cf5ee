/* descent data convert: any source as an HDF5 file. A config's split is taken as its source has it,
 * before a validation cut and without normalisation: the new file can stand in the config in its
 * place. Memory: 1 MiB and the targets for idx, npy (C order) and cifar of a training split or a
 * source; else the data set, as training holds it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "data_source.h"
#include "shared_text.h"

static ds_status convert_write(const data_conversion *self, const char *name,
                               const ds_dataset *data, const ds_input_stream *inputs)
{
    char text[DS_SHAPE_TEXT];
    DS_CHECK(data != NULL, DS_ERR_USAGE, "data convert: the config has no data.%s", name);
    DS_TRY(ds_dataset_write_hdf5(data, inputs, self->out));
    printf("%s: %zu samples of %s (%s), ", self->out, data->n, ds_shape_text(&data->input, text),
           data->bytes != NULL || (inputs != NULL && inputs->bytes) ? "bytes" : "float32");
    if (data->label != NULL)
        printf("%zu class%s%s\n", data->n_classes, data->n_classes == 1 ? "" : "es",
               data->class_name != NULL ? " by name" : "");
    else if (data->target != NULL)
        printf("%zu real target%s\n", data->n_targets, data->n_targets == 1 ? "" : "s");
    else
        printf("no targets\n");
    return DS_OK;
}

/* The first split needs no other to know its classes by: its inputs need not be held. */
static ds_status convert_train(const data_conversion *self, const ds_config *config,
                               const ds_shape *input)
{
    ds_auto(ds_dataset) data = NULL;
    ds_input_stream inputs = {0};
    const ds_read_request request = {.source = config->data.train,
                                     .kind = config->loss->target,
                                     .input = input,
                                     .seed = config->seed,
                                     .split = "train",
                                     .inputs = &inputs};
    ds_status status = ds_dataset_read(&request, &data);
    if (status == DS_OK)
        status = convert_write(self, "train", data, &inputs);
    ds_input_stream_close(&inputs);
    return status;
}

static ds_status convert_config(ds_world *world, const data_conversion *self)
{
    char *text = NULL, full[4096];
    const char *split = self->split == NULL ? "train" : self->split;
    ds_shape input = {0};
    ds_auto(ds_config) config = NULL;
    ds_auto(ds_splits) splits = NULL;
    DS_TRY(shared_config_text(world, self->source, &text, sizeof full, full));
    ds_status status = ds_config_create(text, full, self->set->n, self->set->item, &config);
    free(text);
    DS_TRY(status);
    DS_CHECK(config->data.train != NULL, DS_ERR_USAGE, "data: the config has no data.train");
    DS_TRY(data_source_input(config, &input));
    ds_data_config *data = &config->data;
    if (strcmp(split, "train") == 0)
        return convert_train(self, config, input.n > 0 ? &input : NULL);
    data->validation_fraction = 0;
    data->folds = 0;
    data->normalize = DS_NORMALIZE_NONE;
    bool test = strcmp(split, "test") == 0;
    data->test = test ? data->test : NULL;
    data->validation = test ? NULL : data->validation;
    DS_TRY(ds_splits_read(world, config, input.n > 0 ? &input : NULL, NULL, &splits));
    return convert_write(self, split, test ? splits->test : splits->validation, NULL);
}

ds_status data_convert(ds_world *world, const data_conversion *self)
{
    struct stat s;
    const char *split = self->split == NULL ? "train" : self->split;
    const char *const names[] = {"train", "validation", "test"}, *closest;
    closest = ds_closest(split, 3, names);
    DS_CHECK(closest != NULL && strcmp(closest, split) == 0, DS_ERR_USAGE,
             "data convert: unknown split '%s'; expected train, validation or test", split);
    size_t n = strlen(self->out);
    bool named = (n > 3 && strcmp(self->out + n - 3, ".h5") == 0) ||
                 (n > 5 && strcmp(self->out + n - 5, ".hdf5") == 0);
    bool there = stat(self->out, &s) == 0;
    DS_CHECK(!there || S_ISREG(s.st_mode), DS_ERR_USAGE, "data convert: %s is no file", self->out);
    DS_CHECK(named, DS_ERR_USAGE, "data convert: '%s' is neither .h5 nor .hdf5: it writes HDF5",
             self->out);
    DS_CHECK(!there || self->overwrite, DS_ERR_USAGE,
             "data convert: %s exists; with --overwrite it is replaced", self->out);
    if (data_source_is_config(self->source))
        return convert_config(world, self);
    DS_CHECK(self->split == NULL, DS_ERR_USAGE, "data convert: --split is of a config, found %s",
             self->source);
    ds_auto(ds_dataset) data = NULL;
    ds_input_stream inputs = {0};
    ds_status status = data_source_read(self->source, &inputs, &data);
    if (status == DS_OK)
        status = convert_write(self, self->source, data, &inputs);
    ds_input_stream_close(&inputs);
    return status;
}
