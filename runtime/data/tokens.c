/* A sequence of token numbers made by any tokenizer: uint16, little-endian, without a header. */
#include <stdlib.h>
#include <string.h>

#include "datafile.h"
#include "sequence.h"

typedef struct tokens_options {
    const char *path;
    ds_sequence_part part;
    int64_t vocab;
} tokens_options;

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(tokens_options, path),
     .flags = DS_OPTION_REQUIRED,
     .help = "the file, plain or gzip"},
    {.name = "vocab",
     .type = DS_OPTION_INT,
     .offset = offsetof(tokens_options, vocab),
     .flags = DS_OPTION_REQUIRED,
     .min = 1,
     .max = 65536,
     .help = "how many tokens there are; numbers are 0 to vocab - 1"},
    {.name = "from",
     .type = DS_OPTION_REAL,
     .offset = offsetof(tokens_options, part.from),
     .fallback = "0",
     .max = 1,
     .help = "where the part to be read begins: 0.9 skips nine tenths of the file"},
    {.name = "to",
     .type = DS_OPTION_REAL,
     .offset = offsetof(tokens_options, part.to),
     .fallback = "1",
     .max = 1,
     .help = "where it ends"},
    {.name = NULL},
};

static ds_status tokens_cut(const tokens_options *o, const ds_read_request *request,
                            const char *where, size_t bytes, const char *text, ds_dataset *out)
{
    DS_CHECK(bytes % 2 == 0, DS_ERR_DATA, "%s: holds %zu bytes, expected two a token", where,
             bytes);
    uint16_t *numbers = malloc(bytes + 1);
    DS_CHECK(numbers != NULL, DS_ERR_NOMEM, "out of memory for %zu tokens", bytes / 2);
    for (size_t i = 0; i < bytes / 2; i++)
        numbers[i] = (uint16_t)((uint8_t)text[2 * i] | (uint8_t)text[2 * i + 1] << 8);
    const ds_sequence tokens = {
        .n_tokens = bytes / 2, .vocab = (size_t)o->vocab, .numbers = numbers};
    ds_status status = ds_sequence_cut(request, where, &tokens, &o->part, out);
    free(numbers);
    return status;
}

static ds_status tokens_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const tokens_options *o = opts;
    ds_auto(ds_datafile) file = NULL;
    char *text = NULL;
    size_t n = 0;
    DS_TRY(ds_datafile_open("tokens", o->path, request->targets_optional, &file));
    DS_TRY(ds_datafile_slurp(file, &text, &n));
    ds_status status = tokens_cut(o, request, ds_datafile_name(file), n, text, out);
    free(text);
    return status;
}

extern const ds_format_ops ds_format_tokens;
const ds_format_ops ds_format_tokens = {
    .name = "tokens",
    .help = "uint16 token numbers in windows of the model's length; each predicts the next",
    .options = options,
    .options_size = sizeof(tokens_options),
    .read = tokens_read,
};
