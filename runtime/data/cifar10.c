/* CIFAR-10 in its binary version (Krizhevsky, "Learning multiple layers of features from tiny
 * images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html): records of one label byte and 3072
 * pixel bytes, the red plane, the green, the blue, 32 x 32 each. Files hold nothing else, so their
 * length says whether they are whole. Read twice: records are counted and labels looked at before
 * any room is taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cifar.h"
#include "datafile.h"

enum { CIFAR_FILES = 64, CIFAR_LABELS = 2 };

typedef struct cifar_job {
    const cifar_kind *kind;
    const ds_read_request *request;
    ds_arena *arena; /* of the data set */
    char what[64];
    size_t n_files;
    char *file[CIFAR_FILES];
    size_t n; /* records so far */
    uint8_t *bytes;
    int64_t *label; /* (n) */
} cifar_job;

static ds_status cifar_add(cifar_job *self, const ds_value *at, const char *folder,
                           const char *name)
{
    if (self->n_files == CIFAR_FILES)
        return ds_value_fail(at, "data.%s: more than %d files", self->request->split, CIFAR_FILES);
    const char *slash = folder[0] == '\0' ? "" : "/";
    return ds_arena_printf(self->arena, &self->file[self->n_files++], "%s%s%s", folder, slash,
                           name);
}

/* The files of `path`: a folder has those that the archive has for this split. */
static ds_status cifar_files(cifar_job *self, const ds_value *path)
{
    struct stat s;
    if (path->kind == DS_VALUE_MAP || (path->kind == DS_VALUE_LIST && path->n == 0) ||
        ds_value_is_null(path))
        return ds_value_fail(path, "data.%s: path: expected a file, a list of files or a folder",
                             self->request->split);
    for (size_t i = 0; path->kind == DS_VALUE_LIST && i < path->n; i++) {
        if (path->child[i]->kind != DS_VALUE_SCALAR)
            return ds_value_fail(path->child[i], "data.%s: path: expected names of files",
                                 self->request->split);
        DS_TRY(cifar_add(self, path->child[i], "", path->child[i]->text));
    }
    if (path->kind == DS_VALUE_LIST)
        return DS_OK;
    if (stat(path->text, &s) != 0 || !S_ISDIR(s.st_mode))
        return cifar_add(self, path, "", path->text);
    bool test = strcmp(self->request->split, "test") == 0;
    for (const char *const *name = test ? self->kind->test : self->kind->train; *name != NULL;
         name++)
        DS_TRY(cifar_add(self, path, path->text, *name));
    return DS_OK;
}

static ds_status cifar_record(const cifar_job *self, const char *where, const uint8_t *record)
{
    size_t label = record[self->kind->label_at];
    DS_CHECK(label < self->kind->classes, DS_ERR_DATA,
             "%s: record %zu (from 0) has label %zu, expected 0 to %zu; is it %s's binary version?",
             where, self->n, label, self->kind->classes - 1, self->kind->name);
    return DS_OK;
}

/* All records of a file: looked at and counted, or kept where there is room. */
static ds_status cifar_file(cifar_job *self, const char *path, size_t *first)
{
    uint8_t record[CIFAR_LABELS + CIFAR_PIXELS];
    size_t head = self->kind->label_bytes, size = head + CIFAR_PIXELS, got = 0, begin = *first;
    ds_auto(ds_datafile) file = NULL;
    DS_TRY(ds_datafile_open(self->what, path, false, &file));
    for (self->n = 0;; self->n++) {
        DS_TRY(ds_datafile_read(file, record, size, &got));
        if (got == 0)
            break;
        DS_CHECK(got == size, DS_ERR_DATA,
                 "%s: is truncated, or no file of %s: %zu records of %zu bytes, then %zu bytes",
                 ds_datafile_name(file), self->kind->name, self->n, size, got);
        DS_TRY(cifar_record(self, ds_datafile_name(file), record));
        if (self->label == NULL)
            continue;
        self->label[begin + self->n] = record[self->kind->label_at];
        if (self->bytes != NULL)
            memcpy(self->bytes + (begin + self->n) * CIFAR_PIXELS, record + head, CIFAR_PIXELS);
    }
    DS_CHECK(self->n > 0, DS_ERR_DATA, "%s: is empty, expected records of %zu bytes",
             ds_datafile_name(file), size);
    *first += self->n;
    return DS_OK;
}

/* The archive's names of the classes, where they lie beside the first file; else none. */
static ds_status cifar_names(cifar_job *self, ds_dataset *out)
{
    char path[4096], line[128];
    char **name = NULL;
    size_t n = 0;
    const char *slash = strrchr(self->file[0], '/');
    snprintf(path, sizeof path, "%.*s%s", slash == NULL ? 0 : (int)(slash + 1 - self->file[0]),
             self->file[0], self->kind->names);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return DS_OK;
    ds_status status =
        ds_arena_take(self->arena, self->kind->classes, sizeof *name, "names", &name);
    while (status == DS_OK && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0')
            continue;
        if (n < self->kind->classes)
            status = ds_arena_text(self->arena, line, &name[n]);
        n++;
    }
    fclose(file);
    if (status == DS_OK && n == self->kind->classes)
        out->class_name = (const char *const *)name;
    return status;
}

static ds_status cifar_labels(cifar_job *self, ds_dataset *out)
{
    ds_read_request request = *self->request;
    char where[512];
    if (request.targets_optional)
        return DS_OK;
    snprintf(where, sizeof where, "%s '%s'", self->what, self->file[0]);
    bool known = request.n_classes > 0;
    if (!known)
        request.n_classes = self->kind->classes;
    DS_TRY(ds_read_labels(&request, where, self->label, out));
    return known || request.kind != DS_TARGET_CLASS ? DS_OK : cifar_names(self, out);
}

/* The pixels once more, read when they are wanted. */
typedef struct cifar_stream {
    cifar_job job; /* its names live as long as the data set */
    size_t next;   /* file */
    ds_datafile *file;
} cifar_stream;

static ds_status cifar_next(void *context, size_t n, void *out)
{
    cifar_stream *self = context;
    uint8_t record[CIFAR_LABELS + CIFAR_PIXELS], *to = out;
    size_t head = self->job.kind->label_bytes, got = 0;
    while (n > 0) {
        if (self->file == NULL) {
            DS_CHECK(self->next < self->job.n_files, DS_ERR_DATA, "%s: changed while it was read",
                     self->job.file[0]);
            DS_TRY(
                ds_datafile_open(self->job.what, self->job.file[self->next++], false, &self->file));
        }
        DS_TRY(ds_datafile_read(self->file, record, head + CIFAR_PIXELS, &got));
        if (got < head + CIFAR_PIXELS) {
            ds_datafile_destroy(&self->file);
            continue;
        }
        memcpy(to, record + head, CIFAR_PIXELS);
        to += CIFAR_PIXELS;
        n--;
    }
    return DS_OK;
}

static void cifar_close(void *context)
{
    cifar_stream *self = context;
    ds_datafile_destroy(&self->file);
    free(self);
}

static ds_status cifar_open_stream(const cifar_job *job, ds_input_stream *out)
{
    cifar_stream *self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for reading '%s'", job->file[0]);
    self->job = *job;
    *out = (ds_input_stream){true, cifar_next, cifar_close, self};
    return DS_OK;
}

static ds_status cifar_take(cifar_job *self, ds_dataset *out)
{
    const ds_shape shape = {.n = 3, .dim = {3, 32, 32}};
    size_t n = 0;
    for (size_t i = 0; i < self->n_files; i++)
        DS_TRY(cifar_file(self, self->file[i], &n));
    DS_TRY(ds_read_input(self->request, self->file[0], n, &shape, out));
    if (self->request->inputs != NULL)
        DS_TRY(cifar_open_stream(self, self->request->inputs));
    else
        DS_TRY(ds_arena_take(self->arena, n, CIFAR_PIXELS, "images", &self->bytes));
    self->label = malloc(n * sizeof *self->label);
    DS_CHECK(self->label != NULL, DS_ERR_NOMEM, "out of memory for %zu labels", n);
    size_t again = 0;
    ds_status status = DS_OK;
    for (size_t i = 0; i < self->n_files && status == DS_OK; i++)
        status = cifar_file(self, self->file[i], &again);
    if (status == DS_OK && again != n)
        status = DS_FAIL(DS_ERR_DATA, "%s: changed while it was read", self->file[0]);
    out->bytes = self->bytes;
    if (status == DS_OK)
        status = cifar_labels(self, out);
    free(self->label);
    return status;
}

ds_status ds_cifar_read(const cifar_kind *kind, const cifar_options *options,
                        const ds_read_request *request, ds_dataset *out)
{
    cifar_job job = {.kind = kind, .request = request, .arena = out->arena};
    snprintf(job.what, sizeof job.what, "%s images", request->split);
    DS_TRY(cifar_files(&job, options->path));
    return cifar_take(&job, out);
}

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(cifar_options, path),
     .choices = "a file, a list of files, or the archive's folder",
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "data_batch_1.bin ...; of a folder data_batch_1 to 5, for the test split test_batch"},
    {.name = NULL},
};

static ds_status cifar10_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    static const char *const train[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                        "data_batch_4.bin", "data_batch_5.bin", NULL};
    static const char *const test[] = {"test_batch.bin", NULL};
    static const cifar_kind kind = {"cifar10", 1, 0, 10, train, test, "batches.meta.txt"};
    return ds_cifar_read(&kind, opts, request, out);
}

extern const ds_format_ops ds_format_cifar10;
const ds_format_ops ds_format_cifar10 = {
    .name = "cifar10",
    .help = "CIFAR-10's binary version: 3 x 32 x 32 images in 10 classes",
    .options = options,
    .options_size = sizeof(cifar_options),
    .read = cifar10_read,
    .labels = true,
};
