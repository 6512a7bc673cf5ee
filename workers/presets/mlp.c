/* Dense layers of given widths, one activation between them. */
#include <string.h>

#include "descent/layer.h"
#include "descent/preset.h"

typedef struct mlp_options {
    const ds_value *input, *hidden;
    int activation;
    double dropout;
    int64_t classes;
} mlp_options;

static const ds_option options[] = {
    {.name = "input",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(mlp_options, input),
     .choices = "list of int",
     .flags = DS_OPTION_REQUIRED,
     .help = "shape of a sample: [784]"},
    {.name = "hidden",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(mlp_options, hidden),
     .fallback = "128",
     .choices = "int or list of int",
     .help = "units of the hidden layers: [128, 64]; []: none"},
    {.name = "activation",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(mlp_options, activation),
     .fallback = "relu",
     .choices = DS_ACTIVATION_CHOICES,
     .help = "behind each hidden layer"},
    {.name = "dropout",
     .type = DS_OPTION_REAL,
     .offset = offsetof(mlp_options, dropout),
     .fallback = "0",
     .min = 0,
     .max = DS_BELOW_1,
     .help = "probability of a zero behind each hidden layer; 0: none"},
    {.name = "classes",
     .type = DS_OPTION_INT,
     .offset = offsetof(mlp_options, classes),
     .fallback = "0",
     .min = 0,
     .max = 2147483647,
     .help = "outputs; 0: classes or target columns of the data"},
    {.name = NULL},
};

static ds_status mlp_units(const ds_value *at, const mlp_options *o, FILE *out)
{
    int64_t units = 0;
    char p[32];
    const char *choices = DS_ACTIVATION_CHOICES;
    for (int skip = o->activation; skip > 0; choices++)
        skip -= *choices == '|';
    if (at->kind != DS_VALUE_SCALAR || ds_value_int(at, "model", "hidden", &units) != DS_OK ||
        units < 1 || units > 2147483647)
        return ds_value_fail(at,
                             "model, preset mlp: hidden is '%s', expected int >= 1 or a list "
                             "of them, as [128, 64]",
                             at->kind == DS_VALUE_SCALAR ? at->text : "no number");
    fprintf(out, "{dense: {units: %lld, activation: %.*s}}, ", (long long)units,
            (int)strcspn(choices, "|"), choices);
    if (o->dropout > 0)
        fprintf(out, "{dropout: {p: %s}}, ", ds_real_text(o->dropout, p));
    return DS_OK;
}

static ds_status mlp_write(const ds_value *model, const void *opts, size_t outputs, FILE *out)
{
    (void)model;
    const mlp_options *o = opts;
    bool list = o->hidden->kind == DS_VALUE_LIST;
    fputs("{input: [1], layers: [", out);
    for (size_t i = 0; i < (list ? o->hidden->n : 1); i++)
        DS_TRY(mlp_units(list ? o->hidden->child[i] : o->hidden, o, out));
    fprintf(out, "{dense: {units: %zu}}]}", ds_preset_outputs(o->classes, outputs));
    return DS_OK;
}

extern const ds_preset_ops ds_preset_mlp;
const ds_preset_ops ds_preset_mlp = {
    .name = "mlp",
    .help = "dense layers with an activation between them",
    .options = options,
    .options_size = sizeof(mlp_options),
    .write = mlp_write,
};
