/* Tables of text, RFC 4180, .gz too: the target's columns, and all others as inputs in their order.
 * The text is read at once and turned into numbers in one pass, O(bytes); an empty or non-numeric
 * field is an error with its line and column, never a guess. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csvtable.h"

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(csv_options, path),
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "file (.gz or plain)"},
    {.name = "target",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(csv_options, target),
     .choices = "a column, or a list of columns",
     .help = "name of the target's column (from 0 where there is no header); default: the last"},
    {.name = "header",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(csv_options, header),
     .choices = "auto|true|false",
     .help = "does the first line name the columns? auto: when it holds no numbers"},
    {.name = "delimiter",
     .type = DS_OPTION_TEXT,
     .offset = offsetof(csv_options, delimiter),
     .fallback = ",",
     .help = "one character between fields, or tab"},
    {.name = NULL},
};

/* What becomes of the rows: classes keep their text and line until all are known. */
typedef struct csv_rows {
    size_t n;
    float *values, *target;
    const char **text;
    size_t *line;
} csv_rows;

static ds_status csv_number(const csv_table *self, const ds_csvtext *text, size_t column,
                            float *out)
{
    const char *field = text->field[column];
    char name[80];
    double x = 0;
    bool number = ds_read_number(field, &x);
    if (number && isfinite((float)x)) {
        *out = (float)x;
        return DS_OK;
    }
    csv_table_column(self, column, sizeof name, name);
    DS_CHECK(field[strspn(field, " \t")] != '\0', DS_ERR_DATA,
             "%s:%zu: column %s is empty, expected a number", self->where, text->line, name);
    return DS_FAIL(DS_ERR_DATA, "%s:%zu: column %s is '%.60s', expected a %snumber", self->where,
                   text->line, name, field, number ? "finite " : "");
}

static ds_status csv_class(const csv_table *self, const ds_csvtext *text, csv_rows *rows)
{
    char name[80];
    size_t column = self->target[0];
    const char *field = text->field[column];
    double x = 0;
    DS_CHECK(field[strspn(field, " \t")] != '\0', DS_ERR_DATA,
             "%s:%zu: column %s is empty, expected a class", self->where, text->line,
             csv_table_column(self, column, sizeof name, name));
    DS_CHECK(!ds_read_number(field, &x) || isfinite(x), DS_ERR_DATA,
             "%s:%zu: column %s is '%.60s', expected a class", self->where, text->line,
             csv_table_column(self, column, sizeof name, name), field);
    rows->text[rows->n] = field;
    rows->line[rows->n] = text->line;
    return DS_OK;
}

static ds_status csv_row(const csv_table *self, const ds_csvtext *text, csv_rows *rows)
{
    DS_CHECK(text->n == self->width, DS_ERR_DATA,
             "%s:%zu: has %zu field%s, expected %zu as in the %s", self->where, text->line, text->n,
             text->n == 1 ? "" : "s", self->width, self->name != NULL ? "header" : "first line");
    for (size_t i = 0; i < self->n_inputs; i++)
        DS_TRY(csv_number(self, text, self->input[i], &rows->values[rows->n * self->n_inputs + i]));
    if (rows->text != NULL)
        DS_TRY(csv_class(self, text, rows));
    for (size_t i = 0; rows->target != NULL && i < self->n_targets; i++)
        DS_TRY(
            csv_number(self, text, self->target[i], &rows->target[rows->n * self->n_targets + i]));
    rows->n++;
    return DS_OK;
}

/* Room for at most `most` rows; `scratch` outlives the reading, not the data set. */
static ds_status csv_room(const csv_table *self, size_t most, ds_arena *scratch, csv_rows *rows)
{
    bool targets = self->n_targets > 0 && !self->request->targets_optional;
    size_t row = self->n_inputs * sizeof(float);
    DS_TRY(ds_arena_take(self->arena, most, row, "samples", &rows->values));
    if (targets && self->request->kind == DS_TARGET_REAL)
        return ds_arena_take(self->arena, most, self->n_targets * sizeof(float), "targets",
                             &rows->target);
    if (!targets)
        return DS_OK;
    DS_TRY(ds_arena_take(scratch, most, sizeof *rows->text, "classes", (void *)&rows->text));
    return ds_arena_take(scratch, most, sizeof *rows->line, "classes", &rows->line);
}

/* Names of the columns [0, n) in `which`. */
static ds_status csv_names(const csv_table *self, size_t n, const size_t *which,
                           const char *const **out)
{
    const char **name = NULL;
    if (self->name == NULL || n == 0)
        return DS_OK;
    DS_TRY(ds_arena_take(self->arena, n, sizeof *name, "column names", (void *)&name));
    for (size_t i = 0; i < n; i++)
        name[i] = self->name[which[i]];
    *out = name;
    return DS_OK;
}

static ds_status csv_finish(const csv_table *self, const csv_rows *rows, ds_dataset *out)
{
    ds_shape found = {.n = 1, .dim = {self->n_inputs}};
    DS_TRY(ds_read_input(self->request, self->where, rows->n, &found, out));
    out->values = rows->values;
    DS_TRY(csv_names(self, self->n_inputs, self->input, &out->column));
    DS_TRY(csv_names(self, self->n_targets, self->target, &out->target_column));
    if (rows->text != NULL)
        return ds_read_classes(self->request, self->where, rows->text, rows->line, out);
    if (rows->target == NULL)
        return DS_OK;
    out->kind = DS_TARGET_REAL;
    out->target = rows->target;
    out->n_targets = self->n_targets;
    return DS_OK;
}

static ds_status csv_rows_read(csv_table *self, ds_csvtext *text, ds_arena *scratch,
                               ds_dataset *out)
{
    csv_rows rows = {0};
    bool got = false;
    DS_TRY(ds_csvtext_next(text, &got));
    DS_CHECK(got, DS_ERR_DATA, "%s: is empty, expected a table", self->where);
    DS_TRY(csv_table_begin(self, text));
    DS_TRY(csv_room(self, ds_csvtext_most(text) + 1, scratch, &rows));
    if (self->name == NULL)
        DS_TRY(csv_row(self, text, &rows));
    while (true) {
        DS_TRY(ds_csvtext_next(text, &got));
        if (!got)
            return csv_finish(self, &rows, out);
        DS_TRY(csv_row(self, text, &rows));
    }
}

static ds_status csv_delimiter(const csv_options *o, const ds_read_request *request, char *out)
{
    const char *d = strcmp(o->delimiter, "tab") == 0 ? "\t" : o->delimiter;
    if (strlen(d) != 1 || strchr("\"\r\n.+-0123456789", d[0]) != NULL)
        return ds_value_fail(ds_value_find(request->source, "delimiter"),
                             "data.%s: delimiter is '%.20s', expected one character such as , or ;",
                             request->split, o->delimiter);
    *out = d[0];
    return DS_OK;
}

static ds_status csv_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    const csv_options *o = opts;
    char what[64], delimiter = ',';
    ds_auto(ds_csvtext) text = NULL;
    ds_auto(ds_arena) scratch = NULL;
    snprintf(what, sizeof what, "%s data", request->split);
    DS_TRY(csv_delimiter(o, request, &delimiter));
    DS_TRY(ds_csvtext_open(what, o->path, request->targets_optional, delimiter, &text));
    DS_TRY(ds_arena_create("a table", &scratch));
    csv_table table = {.options = o, .request = request, .arena = out->arena, .where = text->where};
    return csv_rows_read(&table, text, scratch, out);
}

extern const ds_format_ops ds_format_csv;
const ds_format_ops ds_format_csv = {
    .name = "csv",
    .help = "a table of text, RFC 4180, .gz or plain",
    .options = options,
    .options_size = sizeof(csv_options),
    .read = csv_read,
};
