/* A data file or a source from the command line. */
#include "data_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/option.h"

enum { SOURCE_CLASSES = 20 };

bool data_source_is_config(const char *path)
{
    const char *dot = strrchr(path, '.');
    return path[0] != '{' && dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static ds_status source_problem(ds_config *config, ds_shape *out)
{
    ds_auto(ds_problem) problem = NULL;
    DS_TRY(ds_problem_create(config->problem, config->seed, &problem));
    config->loss = ds_problem_objective(problem->target);
    *out = problem->input;
    return DS_OK;
}

ds_status data_source_input(ds_config *config, ds_shape *out)
{
    if (config->problem != NULL)
        return source_problem(config, out);
    const ds_value *input = ds_value_find(config->model, "input");
    int64_t dim = 0;
    for (size_t i = 0; input != NULL && i < input->n && i < DS_MAX_DIMS; i++) {
        DS_TRY(ds_value_int(input->child[i], "model", "input", &dim));
        out->dim[out->n++] = dim > 0 ? (size_t)dim : 0;
    }
    return DS_OK;
}

static ds_status source_once(const char *name, const ds_read_request *request, ds_dataset **out)
{
    if (request->inputs != NULL)
        ds_input_stream_close(request->inputs);
    return request->source != NULL ? ds_dataset_read(request, out)
                                   : ds_dataset_read_file(name, request, out);
}

/* Whole numbers may be classes or measured values: few of them are classes, and so are labels and
 * names that are no numbers. */
static bool source_classes(const ds_dataset *data)
{
    if (data->declares_classes || data->n_classes <= SOURCE_CLASSES + data->n / 10)
        return true;
    for (size_t c = 0; data->class_name != NULL && c < data->n_classes; c++) {
        char *end = NULL;
        (void)strtod(data->class_name[c], &end);
        if (*end != '\0')
            return true;
    }
    return false;
}

/* As classes, as numbers, without targets: the first that goes. */
static ds_status source_try(const char *name, ds_read_request *request, ds_dataset **out)
{
    char why[1024];
    ds_dataset *data = NULL;
    const ds_status first = source_once(name, request, &data);
    snprintf(why, sizeof why, "%s", ds_last_error());
    if (data != NULL && source_classes(data)) {
        *out = data;
        return DS_OK;
    }
    ds_dataset_destroy(&data);
    request->kind = DS_TARGET_REAL;
    if (source_once(name, request, out) == DS_OK)
        return DS_OK;
    if (first == DS_ERR_USAGE && request->source != NULL)
        return DS_FAIL(DS_ERR_USAGE, "%s", why);
    request->targets_optional = true;
    DS_TRY(source_once(name, request, &data));
    if (first == DS_ERR_DATA) {
        ds_dataset_destroy(&data);
        return DS_FAIL(DS_ERR_DATA, "%s", why);
    }
    *out = data;
    return DS_OK;
}

ds_status data_source_read(const char *name, ds_input_stream *inputs, ds_dataset **out)
{
    ds_arena *made = NULL;
    ds_value *map = NULL;
    ds_read_request request = {.kind = DS_TARGET_CLASS, .split = "input", .inputs = inputs};
    if (name[0] != '{')
        return source_try(name, &request, out);
    DS_TRY(ds_arena_create("a source", &made));
    ds_auto(ds_arena) arena = made;
    DS_TRY(ds_config_tree(arena, name, &map));
    DS_CHECK(map != NULL && map->kind == DS_VALUE_MAP, DS_ERR_USAGE,
             "'%s' is no source, expected one such as {format: libsvm, path: FILE}", name);
    request.source = map;
    return source_try(name, &request, out);
}
