/* libsvm's sparse text (Chang and Lin, 2011): `label index:value ...` a line, indices rising, what
 * is not named being 0; `qid:N` and what follows # are passed over. Dense in memory. The text is
 * read at once and taken apart in one pass, O(bytes); 16 bytes a named value until all rows are
 * known. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datafile.h"
#include "read.h"

/* More features than any set whose dense table a host could hold; beyond, an index is more likely
 * damaged (or a hash), and one line would ask for gigabytes. */
enum { LIBSVM_MOST = 1 << 24 };

typedef struct libsvm_options {
    const char *path;
    int64_t features, base;
} libsvm_options;

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(libsvm_options, path),
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "file (.gz or plain)"},
    {.name = "features",
     .type = DS_OPTION_INT,
     .offset = offsetof(libsvm_options, features),
     .fallback = "0",
     .max = 1e9,
     .help = "how many a sample has; 0: the highest index of the training data, at most 2^24"},
    {.name = "base",
     .type = DS_OPTION_INT,
     .offset = offsetof(libsvm_options, base),
     .fallback = "1",
     .max = 1,
     .help = "the first index: 1, or 0 as scikit-learn may write it"},
    {.name = NULL},
};

typedef struct libsvm_entry {
    size_t row;
    uint32_t column;
    float value;
} libsvm_entry;

typedef struct libsvm_job {
    const libsvm_options *options;
    const ds_read_request *request;
    const char *name; /* of the file, for messages */
    size_t n, room;   /* rows */
    const char **label;
    size_t *line;
    size_t n_entries, entry_room;
    libsvm_entry *entry;
    size_t width; /* highest column + 1 */
} libsvm_job;

static ds_status libsvm_grow(size_t n, size_t *room, size_t each, void *block)
{
    void *old = NULL;
    memcpy(&old, block, sizeof old);
    if (n < *room)
        return DS_OK;
    size_t next = *room == 0 ? 1024 : 2 * *room;
    void *more = realloc(old, next * each);
    DS_CHECK(more != NULL, DS_ERR_NOMEM, "out of memory for %zu rows or values", next);
    memcpy(block, &more, sizeof more);
    *room = next;
    return DS_OK;
}

/* "3:0.25" */
static ds_status libsvm_pair(libsvm_job *self, size_t line, char *word, int64_t *last)
{
    char *colon = strchr(word, ':');
    double value = 0;
    long long base = (long long)self->options->base;
    DS_CHECK(colon != NULL && colon != word, DS_ERR_DATA,
             "%s:%zu: found '%.40s', expected index:value", self->name, line, word);
    *colon = '\0';
    errno = 0;
    char *end = NULL;
    long long index = strtoll(word, &end, 10);
    DS_CHECK(*end == '\0' && word[0] >= '0' && word[0] <= '9' && errno == 0 &&
                 index < (long long)UINT32_MAX,
             DS_ERR_DATA, "%s:%zu: index '%.40s' is no whole number from %lld on", self->name, line,
             word, base);
    DS_CHECK(index >= base, DS_ERR_DATA,
             "%s:%zu: index %lld, expected %lld or more; indices from 0 need base: 0", self->name,
             line, index, base);
    DS_CHECK(index > *last, DS_ERR_DATA,
             "%s:%zu: index %lld after %lld, expected them to rise, each once", self->name, line,
             index, (long long)*last);
    DS_CHECK(self->options->features == 0 || index - base < self->options->features, DS_ERR_DATA,
             "%s:%zu: index %lld, expected %lld to %lld (features: %lld)", self->name, line, index,
             base, base + (long long)self->options->features - 1,
             (long long)self->options->features);
    DS_CHECK(self->options->features > 0 || index - base < LIBSVM_MOST, DS_ERR_DATA,
             "%s:%zu: index %lld, expected at most %lld: the table is dense, a column an index; if "
             "more are meant, features must say how many",
             self->name, line, index, base + LIBSVM_MOST - 1);
    DS_CHECK(ds_read_number(colon + 1, &value) && isfinite((float)value), DS_ERR_DATA,
             "%s:%zu: the value of index %lld is '%.40s', expected a finite number", self->name,
             line, index, colon + 1);
    *last = index;
    DS_TRY(libsvm_grow(self->n_entries, &self->entry_room, sizeof *self->entry, &self->entry));
    size_t column = (size_t)(index - base);
    self->entry[self->n_entries++] = (libsvm_entry){self->n, (uint32_t)column, (float)value};
    self->width = column + 1 > self->width ? column + 1 : self->width;
    return DS_OK;
}

static ds_status libsvm_label(const libsvm_job *self, size_t line, const char *word)
{
    double x = 0;
    bool number = ds_read_number(word, &x);
    DS_CHECK(strchr(word, ':') == NULL || self->request->targets_optional, DS_ERR_DATA,
             "%s:%zu: begins with '%.40s', expected the label", self->name, line, word);
    DS_CHECK(strchr(word, ',') == NULL, DS_ERR_DATA,
             "%s:%zu: has several labels '%.40s', expected one", self->name, line, word);
    DS_CHECK(!number || isfinite((float)x), DS_ERR_DATA,
             "%s:%zu: label '%.40s', expected a finite number", self->name, line, word);
    DS_CHECK(self->request->kind == DS_TARGET_CLASS || number || self->request->targets_optional,
             DS_ERR_DATA, "%s:%zu: target '%.40s', expected a number", self->name, line, word);
    return DS_OK;
}

static ds_status libsvm_line(libsvm_job *self, size_t line, char *text)
{
    char *rest = NULL;
    int64_t last = -1;
    text[strcspn(text, "#\r")] = '\0';
    char *word = strtok_r(text, " \t", &rest);
    if (word == NULL)
        return DS_OK;
    DS_TRY(libsvm_label(self, line, word));
    size_t line_room = self->room; /* both grow alike */
    DS_TRY(libsvm_grow(self->n, &line_room, sizeof *self->line, &self->line));
    DS_TRY(libsvm_grow(self->n, &self->room, sizeof *self->label, &self->label));
    self->label[self->n] = word;
    self->line[self->n] = line;
    if (strchr(word, ':') == NULL)
        word = strtok_r(NULL, " \t", &rest);
    if (word != NULL && strncmp(word, "qid:", 4) == 0)
        word = strtok_r(NULL, " \t", &rest);
    for (; word != NULL; word = strtok_r(NULL, " \t", &rest))
        DS_TRY(libsvm_pair(self, line, word, &last));
    self->n++;
    return DS_OK;
}

static ds_status libsvm_lines(libsvm_job *self, size_t n, char *text)
{
    const char *zero = memchr(text, '\0', n);
    DS_CHECK(zero == NULL, DS_ERR_DATA, "%s: holds a NUL byte at %zu: no text", self->name,
             (size_t)(zero - text));
    for (size_t line = 1; text != NULL; line++) {
        char *next = strchr(text, '\n');
        if (next != NULL)
            *next++ = '\0';
        DS_TRY(libsvm_line(self, line, text));
        text = next;
    }
    DS_CHECK(self->n > 0, DS_ERR_DATA, "%s: holds no samples", self->name);
    return DS_OK;
}

/* How many features a sample has. A sparse file need not name the last: other files than the
 * training split's may have fewer than the model's input. */
static ds_status libsvm_width(const libsvm_job *self, size_t *out)
{
    const ds_shape *input = self->request->input;
    size_t want = input == NULL ? 0 : ds_shape_elements(input);
    *out = self->width > 0 ? self->width : 1;
    if (self->options->features > 0)
        *out = (size_t)self->options->features;
    else if (*out < want && strcmp(self->request->split, "train") != 0)
        *out = want;
    DS_CHECK(
        self->options->features > 0 || *out >= want, DS_ERR_USAGE,
        "%s: its highest index names %zu features, model.input takes %zu; if the last ones are "
        "always 0, say so: features: %zu",
        self->name, *out, want, want);
    double bytes = (double)self->n * (double)*out * sizeof(float);
    double here = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    DS_CHECK(bytes < here, DS_ERR_DATA,
             "%s: %zu samples of %zu features take %.1f GiB as a dense table, this host has %.1f "
             "(is an index damaged?)",
             self->name, self->n, *out, bytes / 0x1p30, here / 0x1p30);
    return DS_OK;
}

static ds_status libsvm_targets(const libsvm_job *self, ds_dataset *out)
{
    float *target = NULL;
    if (self->request->targets_optional)
        return DS_OK;
    if (self->request->kind == DS_TARGET_CLASS)
        return ds_read_classes(self->request, self->name, self->label, self->line, out);
    DS_TRY(ds_arena_take(out->arena, self->n, sizeof *target, "targets", &target));
    for (size_t i = 0; i < self->n; i++) {
        double x = 0;
        (void)ds_read_number(self->label[i], &x);
        target[i] = (float)x;
    }
    out->kind = DS_TARGET_REAL;
    out->n_targets = 1;
    out->target = target;
    return DS_OK;
}

static ds_status libsvm_table(libsvm_job *self, size_t n, char *text, ds_dataset *out)
{
    ds_shape shape = {.n = 1};
    float *values = NULL;
    DS_TRY(libsvm_lines(self, n, text));
    DS_TRY(libsvm_width(self, &shape.dim[0]));
    DS_TRY(ds_read_input(self->request, self->name, self->n, &shape, out));
    DS_TRY(ds_arena_take(out->arena, self->n, shape.dim[0] * sizeof *values, "samples", &values));
    for (size_t i = 0; i < self->n_entries; i++)
        values[self->entry[i].row * shape.dim[0] + self->entry[i].column] = self->entry[i].value;
    out->values = values;
    return libsvm_targets(self, out);
}

static ds_status libsvm_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const libsvm_options *o = opts;
    char what[64], *text = NULL;
    size_t n = 0;
    ds_auto(ds_datafile) file = NULL;
    snprintf(what, sizeof what, "%s data", request->split);
    DS_TRY(ds_datafile_open(what, o->path, request->targets_optional, &file));
    DS_TRY(ds_datafile_slurp(file, &text, &n));
    libsvm_job job = {.options = o, .request = request, .name = o->path};
    ds_status status = libsvm_table(&job, n, text, out);
    free(job.label);
    free(job.line);
    free(job.entry);
    free(text);
    return status;
}

extern const ds_format_ops ds_format_libsvm;
const ds_format_ops ds_format_libsvm = {
    .name = "libsvm",
    .help = "sparse text, a line a sample: label index:value ...",
    .options = options,
    .options_size = sizeof(libsvm_options),
    .read = libsvm_read,
};
