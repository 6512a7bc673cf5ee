/* metrics.jsonl, line by line, into arrays that double. */
#include "curves.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The two arrays of a curve are this file's, const for its readers. */
static double *curves_own(const double *array)
{
    double *out;
    memcpy(&out, &array, sizeof out);
    return out;
}

static ds_status curves_grow(curves *self, size_t c)
{
    textplot_curve *curve = &self->curve[c];
    size_t room = self->room[c] == 0 ? 256 : 2 * self->room[c];
    double *x = realloc(curves_own(curve->x), room * sizeof *x);
    if (x != NULL)
        curve->x = x;
    double *y = realloc(curves_own(curve->y), room * sizeof *y);
    if (y != NULL)
        curve->y = y;
    DS_CHECK(x != NULL && y != NULL, DS_ERR_NOMEM, "out of memory for %zu points", room);
    self->room[c] = room;
    return DS_OK;
}

static ds_status curves_find(curves *self, const char *label, const char *part, size_t *out)
{
    char name[CURVES_NAME];
    snprintf(name, sizeof name, "%.140s: %.50s", label, part);
    for (char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    size_t c = 0;
    while (c < self->n && strcmp(self->name[c], name) != 0)
        c++;
    DS_CHECK(c < CURVES_MOST, DS_ERR_USAGE, "plot: more than %d curves", CURVES_MOST);
    if (c == self->n) {
        memcpy(self->name[c], name, sizeof name);
        self->curve[c].name = self->name[c];
        self->split[c] = strrchr(self->name[c], ':') + 2;
        self->run[c] = self->n_runs;
        self->n++;
    }
    *out = c;
    return DS_OK;
}

static const char *curves_text(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* A point of the curve `part`; *out may be NULL. */
static ds_status curves_point(curves *self, const char *label, const char *part, const cJSON *step,
                              const cJSON *value, size_t *out)
{
    size_t c = 0;
    if (part == NULL || !cJSON_IsNumber(step) || !cJSON_IsNumber(value) ||
        !(fabs(value->valuedouble) <= 1e300) || !(fabs(step->valuedouble) <= 1e300))
        return DS_OK;
    DS_TRY(curves_find(self, label, part, &c));
    if (self->curve[c].n == self->room[c])
        DS_TRY(curves_grow(self, c));
    size_t at = self->curve[c].n++;
    curves_own(self->curve[c].x)[at] = step->valuedouble;
    curves_own(self->curve[c].y)[at] = value->valuedouble;
    if (out != NULL)
        *out = c;
    return DS_OK;
}

/* A curve a layer, each a line in a colour of its own. */
static ds_status curves_layers(curves *self, const char *label, const char *what,
                               const cJSON *event)
{
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(event, "step"), *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(event, "layers"))
    {
        size_t c = CURVES_MOST;
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, what);
        DS_TRY(curves_point(self, label, curves_text(item, "name"), step, value, &c));
        if (c < CURVES_MOST) {
            self->run[c] = c;
            self->split[c] = "train";
        }
    }
    return DS_OK;
}

/* Where a run has no other split the training data are evaluated: their loss is a curve beside that
 * of the steps. */
static ds_status curves_split(curves *self, const char *label, const char *what, const cJSON *event)
{
    const char *split = curves_text(event, "split");
    if (split != NULL && strcmp(split, "train") == 0 && strcmp(what, "loss") == 0)
        split = "train, evaluated";
    return curves_point(self, label, split, cJSON_GetObjectItemCaseSensitive(event, "step"),
                        cJSON_GetObjectItemCaseSensitive(event, what), NULL);
}

static ds_status curves_event(curves *self, const char *label, const char *what, const cJSON *event)
{
    const char *kind = curves_text(event, "event");
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(event, "step");
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(event, what);
    if (kind == NULL)
        return DS_OK;
    if (strcmp(kind, "layers") == 0)
        return curves_layers(self, label, what, event);
    if (strcmp(kind, "step") == 0)
        return curves_point(self, label, "train", step, value, NULL);
    if (strcmp(kind, "eval") == 0)
        return curves_split(self, label, what, event);
    if (strcmp(kind, "sharpness") != 0 || strcmp(what, "sharpness") != 0)
        return DS_OK;
    DS_TRY(curves_point(self, label, "sharpness", step, value, NULL));
    return curves_point(self, label, "2/lr", step, cJSON_GetObjectItemCaseSensitive(event, "bound"),
                        NULL);
}

/* The directory's last name, or the file's directory's. */
static void curves_label(const char *run, bool is_directory, char out[CURVES_NAME])
{
    char path[4096];
    char *real = realpath(run, NULL);
    snprintf(path, sizeof path, "%s", real == NULL ? run : real);
    free(real);
    char *slash = strrchr(path, '/');
    if (!is_directory && slash != NULL) {
        *slash = '\0';
        slash = strrchr(path, '/');
    }
    snprintf(out, CURVES_NAME, "%.120s", slash == NULL ? path : slash + 1);
}

static bool curves_taken(const curves *self, const char *label)
{
    size_t n = strlen(label);
    for (size_t c = 0; c < self->n; c++)
        if (strncmp(self->name[c], label, n) == 0 && strncmp(self->name[c] + n, ": ", 2) == 0)
            return true;
    return false;
}

/* A line that was cut off is passed over; a file of which no line is an event is no metrics.jsonl.
 */
static ds_status curves_lines(FILE *file, const char *path, const char *label, const char *what,
                              curves *out)
{
    char *line = NULL;
    size_t room = 0, lines = 0, events = 0;
    ds_status st = DS_OK;
    for (; st == DS_OK && getline(&line, &room, file) > 0; lines++) {
        cJSON *event = cJSON_Parse(line);
        events += cJSON_GetObjectItemCaseSensitive(event, "event") != NULL;
        st = curves_event(out, label, what, event);
        cJSON_Delete(event);
    }
    free(line);
    if (st == DS_OK && lines > 0 && events == 0)
        return DS_FAIL(DS_ERR_USAGE, "plot: %s: not a run's metrics; expected a run's directory",
                       path);
    return st;
}

ds_status curves_read(const char *run, const char *what, curves *out)
{
    char path[4200], label[CURVES_NAME], numbered[CURVES_NAME + 16];
    struct stat st;
    DS_CHECK(stat(run, &st) == 0, DS_ERR_USAGE, "plot: %s: %s; expected a run's directory", run,
             strerror(errno));
    bool is_directory = S_ISDIR(st.st_mode);
    DS_CHECK(is_directory || S_ISREG(st.st_mode), DS_ERR_USAGE,
             "plot: %s: neither a directory nor a file", run);
    snprintf(path, sizeof path, is_directory ? "%s/metrics.jsonl" : "%s", run);
    FILE *file = fopen(path, "r");
    DS_CHECK(file != NULL, DS_ERR_USAGE, "plot: cannot read %s: %s; expected a run's directory",
             path, strerror(errno));
    curves_label(run, is_directory, label);
    snprintf(numbered, sizeof numbered, "%s", label);
    for (int k = 2; curves_taken(out, numbered); k++) /* runs of one name */
        snprintf(numbered, sizeof numbered, "%.120s (%d)", label, k);
    ds_status status = curves_lines(file, path, numbered, what, out);
    out->n_runs++;
    fclose(file);
    return status;
}

void curves_free(curves *self)
{
    for (size_t c = 0; c < self->n; c++) {
        free(curves_own(self->curve[c].x));
        free(curves_own(self->curve[c].y));
    }
    self->n = 0;
}
