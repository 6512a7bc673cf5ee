/* Class targets. Integers keep their value as label where the file says nothing else (idx, hdf5);
 * texts and integers of tables are mapped to 0..k-1 in sorted order, and the mapping travels with
 * the model: a label means the same in training, evaluation and predict. O(n log k). */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"

enum { CLASSES_MOST = 1 << 24, CLASSES_NAMED = 5 }; /* more is no label but an identifier */

bool ds_read_number(const char *text, double *out)
{
    static locale_t plain; /* one for the process, made once */
    if (plain == (locale_t)0)
        plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (text[strspn(text, "0123456789+-.eEnaNAifINFty \t")] != '\0')
        return false;
    char *end = NULL;
    *out = plain == (locale_t)0 ? strtod(text, &end) : strtod_l(text, &end, plain);
    return end != text && end[strspn(end, " \t")] == '\0';
}

static ds_status classes_bad_label(const ds_read_request *request, const char *where, size_t i,
                                   int64_t label)
{
    if (request->n_classes == 0)
        return DS_FAIL(DS_ERR_DATA,
                       "%s: sample %zu has label %" PRId64 ", expected 0 or a little more", where,
                       i, label);
    return DS_FAIL(DS_ERR_DATA,
                   "%s: sample %zu has label %" PRId64 ", expected 0 to %zu (classes: %zu)", where,
                   i, label, request->n_classes - 1, request->n_classes);
}

static ds_status classes_as_real(const int64_t *label, ds_dataset *out)
{
    float *target = NULL;
    DS_TRY(ds_arena_take(out->arena, out->n, sizeof *target, "targets", &target));
    for (size_t i = 0; i < out->n; i++)
        target[i] = (float)label[i];
    out->kind = DS_TARGET_REAL;
    out->target = target;
    out->n_targets = 1;
    return DS_OK;
}

ds_status ds_read_labels(const ds_read_request *request, const char *where, const int64_t *label,
                         ds_dataset *out)
{
    if (request->kind == DS_TARGET_REAL)
        return classes_as_real(label, out);
    int32_t *kept = NULL;
    DS_TRY(ds_arena_take(out->arena, out->n, out->n_labels * sizeof *kept, "labels", &kept));
    int64_t top = 0;
    int64_t limit = request->n_classes == 0 ? CLASSES_MOST : (int64_t)request->n_classes;
    for (size_t i = 0; i < out->n * out->n_labels; i++) {
        if (label[i] < 0 || label[i] >= limit)
            return classes_bad_label(request, where, i / out->n_labels, label[i]);
        top = label[i] > top ? label[i] : top;
        kept[i] = (int32_t)label[i];
    }
    out->kind = DS_TARGET_CLASS;
    out->label = kept;
    out->n_classes = request->n_classes == 0 ? (size_t)top + 1 : request->n_classes;
    out->class_name = request->class_name;
    return DS_OK;
}

/* A class: an integer, or a text, and its label. */
typedef struct classes_item {
    int64_t value;
    const char *text;
    int32_t label;
} classes_item;
typedef int classes_order(const void *, const void *);

/* What is to be mapped: texts (n) from lines (n) of a file. */
typedef struct classes_job {
    const ds_read_request *request;
    const char *where;
    const char *const *text;
    const size_t *line;
} classes_job;

static int classes_by_value(const void *a, const void *b)
{
    const classes_item *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static int classes_by_text(const void *a, const void *b)
{
    const classes_item *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* An integer, also when written as 2.0 or 2e0 (numpy.savetxt does). */
static bool classes_integer(const char *text, bool *number, int64_t *out)
{
    double x = 0;
    *number = ds_read_number(text, &x);
    if (!*number || !(fabs(x) < 0x1p53) || x != floor(x))
        return false;
    *out = (int64_t)x;
    return true;
}

/* All texts as items; *integers tells whether all are whole numbers. */
static ds_status classes_items(const classes_job *job, const ds_dataset *out, classes_item *item,
                               bool *integers)
{
    const char *const *text = job->text;
    const char *column = out->target_column == NULL ? NULL : out->target_column[0];
    size_t n_numbers = 0, n_integers = 0, broken = 0;
    for (size_t i = 0; i < out->n; i++) {
        bool number = false;
        item[i].text = text[i];
        bool integer = classes_integer(text[i], &number, &item[i].value);
        n_numbers += number;
        n_integers += integer;
        if (number && !integer && broken == 0)
            broken = i + 1;
    }
    DS_CHECK(n_numbers < out->n || n_integers == out->n, DS_ERR_DATA,
             "%s:%zu: %s%s%sclass '%s' is no whole number; classes are integers or texts (for real "
             "targets use a loss such as mse)",
             job->where, job->line[broken - 1], column == NULL ? "" : "column '",
             column == NULL ? "" : column, column == NULL ? "" : "': ", text[broken - 1]);
    *integers = n_integers == out->n;
    return DS_OK;
}

/* The distinct items of `item` (n), sorted, in place; returns how many. */
static size_t classes_distinct(size_t n, classes_item *item, classes_order *compare)
{
    qsort(item, n, sizeof *item, compare);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (k == 0 || compare(&item[k - 1], &item[i]) != 0)
            item[k++] = item[i];
    for (size_t i = 0; i < k; i++)
        item[i].label = (int32_t)i;
    return k;
}

static ds_status classes_keep_names(ds_dataset *out, size_t k, const classes_item *sorted,
                                    bool integers)
{
    char **name = NULL;
    DS_TRY(ds_arena_take(out->arena, k, sizeof *name, "class names", &name));
    for (size_t i = 0; i < k; i++) {
        if (integers)
            DS_TRY(ds_arena_printf(out->arena, &name[i], "%" PRId64, sorted[i].value));
        else
            DS_TRY(ds_arena_text(out->arena, sorted[i].text, &name[i]));
    }
    out->n_classes = k;
    out->class_name = (const char *const *)name;
    return DS_OK;
}

/* The known mapping as sorted items. */
static ds_status classes_known(const ds_read_request *request, ds_dataset *out, bool integers,
                               classes_item *known)
{
    char **name = NULL;
    DS_TRY(ds_arena_take(out->arena, request->n_classes, sizeof *name, "class names", &name));
    for (size_t i = 0; i < request->n_classes; i++) {
        bool number = false;
        known[i] = (classes_item){.text = request->class_name[i], .label = (int32_t)i};
        if (!classes_integer(known[i].text, &number, &known[i].value))
            known[i].value = INT64_MIN;
        DS_TRY(ds_arena_text(out->arena, request->class_name[i], &name[i]));
    }
    qsort(known, request->n_classes, sizeof *known, integers ? classes_by_value : classes_by_text);
    out->n_classes = request->n_classes;
    out->class_name = (const char *const *)name;
    return DS_OK;
}

static ds_status classes_unknown(const ds_read_request *request, const char *where, size_t line,
                                 const char *text)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < request->n_classes && i < CLASSES_NAMED && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s'%s'", i == 0 ? "" : ", ",
                                 request->class_name[i]);
    return DS_FAIL(
        DS_ERR_DATA,
        "%s:%zu: class '%s' is unknown to the training data, which has %zu class%s: %s%s", where,
        line, text, request->n_classes, request->n_classes == 1 ? "" : "es", names,
        request->n_classes > CLASSES_NAMED ? ", ..." : "");
}

/* Labels of `item` (n, in the file's order) by the sorted classes. */
static ds_status classes_look_up(const classes_job *job, const classes_item *item,
                                 const classes_item *sorted, classes_order *compare,
                                 ds_dataset *out)
{
    int32_t *label = NULL;
    DS_TRY(ds_arena_take(out->arena, out->n, sizeof *label, "labels", &label));
    for (size_t i = 0; i < out->n; i++) {
        const classes_item *hit =
            bsearch(&item[i], sorted, out->n_classes, sizeof *sorted, compare);
        if (hit == NULL)
            return classes_unknown(job->request, job->where, job->line[i], item[i].text);
        label[i] = hit->label;
    }
    out->kind = DS_TARGET_CLASS;
    out->label = label;
    return DS_OK;
}

/* item: room for the n texts; sorted: for their copy or the known classes. */
static ds_status classes_map(const classes_job *job, classes_item *item, classes_item *sorted,
                             ds_dataset *out)
{
    bool integers = false;
    DS_TRY(classes_items(job, out, item, &integers));
    classes_order *compare = integers ? classes_by_value : classes_by_text;
    if (job->request->class_name != NULL) {
        DS_TRY(classes_known(job->request, out, integers, sorted));
    } else {
        memcpy(sorted, item, out->n * sizeof *item);
        size_t k = classes_distinct(out->n, sorted, compare);
        DS_TRY(classes_keep_names(out, k, sorted, integers));
    }
    return classes_look_up(job, item, sorted, compare, out);
}

/* Plain numbers are known to be the classes: a model that was trained without names. */
static ds_status classes_plain(const ds_read_request *request, const char *where,
                               const char *const *text, const size_t *line, ds_dataset *out)
{
    int64_t *label = malloc((out->n + 1) * sizeof *label);
    DS_CHECK(label != NULL, DS_ERR_NOMEM, "out of memory for the labels of %s", where);
    ds_status status = DS_OK;
    for (size_t i = 0; i < out->n && status == DS_OK; i++) {
        bool number = false;
        if (!classes_integer(text[i], &number, &label[i]))
            status = DS_FAIL(DS_ERR_DATA, "%s:%zu: class '%s' is no whole number from 0 to %zu",
                             where, line[i], text[i], request->n_classes - 1);
    }
    if (status == DS_OK)
        status = ds_read_labels(request, where, label, out);
    free(label);
    return status;
}

ds_status ds_read_classes(const ds_read_request *request, const char *where,
                          const char *const *text, const size_t *line, ds_dataset *out)
{
    if (request->class_name == NULL && request->n_classes > 0)
        return classes_plain(request, where, text, line, out);
    size_t room = out->n > request->n_classes ? out->n : request->n_classes;
    classes_item *item = calloc(out->n + room + 1, sizeof *item);
    DS_CHECK(item != NULL, DS_ERR_NOMEM, "out of memory for the classes of %s", where);
    classes_job job = {request, where, text, line};
    ds_status status = classes_map(&job, item, item + out->n, out);
    free(item);
    return status;
}
