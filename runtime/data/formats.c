/* The table of formats, and what all of them owe: options checked, every value finite, an identity
 * (XXH3-64 over counts, inputs, targets and class names). Cost: one pass over the data. */
#include "descent/dataset.h"

#include <math.h>
#include <string.h>

#include "descent/hash.h"
#include "read.h"

#define X(name) extern const ds_format_ops ds_format_##name;
#include "formats.list"
#undef X

static const ds_format_ops *const table[] = {
#define X(name) &ds_format_##name,
#include "formats.list"
#undef X
};
enum { FORMATS_N = sizeof table / sizeof *table };

const ds_format_ops *ds_format_at(size_t i)
{
    return i < FORMATS_N ? table[i] : NULL;
}

const ds_format_ops *ds_format_find(const char *name)
{
    for (size_t i = 0; i < FORMATS_N; i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

static ds_status formats_named(const ds_read_request *request, const ds_format_ops **out)
{
    const char *names[FORMATS_N];
    char all[256] = "";
    for (size_t i = 0; i < FORMATS_N; i++) {
        names[i] = table[i]->name;
        strncat(all, i == 0 ? "" : ", ", sizeof all - strlen(all) - 1);
        strncat(all, names[i], sizeof all - strlen(all) - 1);
    }
    const ds_value *format = ds_value_find(request->source, "format");
    if (format == NULL || format->text == NULL || format->text[0] == '\0')
        return ds_value_fail(request->source, "data.%s has no format; expected one of %s",
                             request->split, all);
    *out = ds_format_find(format->text);
    if (*out != NULL)
        return DS_OK;
    const char *near = ds_closest(format->text, FORMATS_N, names);
    return ds_value_fail(format, "data.%s.format: unknown format '%s'%s%s%s; expected one of %s",
                         request->split, format->text, near == NULL ? "" : ", did you mean '",
                         near == NULL ? "" : near, near == NULL ? "" : "'", all);
}

/* The source's options: its map without `format`. */
static ds_status formats_options(const ds_format_ops *ops, const ds_read_request *request,
                                 ds_arena *arena, void **out)
{
    ds_value map = *request->source;
    map.n = 0;
    DS_TRY(ds_arena_take(arena, request->source->n, sizeof *map.child, "options", &map.child));
    for (size_t i = 0; i < request->source->n; i++)
        if (strcmp(request->source->child[i]->key, "format") != 0)
            map.child[map.n++] = request->source->child[i];
    char what[64];
    snprintf(what, sizeof what, "data.%s (format %s)", request->split, ops->name);
    DS_TRY(ds_arena_take(arena, 1, ops->options_size, "options", out));
    return ds_options_parse(ops->options, &map, what, arena, *out);
}

/* Index of the first value of x (n) that is not finite, or n. */
static size_t formats_bad(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return i;
    return n;
}

static ds_status formats_check_finite(const ds_dataset *self, const char *split)
{
    size_t cols = ds_shape_elements(&self->input), n = self->n * cols;
    size_t bad = self->values == NULL ? n : formats_bad(n, self->values);
    DS_CHECK(bad == n, DS_ERR_DATA,
             "%s data: sample %zu has a value that is not finite (%g) in input %zu%s%s", split,
             bad / cols, (double)self->values[bad], bad % cols, self->column == NULL ? "" : ", ",
             self->column == NULL ? "" : self->column[bad % cols]);
    cols = self->n_targets;
    n = self->n * cols;
    bad = self->target == NULL ? n : formats_bad(n, self->target);
    DS_CHECK(bad == n, DS_ERR_DATA,
             "%s data: sample %zu has a value that is not finite (%g) in target %zu", split,
             bad / cols, (double)self->target[bad], bad % cols);
    return DS_OK;
}

ds_status ds_read_identity(ds_dataset *self)
{
    ds_auto(ds_hash) hash = NULL;
    DS_TRY(ds_hash_create(&hash));
    size_t n = self->n * ds_shape_elements(&self->input);
    uint64_t head[4] = {self->n, ds_shape_elements(&self->input), self->n_targets, self->n_classes};
    ds_hash_add(hash, head, sizeof head);
    if (self->bytes != NULL)
        ds_hash_add(hash, self->bytes, n);
    if (self->values != NULL)
        ds_hash_add(hash, self->values, n * sizeof *self->values);
    if (self->label != NULL)
        ds_hash_add(hash, self->label, self->n * sizeof *self->label);
    if (self->target != NULL)
        ds_hash_add(hash, self->target, self->n * self->n_targets * sizeof *self->target);
    for (size_t i = 0; self->class_name != NULL && i < self->n_classes; i++)
        ds_hash_add(hash, self->class_name[i], strlen(self->class_name[i]) + 1);
    self->identity = ds_hash_value(hash);
    return DS_OK;
}

ds_status ds_dataset_read(const ds_read_request *request, ds_dataset **out)
{
    if (request->source == NULL || request->source->kind != DS_VALUE_MAP)
        return ds_value_fail(request->source, "data.%s: expected a map such as {format: csv, path: F}",
                             request->split);
    const ds_format_ops *ops = NULL;
    DS_TRY(formats_named(request, &ops));
    ds_auto(ds_arena) arena = NULL;
    ds_auto(ds_arena) scratch = NULL;
    char name[64];
    snprintf(name, sizeof name, "the %s data", request->split);
    DS_TRY(ds_arena_create(name, &arena));
    DS_TRY(ds_arena_create("options", &scratch));
    void *options = NULL;
    DS_TRY(formats_options(ops, request, scratch, &options));
    ds_dataset *self = NULL;
    DS_TRY(ds_arena_take(arena, 1, sizeof *self, "a data set", &self));
    self->arena = arena;
    self->kind = request->kind;
    DS_TRY(ops->read(options, request, self));
    DS_TRY(formats_check_finite(self, request->split));
    DS_TRY(ds_read_identity(self));
    arena = NULL;
    *out = self;
    return DS_OK;
}
