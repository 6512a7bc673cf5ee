/* Residual networks as for CIFAR (He, Zhang, Ren, Sun 2015, section 4.2): a convolution, three
 * stages of n blocks with width, 2 width and 4 width channels, each stage but the first halving
 * the planes, the mean of each plane, a dense layer: depth = 6 n + 2. A block is convolution,
 * batchnorm, relu, convolution, batchnorm, the shortcut's sum and relu. Where a stage begins the
 * shortcut is every second value and channels of zeros (A, the paper's, without parameters) or a
 * convolution of 1 x 1 and batchnorm (B). */
#include "descent/preset.h"

typedef struct resnet_options {
    const ds_value *input;
    int64_t depth, width, classes;
    int shortcut;
} resnet_options;

static const ds_option options[] = {
    {.name = "input",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(resnet_options, input),
     .choices = "list of int",
     .help = "channels, height, width; default: [1, 28, 28]"},
    {.name = "depth",
     .type = DS_OPTION_INT,
     .offset = offsetof(resnet_options, depth),
     .fallback = "20",
     .min = 8,
     .max = 200,
     .help = "layers with weights, 6 n + 2: 8, 14, 20, 32, 44, 56, 110"},
    {.name = "width",
     .type = DS_OPTION_INT,
     .offset = offsetof(resnet_options, width),
     .fallback = "16",
     .min = 1,
     .max = 65536,
     .help = "channels of the first stage"},
    {.name = "shortcut",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(resnet_options, shortcut),
     .choices = "A|B",
     .help = "where a stage begins: zeros for new channels, or a convolution"},
    {.name = "classes",
     .type = DS_OPTION_INT,
     .offset = offsetof(resnet_options, classes),
     .fallback = "0",
     .min = 0,
     .max = 2147483647,
     .help = "outputs; 0: classes or target columns of the data"},
    {.name = NULL},
};

/* A convolution without bias, which batchnorm would take off again. */
static void resnet_conv(FILE *out, int64_t channels, int kernel, int stride)
{
    fprintf(out,
            "{conv: {channels: %lld, kernel: %d, stride: %d, padding: %d, bias: false, "
            "init: he_normal}}, batchnorm",
            (long long)channels, kernel, stride, kernel / 2);
}

static void resnet_block(FILE *out, const resnet_options *o, int64_t channels, bool first)
{
    fputs(", {residual: {activation: relu, layers: [", out);
    resnet_conv(out, channels, 3, first ? 2 : 1);
    fputs(", relu, ", out);
    resnet_conv(out, channels, 3, 1);
    fputs("]", out);
    if (first && o->shortcut == 0)
        fprintf(out,
                ", shortcut: [{avg_pool: {kernel: 1, stride: 2}}, {pad_channels: {channels: "
                "%lld}}]",
                (long long)channels);
    if (first && o->shortcut == 1) {
        fputs(", shortcut: [", out);
        resnet_conv(out, channels, 1, 2);
        fputs("]", out);
    }
    fputs("}}", out);
}

static ds_status resnet_write(const ds_value *model, const void *opts, size_t outputs, FILE *out)
{
    const resnet_options *o = opts;
    if (o->depth % 6 != 2)
        return ds_value_fail(ds_value_find(model, "depth"),
                             "model, preset resnet: depth is %lld, expected 6 n + 2, such as %lld",
                             (long long)o->depth, (long long)(o->depth / 6 * 6 + 2));
    fputs("{input: [1, 28, 28], layers: [", out);
    resnet_conv(out, o->width, 3, 1);
    fputs(", relu", out);
    for (int64_t stage = 0; stage < 3; stage++)
        for (int64_t i = 0; i < o->depth / 6; i++)
            resnet_block(out, o, o->width << stage, stage > 0 && i == 0);
    fprintf(out, ", global_pool, {dense: {units: %zu}}]}", ds_preset_outputs(o->classes, outputs));
    return DS_OK;
}

extern const ds_preset_ops ds_preset_resnet;
const ds_preset_ops ds_preset_resnet = {
    .name = "resnet",
    .help = "residual blocks with batchnorm, as for CIFAR (He et al. 2015)",
    .options = options,
    .options_size = sizeof(resnet_options),
    .write = resnet_write,
};
