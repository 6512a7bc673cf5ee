/* LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998): two convolutions of 5 x 5 with pooling behind them
 * and three dense layers, with relu and maximum by default where the paper had tanh and averages.
 */
#include "descent/preset.h"

typedef struct lenet_options {
    const ds_value *input;
    int activation, pool;
    int64_t classes;
} lenet_options;

static const ds_option options[] = {
    {.name = "input",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(lenet_options, input),
     .choices = "list of int",
     .help = "channels, height, width; default: [1, 28, 28]"},
    {.name = "activation",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(lenet_options, activation),
     .choices = "relu|tanh|sigmoid|gelu|leaky_relu",
     .help = "behind each layer but the last"},
    {.name = "pool",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(lenet_options, pool),
     .choices = "max|avg",
     .help = "of 2 x 2 windows: the largest or the mean"},
    {.name = "classes",
     .type = DS_OPTION_INT,
     .offset = offsetof(lenet_options, classes),
     .fallback = "0",
     .min = 0,
     .max = 2147483647,
     .help = "outputs; 0: classes or target columns of the data"},
    {.name = NULL},
};

static ds_status lenet_write(const ds_value *model, const void *opts, size_t outputs, FILE *out)
{
    static const char *const activations[] = {"relu", "tanh", "sigmoid", "gelu", "leaky_relu"};
    (void)model;
    const lenet_options *o = opts;
    const char *f = activations[o->activation], *pool = o->pool == 0 ? "max" : "avg";
    fputs("{input: [1, 28, 28], layers: [", out);
    fprintf(out, "{conv: {channels: 6, kernel: 5, padding: 2, activation: %s}}, ", f);
    fprintf(out, "{%s_pool: {kernel: 2}}, ", pool);
    fprintf(out, "{conv: {channels: 16, kernel: 5, activation: %s}}, ", f);
    fprintf(out, "{%s_pool: {kernel: 2}}, ", pool);
    fprintf(out, "{dense: {units: 120, activation: %s}}, ", f);
    fprintf(out, "{dense: {units: 84, activation: %s}}, ", f);
    fprintf(out, "{dense: {units: %zu}}]}", ds_preset_outputs(o->classes, outputs));
    return DS_OK;
}

extern const ds_preset_ops ds_preset_lenet;
const ds_preset_ops ds_preset_lenet = {
    .name = "lenet",
    .help = "LeNet-5: two convolutions, three dense layers (LeCun et al. 1998)",
    .options = options,
    .options_size = sizeof(lenet_options),
    .write = lenet_write,
};
