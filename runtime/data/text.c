/* Any text file as a sequence of bytes: 256 tokens, no other tokenizer. */
#include <stdlib.h>

#include "datafile.h"
#include "sequence.h"

typedef struct text_options {
    const char *path;
    ds_sequence_part part;
} text_options;

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(text_options, path),
     .flags = DS_OPTION_REQUIRED,
     .help = "the file, plain or gzip"},
    {.name = "from",
     .type = DS_OPTION_REAL,
     .offset = offsetof(text_options, part.from),
     .fallback = "0",
     .max = 1,
     .help = "where the part to be read begins: 0.9 skips nine tenths of the file"},
    {.name = "to",
     .type = DS_OPTION_REAL,
     .offset = offsetof(text_options, part.to),
     .fallback = "1",
     .max = 1,
     .help = "where it ends"},
    {.name = NULL},
};

static ds_status text_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const text_options *o = opts;
    ds_auto(ds_datafile) file = NULL;
    char *text = NULL;
    size_t n = 0;
    DS_TRY(ds_datafile_open("text", o->path, request->targets_optional, &file));
    DS_TRY(ds_datafile_slurp(file, &text, &n));
    const ds_sequence tokens = {
        .n_tokens = n, .vocab = 256, .bytes = (const uint8_t *)(const void *)text};
    ds_status status = ds_sequence_cut(request, ds_datafile_name(file), &tokens, &o->part, out);
    free(text);
    return status;
}

extern const ds_format_ops ds_format_text;
const ds_format_ops ds_format_text = {
    .name = "text",
    .help = "bytes of a file in windows of the model's length; each predicts the next",
    .options = options,
    .options_size = sizeof(text_options),
    .read = text_read,
};
