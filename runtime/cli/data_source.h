/* Data that a command is given without a model: a file, or a source as a config has it. */
#ifndef DS_DATA_SOURCE_H
#define DS_DATA_SOURCE_H

#include "descent/dataset.h"

/* Local. `name` is a file, or a map such as {format: libsvm, path: FILE}. It says nothing of its
 * target: that is a class where it can be, else a number, else (images without labels) left out.
 * Very many whole numbers are numbers. `inputs` as in ds_read_request, or NULL. Errors: DATA,
 * USAGE. */
ds_status data_source_read(const char *name, ds_input_stream *inputs,
                           ds_dataset **out) DS_NODISCARD;
/* Local. A config's model.input, where it has one: the shape decides what a channel is. A problem
 * says it itself, and (in config->loss) what kind its targets are. */
ds_status data_source_input(ds_config *config, ds_shape *out) DS_NODISCARD;
bool data_source_is_config(const char *path); /* by its ending */

/* data_convert.c. Collective. `descent data convert SOURCE OUT`. */
typedef struct data_conversion {
    const char *source, *out, *split; /* split: of a config, NULL: train */
    const struct arg_list *set;
    bool overwrite;
} data_conversion;
ds_status data_convert(ds_world *world, const data_conversion *self) DS_NODISCARD;

#endif
