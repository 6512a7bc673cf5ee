/* descent diff: are two checkpoints the same? Tensors (parameters, optimizer, history, ...) and the
 * step decide; attributes of /run are told, since a config may differ in what shapes no number. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/checkpoint.h"

#include "args.h"
#include "command.h"

typedef struct diff_job {
    bool json;
    const ds_checkpoint *a, *b;
    cJSON *tensors, *attributes;
    size_t n_same, n_different;
    char first[1200];
} diff_job;

static void diff_note(diff_job *self, const char *path, const char *what, const ds_tensor_diff *d)
{
    if (self->n_different++ == 0)
        snprintf(self->first, sizeof self->first, "%s", path);
    if (!self->json) {
        printf("%s: %s\n", path, what);
        return;
    }
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", path);
    cJSON_AddStringToObject(item, "what", what);
    if (d != NULL) {
        cJSON_AddNumberToObject(item, "elements", (double)d->n);
        cJSON_AddNumberToObject(item, "differ", (double)d->differ);
        cJSON_AddNumberToObject(item, "max_abs", d->max_abs);
        cJSON_AddNumberToObject(item, "max_ulp", (double)d->max_ulp);
        cJSON_AddNumberToObject(item, "first_index", (double)d->first);
    }
    cJSON_AddItemToArray(self->tensors, item);
}

static ds_status diff_tensor(diff_job *self, size_t i)
{
    ds_tensor_info x = ds_checkpoint_tensor(self->a, i);
    size_t j = ds_checkpoint_find(self->b, x.path);
    char what[512], sa[DS_SHAPE_TEXT], sb[DS_SHAPE_TEXT];
    if (j == ds_checkpoint_n(self->b)) {
        diff_note(self, x.path, "only in the first", NULL);
        return DS_OK;
    }
    ds_tensor_info y = ds_checkpoint_tensor(self->b, j);
    if (x.type != y.type || !ds_shape_equal(&x.shape, &y.shape)) {
        snprintf(what, sizeof what, "%s %s in the first, %s %s in the second",
                 ds_dtype_name(x.type), ds_shape_text(&x.shape, sa), ds_dtype_name(y.type),
                 ds_shape_text(&y.shape, sb));
        diff_note(self, x.path, what, NULL);
        return DS_OK;
    }
    ds_tensor_diff d;
    DS_TRY(ds_checkpoint_compare(self->a, i, self->b, j, &d));
    if (d.differ == 0) {
        self->n_same++;
        return DS_OK;
    }
    snprintf(what, sizeof what,
             "%zu of %zu elements differ, at most by %.9g (%llu ULP), the first at index %zu",
             d.differ, d.n, d.max_abs, (unsigned long long)d.max_ulp, d.first);
    diff_note(self, x.path, what, &d);
    return DS_OK;
}

static ds_status diff_tensors(diff_job *self)
{
    if (ds_checkpoint_step(self->a) != ds_checkpoint_step(self->b)) {
        char what[128];
        snprintf(what, sizeof what, "%lld in the first, %lld in the second",
                 (long long)ds_checkpoint_step(self->a), (long long)ds_checkpoint_step(self->b));
        diff_note(self, "step", what, NULL);
    }
    for (size_t i = 0; i < ds_checkpoint_n(self->a); i++)
        DS_TRY(diff_tensor(self, i));
    for (size_t j = 0; j < ds_checkpoint_n(self->b); j++) {
        const char *path = ds_checkpoint_tensor(self->b, j).path;
        if (ds_checkpoint_find(self->a, path) == ds_checkpoint_n(self->a))
            diff_note(self, path, "only in the second", NULL);
    }
    return DS_OK;
}

static void diff_value(const ds_attr *attr, size_t room, char *out)
{
    if (attr == NULL)
        snprintf(out, room, "absent");
    else if (attr->kind == DS_ATTR_INT)
        snprintf(out, room, "%lld", (long long)attr->integer);
    else if (attr->kind == DS_ATTR_REAL)
        snprintf(out, room, "%.17g", attr->real);
    else
        snprintf(out, room, "'%.60s'%s", attr->text, strlen(attr->text) > 60 ? "..." : "");
    for (char *p = out; *p != '\0'; p++)
        if (*p == '\n')
            *p = ' ';
}

static bool diff_alike(const ds_attr *x, const ds_attr *y)
{
    if (x == NULL || y == NULL || x->kind != y->kind)
        return false;
    if (x->kind == DS_ATTR_TEXT)
        return strcmp(x->text, y->text) == 0;
    return x->kind == DS_ATTR_INT ? x->integer == y->integer
                                  : memcmp(&x->real, &y->real, sizeof x->real) == 0;
}

/* The first line in which two texts part, for configs. */
static void diff_lines(const ds_attr *x, const ds_attr *y, size_t room, char *out)
{
    const char *p = x->text, *q = y->text;
    size_t line = 1, begin = 0;
    for (size_t k = 0; p[k] == q[k] && p[k] != '\0'; k++)
        if (p[k] == '\n') {
            line++;
            begin = k + 1;
        }
    snprintf(out, room, "from line %zu: '%.*s' and '%.*s'", line, (int)strcspn(p + begin, "\n"),
             p + begin, (int)strcspn(q + begin, "\n"), q + begin);
}

static void diff_attr(diff_job *self, const char *name, const ds_attr *x, const ds_attr *y)
{
    char what[600], va[128], vb[128];
    if (diff_alike(x, y))
        return;
    diff_value(x, sizeof va, va);
    diff_value(y, sizeof vb, vb);
    if (x != NULL && y != NULL && x->kind == DS_ATTR_TEXT && y->kind == DS_ATTR_TEXT &&
        strchr(x->text, '\n') != NULL)
        diff_lines(x, y, sizeof what, what);
    else
        snprintf(what, sizeof what, "%s and %s", va, vb);
    if (!self->json) {
        printf("/run %s (decides nothing): %s\n", name, what);
        return;
    }
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddStringToObject(item, "what", what);
    cJSON_AddItemToArray(self->attributes, item);
}

static void diff_attrs(diff_job *self)
{
    for (size_t i = 0; i < ds_checkpoint_n_attrs(self->a); i++) {
        const ds_attr *x = ds_checkpoint_attr_at(self->a, i);
        diff_attr(self, x->name, x, ds_checkpoint_attr(self->b, x->name));
    }
    for (size_t i = 0; i < ds_checkpoint_n_attrs(self->b); i++) {
        const ds_attr *y = ds_checkpoint_attr_at(self->b, i);
        if (ds_checkpoint_attr(self->a, y->name) == NULL)
            diff_attr(self, y->name, NULL, y);
    }
}

static ds_status diff_report(diff_job *self, const char *path[2])
{
    bool equal = self->n_different == 0;
    if (self->json) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddBoolToObject(root, "equal", equal);
        cJSON_AddStringToObject(root, "a", path[0]);
        cJSON_AddStringToObject(root, "b", path[1]);
        cJSON_AddNumberToObject(root, "same", (double)self->n_same);
        cJSON_AddNumberToObject(root, "different", (double)self->n_different);
        if (equal)
            cJSON_AddNullToObject(root, "first");
        else
            cJSON_AddStringToObject(root, "first", self->first);
        cJSON_AddItemToObject(root, "tensors", self->tensors);
        cJSON_AddItemToObject(root, "attributes", self->attributes);
        self->tensors = self->attributes = NULL;
        char *text = cJSON_Print(root);
        cJSON_Delete(root);
        DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the report");
        puts(text);
        free(text);
    } else if (equal) {
        printf("equal: %zu tensors, step %lld\n", self->n_same,
               (long long)ds_checkpoint_step(self->a));
    } else {
        printf("different: %zu, the first is %s; same: %zu tensors\n", self->n_different,
               self->first, self->n_same);
    }
    return equal ? DS_OK
                 : DS_FAIL(DS_NO, "%s and %s differ, first in %s", path[0], path[1], self->first);
}

static ds_status diff_files(bool json, const char *const argument[2])
{
    char a[4096], b[4096];
    ds_auto(ds_checkpoint) first = NULL;
    ds_auto(ds_checkpoint) second = NULL;
    DS_TRY(ds_checkpoint_resolve(argument[0], sizeof a, a));
    DS_TRY(ds_checkpoint_resolve(argument[1], sizeof b, b));
    DS_TRY(ds_checkpoint_open(a, &first));
    DS_TRY(ds_checkpoint_open(b, &second));
    diff_job job = {.json = json,
                    .a = first,
                    .b = second,
                    .tensors = cJSON_CreateArray(),
                    .attributes = cJSON_CreateArray()};
    ds_status st = diff_tensors(&job);
    if (st == DS_OK) {
        diff_attrs(&job);
        st = diff_report(&job, (const char *[]){a, b});
    }
    cJSON_Delete(job.tensors);
    cJSON_Delete(job.attributes);
    return st;
}

static ds_status diff_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    bool json = false;
    arg_list path;
    const arg table[] = {{"--json", ARG_FLAG, &json}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &path));
    DS_TRY(args_expect("diff", &path, 2, 2, "two checkpoints"));
    return diff_files(json, path.item);
}

const ds_command ds_command_diff = {
    .name = "diff",
    .usage = "diff A B [--json]",
    .help = "Compare two checkpoints (files, or run directories: their latest).\n"
            "Every tensor and the step decide, bit by bit; attributes are told only.\n"
            "Exit code 0 when equal, 1 when they differ, 4 when one is damaged.\n",
    .run = diff_run,
};
