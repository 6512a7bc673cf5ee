/* One source of samples: its format is found, its options checked, its reader called, its numbers
 * looked at. */
#include "descent/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/hash.h"

#include "read.h"

ds_status ds_dataset_create(ds_dataset **out)
{
    ds_arena *arena = NULL;
    ds_dataset *self = NULL;
    DS_TRY(ds_arena_create("data", &arena));
    ds_status status = ds_arena_take(arena, 1, sizeof *self, "a dataset", &self);
    if (status != DS_OK) {
        ds_arena_destroy(&arena);
        return status;
    }
    self->arena = arena;
    self->n_labels = 1;
    *out = self;
    return DS_OK;
}

void ds_dataset_destroy(ds_dataset **dataset)
{
    if (*dataset == NULL)
        return;
    ds_arena *arena = (*dataset)->arena;
    ds_arena_destroy(&arena);
    *dataset = NULL;
}

void ds_input_stream_close(ds_input_stream *stream)
{
    if (stream->close != NULL)
        stream->close(stream->context);
    *stream = (ds_input_stream){0};
}

ds_status ds_read_input(const ds_read_request *request, const char *where, size_t n,
                        const ds_shape *found, ds_dataset *out)
{
    char a[DS_SHAPE_TEXT], b[DS_SHAPE_TEXT];
    DS_CHECK(n > 0, DS_ERR_DATA, "%s: holds no samples", where);
    out->n = n;
    out->input = *found;
    if (request->input == NULL)
        return DS_OK;
    size_t have = ds_shape_elements(found), want = ds_shape_elements(request->input);
    bool train = strcmp(request->split, "train") == 0;
    DS_CHECK(have == want, train ? DS_ERR_USAGE : DS_ERR_DATA,
             "%s: a sample has shape %s (%zu elements), model.input is %s (%zu elements): they "
             "must hold as many",
             where, ds_shape_text(found, a), have, ds_shape_text(request->input, b), want);
    out->input = *request->input;
    return DS_OK;
}

/* NaN and infinities are no data. */
static ds_status dataset_finite(const ds_dataset *self, const char *split)
{
    size_t elements = ds_shape_elements(&self->input);
    for (size_t i = 0; self->values != NULL && i < self->n * elements; i++) {
        if (isfinite(self->values[i]))
            continue;
        const char *name = self->column == NULL ? NULL : self->column[i % elements];
        return DS_FAIL(
            DS_ERR_DATA, "%s data: sample %zu, %s%zu%s%s is %g; expected a finite number", split,
            i / elements, name == NULL ? "element " : "column ", i % elements,
            name == NULL ? "" : " ", name == NULL ? "" : name, ds_shown((double)self->values[i]));
    }
    for (size_t i = 0; self->target != NULL && i < self->n * self->n_targets; i++)
        DS_CHECK(isfinite(self->target[i]), DS_ERR_DATA,
                 "%s data: sample %zu, target %zu is %g; expected a finite number", split,
                 i / self->n_targets, i % self->n_targets, ds_shown((double)self->target[i]));
    return DS_OK;
}

static ds_status dataset_identity(ds_dataset *self)
{
    size_t elements = self->n * ds_shape_elements(&self->input);
    ds_auto(ds_hash) hash = NULL;
    DS_TRY(ds_hash_create(&hash));
    if (self->bytes != NULL)
        ds_hash_add(hash, self->bytes, elements);
    if (self->values != NULL)
        ds_hash_add(hash, self->values, elements * sizeof *self->values);
    if (self->label != NULL)
        ds_hash_add(hash, self->label, self->n * self->n_labels * sizeof *self->label);
    if (self->target != NULL)
        ds_hash_add(hash, self->target, self->n * self->n_targets * sizeof *self->target);
    self->identity = ds_hash_value(hash);
    return DS_OK;
}

ds_status ds_dataset_judge(ds_dataset *self, const char *split)
{
    DS_TRY(dataset_finite(self, split));
    return dataset_identity(self);
}

/* The source's map without `format`, which is not the reader's. */
static ds_status dataset_options(const ds_format_ops *ops, const ds_read_request *request,
                                 ds_arena *arena, void **options)
{
    ds_value own = {.kind = DS_VALUE_MAP};
    char what[96];
    if (request->source != NULL) {
        own = *request->source;
        own.n = 0;
        DS_TRY(ds_arena_take(arena, request->source->n, sizeof *own.child, "data options",
                             &own.child));
        for (size_t i = 0; i < request->source->n; i++)
            if (strcmp(request->source->child[i]->key, "format") != 0)
                own.child[own.n++] = request->source->child[i];
    }
    snprintf(what, sizeof what, "data.%s, format %s", request->split, ops->name);
    DS_TRY(ds_arena_take(arena, 1, ops->options_size, "data options", options));
    return ds_options_parse(ops->options, &own, what, arena, *options);
}

ds_status ds_read_format(const ds_format_ops *ops, const ds_read_request *request, ds_dataset **out)
{
    ds_auto(ds_dataset) self = NULL;
    void *options = NULL;
    DS_TRY(ds_dataset_create(&self));
    self->declares_classes = ops->labels;
    DS_TRY(dataset_options(ops, request, self->arena, &options));
    DS_TRY(ops->read(options, request, self));
    DS_TRY(ds_dataset_judge(self, request->split));
    *out = ds_steal(self);
    return DS_OK;
}

ds_status ds_dataset_read(const ds_read_request *request, ds_dataset **out)
{
    const ds_value *format = ds_value_find(request->source, "format");
    const char *names[32], *name = format == NULL || format->text == NULL ? "" : format->text;
    const ds_format_ops *ops = ds_format_find(name);
    if (ops != NULL)
        return ds_read_format(ops, request, out);
    if (name[0] == '\0')
        return ds_value_fail(request->source,
                             "data.%s: 'format' is missing; see descent list formats",
                             request->split);
    size_t n = 0;
    for (; n < 32 && ds_format_at(n) != NULL; n++)
        names[n] = ds_format_at(n)->name;
    const char *closest = ds_closest(name, n, names);
    return ds_value_fail(format != NULL ? format : request->source,
                         "data.%s: unknown format '%s'%s%s%s; see descent list formats",
                         request->split, name, closest == NULL ? "" : " (closest: '",
                         closest == NULL ? "" : closest, closest == NULL ? "" : "')");
}
