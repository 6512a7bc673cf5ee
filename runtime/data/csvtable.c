/* Which columns are which. With a header, columns are known by their names: the config's target,
 * and for other files than the training data the names of its inputs (more columns than those are
 * passed over). Without one they are known by position.
 * Is the first record a header? `header: auto` says yes when it is the training data's and the
 * config names its target, when all the training data's columns are in it, or when no field of it
 * is a number; no when all fields but the class are numbers; and asks when it is neither, so that a
 * damaged first line is never taken for names. */
#include "csvtable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_TARGETS = 4096 };

const char *csv_table_column(const csv_table *self, size_t column, size_t room, char *text)
{
    if (self->name != NULL)
        snprintf(text, room, "'%.60s'", self->name[column]);
    else
        snprintf(text, room, "%zu", column + 1);
    return text;
}

static int table_by_text(const void *a, const void *b)
{
    return strcmp(((const csv_name *)a)->text, ((const csv_name *)b)->text);
}

static const csv_name *table_find(const csv_table *self, const char *name)
{
    csv_name key = {.text = name};
    return bsearch(&key, self->names, self->width, sizeof *self->names, table_by_text);
}

static const char *table_closest(const csv_table *self, const char *name)
{
    return ds_closest(name, self->width, self->name);
}

/* Take the first record's fields for names. */
static ds_status table_names(csv_table *self, const ds_csvtext *text)
{
    csv_name *sorted = NULL;
    char *copy = NULL;
    DS_TRY(ds_arena_take(self->arena, self->width, sizeof *self->name, "column names",
                         (void *)&self->name));
    DS_TRY(ds_arena_take(self->arena, self->width, sizeof *sorted, "column names", &sorted));
    for (size_t i = 0; i < self->width; i++) {
        DS_TRY(ds_arena_text(self->arena, text->field[i], &copy));
        self->name[i] = copy;
        sorted[i] = (csv_name){copy, i};
    }
    qsort(sorted, self->width, sizeof *sorted, table_by_text);
    self->names = sorted;
    return DS_OK;
}

/* Names that mean two columns, or nothing, are none. */
static ds_status table_check_names(const csv_table *self)
{
    for (size_t i = 0; i < self->width; i++) {
        DS_CHECK(self->names[i].text[0] != '\0', DS_ERR_DATA,
                 "%s:1: the header's field %zu is empty, expected a column name", self->where,
                 self->names[i].column + 1);
        DS_CHECK(i == 0 || strcmp(self->names[i - 1].text, self->names[i].text) != 0, DS_ERR_DATA,
                 "%s:1: the header has two columns named '%.60s' (or the file has no header: then "
                 "say header: false)",
                 self->where, self->names[i].text);
    }
    return DS_OK;
}

static bool table_is_index(const ds_value *v)
{
    return v->kind == DS_VALUE_SCALAR && v->text[0] != '\0' && !v->quoted &&
           v->text[strspn(v->text, "0123456789")] == '\0' && strlen(v->text) < 10;
}

/* The config's i-th target; NULL past the end. */
static const ds_value *table_asked(const csv_table *self, size_t i)
{
    const ds_value *t = self->options->target;
    if (ds_value_is_null(t))
        return NULL;
    if (t->kind == DS_VALUE_LIST)
        return i < t->n ? t->child[i] : NULL;
    return i == 0 ? t : NULL;
}

static bool table_is_target(const csv_table *self, size_t column)
{
    const ds_value *v = table_asked(self, 0);
    if (v == NULL)
        return column + 1 == self->width;
    for (size_t i = 0; (v = table_asked(self, i)) != NULL; i++)
        if (table_is_index(v) && (size_t)atol(v->text) == column)
            return true;
    return false;
}

/* Does the first record hold every name that is known of the inputs? */
static bool table_all_known(const csv_table *self)
{
    const ds_read_request *r = self->request;
    for (size_t i = 0; i < r->n_columns && r->column != NULL; i++)
        if (table_find(self, r->column[i]) == NULL)
            return false;
    return r->column != NULL && r->n_columns > 0;
}

static ds_status table_has_header(const csv_table *self, bool *header)
{
    const ds_value *first = table_asked(self, 0);
    size_t numbers = 0, of = 0;
    double x = 0;
    *header = self->options->header == CSV_TRUE;
    if (self->options->header != CSV_AUTO)
        return DS_OK;
    bool named = first != NULL && !table_is_index(first) && self->request->column == NULL;
    *header = named || table_all_known(self);
    if (*header)
        return DS_OK;
    bool classes = self->request->kind == DS_TARGET_CLASS || self->request->targets_optional;
    for (size_t i = 0; i < self->width; i++) {
        if (classes && self->width > 1 && table_is_target(self, i) &&
            !ds_read_number(self->name[i], &x))
            continue;
        of++;
        numbers += ds_read_number(self->name[i], &x);
    }
    *header = numbers == 0;
    DS_CHECK(numbers == 0 || numbers == of, DS_ERR_DATA,
             "%s:1: has %zu numbers among its %zu fields: neither names nor data; mend it, or say "
             "header: true or header: false",
             self->where, numbers, self->width);
    return DS_OK;
}

/* The column of a target of the config. A table to predict for may lack it: *column == width. */
static ds_status table_target(const csv_table *self, const ds_value *v, size_t *column)
{
    *column = self->width;
    if (v->kind != DS_VALUE_SCALAR)
        return ds_value_fail(v, "data.%s: target holds a map or list, expected a column name",
                             self->request->split);
    const csv_name *hit = self->name == NULL ? NULL : table_find(self, v->text);
    if (hit != NULL)
        *column = hit->column;
    else if (self->name == NULL && table_is_index(v) && (size_t)atol(v->text) < self->width)
        *column = (size_t)atol(v->text);
    if (*column < self->width || self->request->targets_optional)
        return DS_OK;
    if (self->name == NULL)
        return ds_value_fail(v,
                             "data.%s: target '%.60s' is no column of %s, which has no header: "
                             "expected 0 to %zu",
                             self->request->split, v->text, self->where, self->width - 1);
    const char *closest = table_closest(self, v->text);
    return ds_value_fail(
        v, "data.%s: target '%.60s' is no column of %s%s%.60s%s", self->request->split, v->text,
        self->where, closest == NULL ? "; its last is '" : " (closest: '",
        closest == NULL ? self->name[self->width - 1] : closest, closest == NULL ? "'" : "')");
}

/* The targets' columns when their names are known from the training data. */
static ds_status table_known_targets(csv_table *self)
{
    const ds_read_request *r = self->request;
    for (size_t i = 0; i < r->n_target_columns; i++) {
        const csv_name *hit = table_find(self, r->target_column[i]);
        const char *closest = hit != NULL ? NULL : table_closest(self, r->target_column[i]);
        DS_CHECK(hit != NULL || r->targets_optional, DS_ERR_DATA,
                 "%s: has no column '%.60s', the target of the training data%s%.60s%s", self->where,
                 r->target_column[i], closest == NULL ? "" : " (closest: '",
                 closest == NULL ? "" : closest, closest == NULL ? "" : "')");
        if (hit != NULL)
            self->target[self->n_targets++] = hit->column;
    }
    return DS_OK;
}

/* How many inputs are expected. */
static size_t table_expected(const csv_table *self)
{
    const ds_read_request *r = self->request;
    if (r->column != NULL)
        return r->n_columns;
    return r->input != NULL ? ds_shape_elements(r->input) : self->width - 1;
}

static ds_status table_targets(csv_table *self)
{
    const ds_value *v = table_asked(self, 0);
    size_t column = 0, n_inputs = table_expected(self);
    bool named = self->name != NULL && self->request->target_column != NULL;
    DS_TRY(
        ds_arena_take(self->arena, TABLE_TARGETS, sizeof *self->target, "columns", &self->target));
    if (named && (v == NULL || self->request->targets_optional))
        return table_known_targets(self);
    /* By position, a table of just the inputs has no target to look for. */
    if (self->request->targets_optional && (self->name == NULL || v == NULL) &&
        self->width == n_inputs)
        return DS_OK;
    if (v == NULL)
        self->target[self->n_targets++] = self->width - 1;
    for (size_t i = 0; (v = table_asked(self, i)) != NULL; i++) {
        if (i == TABLE_TARGETS)
            return ds_value_fail(v, "data.%s: more than %d targets", self->request->split,
                                 (int)TABLE_TARGETS);
        DS_TRY(table_target(self, v, &column));
        for (size_t j = 0; j < self->n_targets; j++)
            if (self->target[j] == column)
                return ds_value_fail(v, "data.%s: target '%.60s' is named twice",
                                     self->request->split, v->text);
        if (column < self->width)
            self->target[self->n_targets++] = column;
    }
    if (self->request->kind == DS_TARGET_CLASS && self->n_targets > 1)
        return ds_value_fail(self->options->target,
                             "data.%s: target names %zu columns; a loss of classes takes one",
                             self->request->split, self->n_targets);
    return DS_OK;
}

/* The inputs by the names of the training data. */
static ds_status table_known_inputs(csv_table *self)
{
    const ds_read_request *r = self->request;
    for (size_t i = 0; i < r->n_columns; i++) {
        const csv_name *hit = table_find(self, r->column[i]);
        const char *closest = hit != NULL ? NULL : table_closest(self, r->column[i]);
        DS_CHECK(hit != NULL, DS_ERR_DATA,
                 "%s: has no column '%.60s'%s%.60s%s; expected the %zu inputs of the training "
                 "data, found %zu columns",
                 self->where, r->column[i], closest == NULL ? "" : " (closest: '",
                 closest == NULL ? "" : closest, closest == NULL ? "" : "')", r->n_columns,
                 self->width);
        self->input[self->n_inputs++] = hit->column;
    }
    return DS_OK;
}

static ds_status table_inputs(csv_table *self)
{
    const ds_read_request *r = self->request;
    bool *taken = NULL;
    bool named = self->name != NULL && r->column != NULL;
    size_t most = named ? r->n_columns : self->width;
    DS_TRY(ds_arena_take(self->arena, most, sizeof *self->input, "columns", &self->input));
    if (named)
        return table_known_inputs(self);
    DS_TRY(ds_arena_take(self->arena, self->width, sizeof *taken, "columns", &taken));
    for (size_t i = 0; i < self->n_targets; i++)
        taken[self->target[i]] = true;
    for (size_t i = 0; i < self->width; i++)
        if (!taken[i])
            self->input[self->n_inputs++] = i;
    DS_CHECK(self->n_inputs > 0, DS_ERR_DATA,
             "%s: has %zu column%s, all of them targets; expected inputs too (is the delimiter "
             "right?)",
             self->where, self->width, self->width == 1 ? "" : "s");
    DS_CHECK(r->column == NULL || self->n_inputs == r->n_columns, DS_ERR_DATA,
             "%s: has %zu columns without names, %zu of them inputs; expected %zu inputs as in the "
             "training data",
             self->where, self->width, self->n_inputs, r->n_columns);
    return DS_OK;
}

ds_status csv_table_begin(csv_table *self, const ds_csvtext *text)
{
    bool header = false;
    self->width = text->n;
    DS_TRY(table_names(self, text));
    DS_TRY(table_has_header(self, &header));
    if (header)
        DS_TRY(table_check_names(self));
    else
        self->name = NULL;
    DS_TRY(table_targets(self));
    return table_inputs(self);
}
