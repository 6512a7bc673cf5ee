/* descent data: what a config's data, or a file, holds. Every line comes from the same reading,
 * splitting and normalising as training's. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/dataset.h"
#include "descent/option.h"

#include "args.h"
#include "command.h"
#include "data_source.h"
#include "shared_text.h"

enum { DATA_NAMED = 20, DATA_ROWS = 32 };

typedef struct data_summary {
    double least, most, mean, deviation;
} data_summary;

static double data_value(const ds_dataset *data, size_t i)
{
    return data->bytes != NULL ? (double)data->bytes[i] : (double)data->values[i];
}

/* Of the elements first, first + step, ... of every sample, `count` of them; two passes. */
static data_summary data_summarize(const ds_dataset *data, size_t first, size_t count)
{
    size_t elements = ds_shape_elements(&data->input);
    double n = (double)data->n * (double)count, sum = 0, squares = 0;
    data_summary out = {.least = DBL_MAX, .most = -DBL_MAX};
    for (size_t s = 0; s < data->n; s++)
        for (size_t j = first; j < first + count; j++) {
            double x = data_value(data, s * elements + j);
            sum += x;
            out.least = x < out.least ? x : out.least;
            out.most = x > out.most ? x : out.most;
        }
    out.mean = sum / n;
    for (size_t s = 0; s < data->n; s++)
        for (size_t j = first; j < first + count; j++) {
            double d = data_value(data, s * elements + j) - out.mean;
            squares += d * d;
        }
    out.deviation = sqrt(squares / n);
    return out;
}

/* How many of n lines are shown. */
static size_t data_shown_lines(size_t n, size_t most, bool all)
{
    return all || n < most ? n : most;
}

static void data_print_rest(const char *indent, size_t n, size_t shown)
{
    if (n > shown)
        printf("%sand %zu more (--all shows them)\n", indent, n - shown);
}

static ds_status data_print_classes(const ds_dataset *data, bool all)
{
    size_t *count = calloc(data->n_classes + 1, sizeof *count);
    DS_CHECK(count != NULL, DS_ERR_NOMEM, "out of memory for %zu classes", data->n_classes);
    for (size_t i = 0; i < data->n * data->n_labels; i++)
        count[data->label[i]]++;
    printf("  classes   %zu\n", data->n_classes);
    size_t shown = data_shown_lines(data->n_classes, DATA_NAMED, all);
    for (size_t c = 0; c < shown; c++) {
        if (data->class_name != NULL)
            printf("    %-16s %zu\n", data->class_name[c], count[c]);
        else
            printf("    %-16zu %zu\n", c, count[c]);
    }
    data_print_rest("    ", data->n_classes, shown);
    free(count);
    return DS_OK;
}

static void data_print_targets(const ds_dataset *data, bool all)
{
    size_t shown = data_shown_lines(data->n_targets, DATA_ROWS, all);
    for (size_t j = 0; j < shown; j++) {
        double least = DBL_MAX, most = -DBL_MAX;
        for (size_t i = 0; i < data->n; i++) {
            double x = (double)data->target[i * data->n_targets + j];
            least = x < least ? x : least;
            most = x > most ? x : most;
        }
        const char *column = data->target_column == NULL ? "" : data->target_column[j];
        printf("  target    %s%s%g to %g\n", column, column[0] == '\0' ? "" : ": ", least, most);
    }
    data_print_rest("  ", data->n_targets, shown);
}

static ds_status data_info(const ds_dataset *data, const char *split, bool whole)
{
    char text[DS_SHAPE_TEXT];
    size_t elements = ds_shape_elements(&data->input);
    data_summary all = data_summarize(data, 0, elements);
    printf("%s\n  samples   %zu\n  input     %s, %s\n", split, data->n,
           ds_shape_text(&data->input, text), data->bytes != NULL ? "bytes" : "float32");
    printf("  values    %g to %g, mean %g, deviation %g\n", all.least, all.most, all.mean,
           all.deviation);
    if (data->label != NULL)
        DS_TRY(data_print_classes(data, whole));
    if (data->target != NULL)
        data_print_targets(data, whole);
    printf("  identity  %016" PRIx64 "\n", data->identity);
    return DS_OK;
}

/* A line a column (tables), a line a channel (images). */
static ds_status data_stats(const ds_dataset *data, const char *split, bool all)
{
    char name[32];
    size_t elements = ds_shape_elements(&data->input), area = 1, rows = elements;
    if (data->input.n >= 3 || data->bytes != NULL) {
        rows = data->input.n >= 3 ? data->input.dim[0] : 1;
        area = elements / rows;
    }
    printf("%s: %zu samples\n  %-20s %12s %12s %12s %12s\n", split, data->n,
           area > 1 ? "channel" : "column", "min", "max", "mean", "deviation");
    size_t shown = data_shown_lines(rows, DATA_ROWS, all);
    for (size_t r = 0; r < shown; r++) {
        data_summary x = data_summarize(data, r * area, area);
        snprintf(name, sizeof name, "%zu", r);
        printf("  %-20s %12g %12g %12g %12g\n", data->column != NULL ? data->column[r] : name,
               x.least, x.most, x.mean, x.deviation);
    }
    data_print_rest("  ", rows, shown);
    return DS_OK;
}

/* `all`: every column, class and target, not the first ones alone. */
typedef ds_status data_view(const ds_dataset *data, const char *split, bool all);
typedef struct data_look {
    data_view *view;
    bool all;
} data_look;

static void data_print_normalizer(const ds_normalizer *by, bool all)
{
    if (by->n == 0) {
        printf("normalisation: none\n");
        return;
    }
    printf("normalisation: (x - mean) / deviation\n");
    size_t shown = data_shown_lines(by->n, DATA_ROWS, all);
    for (size_t i = 0; i < shown; i++)
        printf("  %-8zu mean %-14.9g deviation %.9g\n", i, (double)by->mean[i], (double)by->std[i]);
    data_print_rest("  ", by->n, shown);
}

static ds_status data_show_config(ds_world *world, ds_config *config, const data_look *look)
{
    ds_auto(ds_splits) splits = NULL;
    ds_shape input = {0};
    DS_CHECK(config->data.train != NULL, DS_ERR_USAGE, "data: the config has no data.train");
    DS_TRY(data_source_input(config, &input));
    DS_TRY(ds_splits_read(world, config, input.n > 0 ? &input : NULL, NULL, &splits));
    const ds_dataset *part[] = {splits->train, splits->validation, splits->test};
    static const char *const name[] = {"train", "validation", "test"};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (part[i] != NULL)
            DS_TRY(look->view(part[i], name[i], look->all));
    data_print_normalizer(&splits->normalizer, look->all);
    return DS_OK;
}

static ds_status data_config(ds_world *world, const char *path, const arg_list *set,
                             const data_look *look)
{
    char *text = NULL, full[4096];
    ds_auto(ds_config) config = NULL;
    DS_TRY(shared_config_text(world, path, &text, sizeof full, full));
    ds_status status = ds_config_create(text, full, set->n, set->item, &config);
    free(text);
    DS_TRY(status);
    return data_show_config(world, config, look);
}

static ds_status data_file(const char *path, const data_look *look)
{
    ds_auto(ds_dataset) data = NULL;
    DS_TRY(data_source_read(path, NULL, &data));
    return look->view(data, path, look->all);
}

static ds_status data_check_words(const arg_list *positional)
{
    const char *const names[] = {"info", "stats", "convert"};
    const char *what = positional->item[0], *closest = ds_closest(what, 3, names);
    bool converts = strcmp(what, "convert") == 0;
    DS_CHECK(converts || strcmp(what, "info") == 0 || strcmp(what, "stats") == 0, DS_ERR_USAGE,
             "data: unknown '%s'%s%s%s; expected info, stats or convert", what,
             closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
             closest == NULL ? "" : "')");
    DS_CHECK(positional->n == (converts ? 3 : 2), DS_ERR_USAGE,
             "data %s: expected %s, found %zu arguments", what,
             converts ? "a source and the file to write" : "one config, data file or source",
             positional->n - 1);
    return DS_OK;
}

static ds_status data_run(ds_world *world, int argc, char **argv)
{
    arg_list set = {0}, positional;
    data_conversion convert = {.set = &set};
    data_look look = {.view = data_stats};
    const arg table[] = {{"--set", ARG_LIST, &set},
                         {"--split", ARG_VALUE, &convert.split},
                         {"--all", ARG_FLAG, &look.all},
                         {"--overwrite", ARG_FLAG, &convert.overwrite},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("data", &positional, 2, 3,
                       "info, stats or convert, a config, data file or source, and what convert "
                       "writes"));
    const char *what = positional.item[0], *path = positional.item[1];
    bool info = strcmp(what, "info") == 0, converts = strcmp(what, "convert") == 0;
    DS_TRY(data_check_words(&positional));
    DS_CHECK(converts || (convert.split == NULL && !convert.overwrite), DS_ERR_USAGE,
             "data %s: --split and --overwrite are of convert", what);
    DS_CHECK(!converts || !look.all, DS_ERR_USAGE, "data convert: --all is of info and stats");
    convert.source = path;
    convert.out = converts ? positional.item[2] : NULL;
    if (converts)
        return data_convert(world, &convert);
    if (info)
        look.view = data_info;
    return data_source_is_config(path) ? data_config(world, path, &set, &look)
                                       : data_file(path, &look);
}

extern const ds_command ds_command_data;
const ds_command ds_command_data = {
    .name = "data",
    .usage =
        "data info|stats CONFIG|SOURCE [--all] | data convert CONFIG|SOURCE OUT.h5 [--split NAME] "
        "[--overwrite] [--set KEY=VALUE]...",
    .help =
        "What the data of CONFIG (.yaml) hold, or a SOURCE: a data file, or as '{format: libsvm, "
        "path: "
        "FILE}'. info: for each split its\n"
        "samples, shape, classes with their counts, range and identity, and the normalisation. "
        "stats: least, greatest, mean and\n"
        "deviation of each column, or channel of images. Of more than 32 columns (20 classes) the "
        "first are shown, all with --all.\n"
        "convert: the training split (--split test, validation) or the source as HDF5, in chunks, "
        "that format: hdf5 reads back\n"
        "bit for bit; a file that exists is replaced with --overwrite only.\n",
    .run = data_run,
};
