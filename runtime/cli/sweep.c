/* Sweeps on the command line: lists of values are cut at their commas, points are counted like the
 * digits of a number. */
#include "sweep.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The end of the value that begins at `text`: a comma outside brackets and quotes, or the end of
 * the text; NULL where a bracket or a quote stays open. */
static const char *sweep_value_end(const char *text)
{
    int depth = 0;
    char quote = '\0';
    for (; *text != '\0'; text++) {
        if (quote != '\0')
            quote = *text == quote ? '\0' : quote;
        else if (*text == '"' || *text == '\'')
            quote = *text;
        else if (*text == '[' || *text == '{')
            depth++;
        else if (*text == ']' || *text == '}')
            depth--;
        else if (*text == ',' && depth == 0)
            break;
    }
    return depth == 0 && quote == '\0' ? text : NULL;
}

static ds_status sweep_add(ds_arena *arena, const char *given, const char *value, size_t length,
                           sweep_axis *axis)
{
    char *edit = NULL;
    DS_CHECK(length > 0, DS_ERR_USAGE,
             "slurm: --sweep %s has an empty value, expected "
             "KEY=V1,V2,..., as in --sweep optimizer.lr=0.01,0.1",
             given);
    DS_CHECK(axis->n < SWEEP_POINTS, DS_ERR_USAGE,
             "slurm: --sweep %.40s... has more than %d values", given, SWEEP_POINTS);
    DS_TRY(ds_arena_printf(arena, &edit, "%.*s=%.*s", (int)axis->key, given, (int)length, value));
    for (size_t i = 0; i < axis->n; i++)
        DS_CHECK(strcmp(axis->edit[i], edit) != 0, DS_ERR_USAGE,
                 "slurm: --sweep %s has a value twice: %s", given, edit + axis->key + 1);
    axis->edit[axis->n++] = edit;
    return DS_OK;
}

static ds_status sweep_axis_parse(ds_arena *arena, const char *given, sweep_axis *axis)
{
    const char *equals = strchr(given, '=');
    DS_CHECK(equals != NULL && equals != given, DS_ERR_USAGE,
             "slurm: --sweep '%s': expected KEY=V1,V2,..., as in --sweep optimizer.lr=0.01,0.1",
             given);
    axis->key = (size_t)(equals - given);
    DS_TRY(ds_arena_take(arena, SWEEP_POINTS, sizeof *axis->edit, "a sweep", &axis->edit));
    for (const char *value = equals + 1;; value++) {
        const char *end = sweep_value_end(value);
        DS_CHECK(end != NULL, DS_ERR_USAGE,
                 "slurm: --sweep %s: a bracket or a quote is open at the end", given);
        DS_TRY(sweep_add(arena, given, value, (size_t)(end - value), axis));
        if (*end == '\0')
            return DS_OK;
        value = end;
    }
}

static bool sweep_names(const sweep_axis *axis, const char *edit)
{
    return strncmp(axis->edit[0], edit, axis->key + 1) == 0;
}

static ds_status sweep_check_key(const sweep *self, const sweep_axis *axis, const arg_list *set)
{
    for (size_t i = 0; i < self->n_axes; i++)
        DS_CHECK(!sweep_names(axis, self->axis[i].edit[0]), DS_ERR_USAGE,
                 "slurm: %.*s stands in --sweep twice", (int)axis->key, axis->edit[0]);
    for (size_t i = 0; i < set->n; i++)
        DS_CHECK(!sweep_names(axis, set->item[i]), DS_ERR_USAGE,
                 "slurm: %.*s stands in --set and in --sweep", (int)axis->key, axis->edit[0]);
    return DS_OK;
}

ds_status sweep_parse(ds_arena *arena, const arg_list *given, const arg_list *set, sweep *out)
{
    sweep self = {.n_points = 1};
    DS_CHECK(given->n <= SWEEP_AXES, DS_ERR_USAGE, "slurm: more than %d keys in --sweep",
             SWEEP_AXES);
    for (size_t i = 0; i < given->n; i++) {
        sweep_axis axis = {.n = 0};
        DS_TRY(sweep_axis_parse(arena, given->item[i], &axis));
        DS_TRY(sweep_check_key(&self, &axis, set));
        self.axis[self.n_axes++] = axis;
        self.n_points *= axis.n;
        DS_CHECK(self.n_points <= SWEEP_POINTS, DS_ERR_USAGE,
                 "slurm: --sweep makes more than %d runs", SWEEP_POINTS);
    }
    *out = self;
    return DS_OK;
}

void sweep_point(const sweep *self, size_t i, const char **edit)
{
    for (size_t a = self->n_axes; a-- > 0; i /= self->axis[a].n)
        edit[a] = self->axis[a].edit[i % self->axis[a].n];
}

void sweep_name(const sweep *self, size_t i, size_t room, char *name)
{
    const char *edit[SWEEP_AXES];
    size_t n = 0;
    sweep_point(self, i, edit);
    for (size_t a = 0; a < self->n_axes; a++)
        n += (size_t)snprintf(n < room ? name + n : NULL, n < room ? room - n : 0, "%s%s",
                              a == 0 ? "" : ",", edit[a]);
    for (char *p = name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("._+-=,", *p) == NULL)
            *p = '_';
}
