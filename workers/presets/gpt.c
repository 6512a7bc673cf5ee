/* A decoder of the GPT-2 kind (Radford et al. 2019): tokens and learned positions, blocks of
 * attention and of a two-layer perceptron, each behind a normalisation and beside a shortcut, one
 * more normalisation, and the scores of the next token, by the table of tokens itself where tied
 * (Press and Wolf 2017). 12 layers width^2 parameters and the tables. */
#include "descent/preset.h"

typedef struct gpt_options {
    int64_t layers, width, heads, context, vocab, mlp_ratio;
    double dropout;
    bool tied;
} gpt_options;

static const ds_option options[] = {
    {.name = "layers",
     .type = DS_OPTION_INT,
     .offset = offsetof(gpt_options, layers),
     .fallback = "6",
     .min = 1,
     .max = 1024,
     .help = "blocks"},
    {.name = "width",
     .type = DS_OPTION_INT,
     .offset = offsetof(gpt_options, width),
     .fallback = "256",
     .min = 1,
     .max = 65536,
     .help = "numbers that stand for a token"},
    {.name = "heads",
     .type = DS_OPTION_INT,
     .offset = offsetof(gpt_options, heads),
     .fallback = "8",
     .min = 1,
     .max = 65536,
     .help = "of attention; width is a multiple of them"},
    {.name = "context",
     .type = DS_OPTION_INT,
     .offset = offsetof(gpt_options, context),
     .fallback = "128",
     .min = 1,
     .max = 1048576,
     .help = "tokens of a sample, which are all that a prediction sees"},
    {.name = "vocab",
     .type = DS_OPTION_INT,
     .offset = offsetof(gpt_options, vocab),
     .fallback = "0",
     .min = 0,
     .max = 16777216,
     .help = "different tokens; 0: as many as the data have (256 for text)"},
    {.name = "dropout",
     .type = DS_OPTION_REAL,
     .offset = offsetof(gpt_options, dropout),
     .fallback = "0",
     .min = 0,
     .max = DS_BELOW_1,
     .help = "probability of a zero behind the tables and each half of a block; 0: none"},
    {.name = "mlp_ratio",
     .type = DS_OPTION_INT,
     .offset = offsetof(gpt_options, mlp_ratio),
     .fallback = "4",
     .min = 1,
     .max = 64,
     .help = "units of the hidden layer as multiples of width"},
    {.name = "tied",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(gpt_options, tied),
     .fallback = "true",
     .help = "the last layer's weights are the table of tokens"},
    {.name = NULL},
};

static void gpt_dropout(const gpt_options *o, FILE *out)
{
    char p[32];
    if (o->dropout > 0)
        fprintf(out, ", {dropout: {p: %s}}", ds_real_text(o->dropout, p));
}

/* x + attention(norm(x)), then x + mlp(norm(x)). */
static void gpt_block(const gpt_options *o, FILE *out)
{
    long long width = (long long)o->width;
    fprintf(out,
            ", {residual: {layers: [layernorm, {dense: {units: %lld, positionwise: true}}, "
            "{attention: {heads: %lld}}, {dense: {units: %lld, positionwise: true}}",
            3 * width, (long long)o->heads, width);
    gpt_dropout(o, out);
    fprintf(out,
            "]}}, {residual: {layers: [layernorm, {dense: {units: %lld, positionwise: true, "
            "activation: gelu}}, {dense: {units: %lld, positionwise: true}}",
            (long long)o->mlp_ratio * width, width);
    gpt_dropout(o, out);
    fputs("]}}", out);
}

static ds_status gpt_write(const ds_value *model, const void *opts, size_t outputs, FILE *out)
{
    const gpt_options *o = opts;
    const ds_value *heads = ds_value_find(model, "heads");
    if (o->width % o->heads != 0)
        return ds_value_fail(heads != NULL ? heads : ds_value_find(model, "preset"),
                             "model, preset gpt: %lld heads, width %lld: expected a width that is "
                             "a multiple of heads",
                             (long long)o->heads, (long long)o->width);
    size_t vocab = o->vocab > 0 ? (size_t)o->vocab : outputs > 0 ? outputs : 256;
    fprintf(out,
            "{input: [%lld], layers: [{embedding: {vocab: %zu, width: %lld}}, "
            "positions",
            (long long)o->context, vocab, (long long)o->width);
    gpt_dropout(o, out);
    for (int64_t i = 0; i < o->layers; i++)
        gpt_block(o, out);
    fprintf(out, ", layernorm, {dense: {units: %zu, positionwise: true, bias: false%s}}]}", vocab,
            o->tied ? ", tied: embedding1" : "");
    return DS_OK;
}

extern const ds_preset_ops ds_preset_gpt;
const ds_preset_ops ds_preset_gpt = {
    .name = "gpt",
    .help = "a language model of attention blocks (Radford et al. 2019), for text and tokens",
    .options = options,
    .options_size = sizeof(gpt_options),
    .write = gpt_write,
};
