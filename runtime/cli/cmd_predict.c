/* descent predict: outputs of a checkpoint for the samples of a file. Class models give
 * probabilities. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "outfile.h"
#include "predictions.h"
#include "saved.h"

typedef struct predict {
    const char *out, *format;
    arg_list set, positional;
    const predictions_writer *writer;
} predict;

/* What --out ends in, NULL where its name has no ending ("out", ".out", "dir.d/out", "-"). */
static const char *predict_ending(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1,
               *dot = strrchr(name, '.');
    return dot == NULL || dot == name || dot[1] == '\0' ? NULL : dot + 1;
}

/* --format; else what --out ends in; else csv. */
static ds_status predict_choose(predict *self)
{
    const char *ending = self->out == NULL ? NULL : predict_ending(self->out),
               *name = self->format != NULL ? self->format
                       : ending != NULL     ? ending
                                            : "csv";
    self->writer = predictions_writer_find(name);
    DS_CHECK(
        self->writer != NULL || self->format != NULL, DS_ERR_USAGE,
        "predict: --out %s ends in '.%s'; expected .csv, .npy or .jsonl, or --format beside it",
        self->out, name);
    DS_CHECK(self->writer != NULL, DS_ERR_USAGE,
             "predict: unknown format '%s'; expected csv, npy or jsonl", name);
    return DS_OK;
}

static ds_status predict_parse(predict *self, int argc, char **argv)
{
    const arg table[] = {{"--out", ARG_VALUE, &self->out},
                         {"--format", ARG_VALUE, &self->format},
                         {"--set", ARG_LIST, &self->set},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &self->positional));
    DS_TRY(args_expect("predict", &self->positional, 2, 2,
                       "a checkpoint and an input file (- for stdin)"));
    return predict_choose(self);
}

/* Softmax of each row, in double. */
static void predict_probabilities(size_t rows, size_t cols, float *z)
{
    for (size_t i = 0; i < rows; i++, z += cols) {
        double top = (double)z[0], sum = 0;
        for (size_t j = 1; j < cols; j++)
            top = (double)z[j] > top ? (double)z[j] : top;
        for (size_t j = 0; j < cols; j++)
            sum += exp((double)z[j] - top);
        for (size_t j = 0; j < cols; j++)
            z[j] = (float)(exp((double)z[j] - top) / sum);
    }
}

static ds_status predict_write(const predict *self, const predictions *p)
{
    outfile out;
    if (self->out == NULL) {
        self->writer->write(p, stdout);
        DS_CHECK(fflush(stdout) == 0 && !ferror(stdout), DS_ERR_WRITE,
                 "cannot write standard output: %s", strerror(errno));
        return DS_OK;
    }
    DS_TRY(outfile_open(self->out, &out));
    self->writer->write(p, out.file);
    return outfile_close(&out, DS_OK);
}

/* Nothing is lost: all rows are written. Nothing passes for a result either. */
static ds_status predict_judge(const predictions *p)
{
    size_t bad = 0, first = 0;
    for (size_t i = 0; i < p->rows; i++) {
        bool finite = true;
        for (size_t j = 0; j < p->cols; j++)
            finite = finite && isfinite(p->value[i * p->cols + j]);
        if (!finite && bad++ == 0)
            first = i;
    }
    DS_CHECK(
        bad == 0, DS_ERR_DIVERGED,
        "predict: %zu of %zu row%s %s not finite, the first is row %zu (from 0); all rows were "
        "written; train with a smaller rate, or mend the plug-in's predict",
        bad, p->rows, p->rows == 1 ? "" : "s", bad == 1 ? "is" : "are", first);
    return DS_OK;
}

static ds_status predict_finish(const predict *self, const predictions *p)
{
    DS_TRY(predict_write(self, p));
    return predict_judge(p);
}

static ds_status predict_data(ds_world *world, const predict *self, ds_trainer *trainer,
                              const ds_dataset *data)
{
    const ds_model *model = ds_trainer_model(trainer);
    ds_target_kind kind = ds_trainer_config(trainer)->loss->target;
    size_t whole = data->n * ds_model_positions(model, kind); /* with those that are padding */
    predictions p = {.rows = whole - data->padded, .cols = ds_model_classes(model, kind)};
    p.classes = kind == DS_TARGET_CLASS;
    p.class_name = ds_trainer_names(trainer, DS_NAMES_CLASSES, &p.n_names);
    float *out = calloc(whole * p.cols + 1, sizeof *out);
    ds_status status =
        out != NULL ? DS_OK : DS_FAIL(DS_ERR_NOMEM, "out of memory for %zu predictions", p.rows);
    status = ds_agree(world, status);
    if (status == DS_OK)
        status = ds_trainer_predict_data(trainer, data, out);
    if (status == DS_OK && p.classes)
        predict_probabilities(p.rows, p.cols, out);
    p.value = out;
    if (status == DS_OK)
        status = ds_follow(world, ds_world_rank(world) == 0 ? predict_finish(self, &p) : DS_OK);
    free(out);
    return status;
}

static ds_status predict_run(ds_world *world, int argc, char **argv)
{
    predict self = {0};
    DS_TRY(predict_parse(&self, argc, argv));
    ds_auto(ds_trainer) trainer = NULL;
    ds_auto(ds_dataset) data = NULL;
    DS_TRY(saved_open(world, self.positional.item[0], &self.set, false, &trainer));
    DS_TRY(predictions_read(world, self.positional.item[1], trainer, &data));
    return predict_data(world, &self, trainer, data);
}

extern const ds_command ds_command_predict;
const ds_command ds_command_predict = {
    .name = "predict",
    .usage = "predict CKPT INPUT [--out FILE] [--format csv|npy|jsonl] [--set KEY=VALUE]...",
    .help =
        "Outputs of a checkpoint for each sample of INPUT: a csv (columns by the training "
        "names where it has a header), an IDX\n"
        "file (.gz too), HDF5, or - for a csv on standard input; of a model trained on text or "
        "tokens, such a file: then a line for\n"
        "each token says what follows it. Inputs are normalised as in training. Class models "
        "give the class and the probabilities\n"
        "of all; others the outputs. csv is the default format, or what --out ends in (.csv, "
        ".npy, .jsonl; another ending needs\n"
        "--format); npy holds the (samples, outputs) float32 array. Outputs that are not finite "
        "are written (jsonl: as null), and\n"
        "the exit code is 5.\n",
    .computes = true,
    .run = predict_run,
};
