/* descent inspect: what is in a checkpoint. A damaged one is shown as far as it can be trusted. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/checkpoint.h"
#include "descent/value.h"

#include "args.h"
#include "command.h"
#include "textplot.h"

enum { INSPECT_MOST = 1000, INSPECT_EDGE = 3, INSPECT_TEXT = 60, INSPECT_BINS = 40 };

typedef struct inspect_options {
    bool json, histogram;
    const char *tensor;
} inspect_options;

static size_t inspect_count(const ds_checkpoint *c, const char *group, size_t *n_tensors)
{
    size_t elements = 0;
    *n_tensors = 0;
    for (size_t i = 0; i < ds_checkpoint_n(c); i++) {
        ds_tensor_info info = ds_checkpoint_tensor(c, i);
        if (strncmp(info.path, group, strlen(group)) != 0)
            continue;
        elements += ds_shape_elements(&info.shape);
        ++*n_tensors;
    }
    return elements;
}

static void inspect_attr_line(const ds_attr *attr)
{
    if (attr->kind == DS_ATTR_INT) {
        printf("  %-16s %lld\n", attr->name, (long long)attr->integer);
    } else if (attr->kind == DS_ATTR_REAL) {
        printf("  %-16s %.9g\n", attr->name, attr->real);
    } else {
        size_t all = strlen(attr->text), line = strcspn(attr->text, "\n");
        size_t some = line < INSPECT_TEXT ? line : INSPECT_TEXT;
        printf("  %-16s %.*s", attr->name, (int)some, attr->text);
        if (some < all)
            printf("... (%zu characters; --json shows all)", all);
        putchar('\n');
    }
}

/* Where <layer>/<tensor> begins: the slash before it. */
static const char *inspect_layer(const char *path)
{
    const char *tensor = strrchr(path, '/'), *layer = tensor;
    while (layer > path && *--layer != '/') {
    }
    return layer > path ? layer : tensor;
}

/* The part of a path that a heading stands for: /parameters, /optimizer/m, /history, /sync/master.
 */
static size_t inspect_heading(const char *path)
{
    const char *end = strchr(path + 1, '/');
    if (end != NULL && strncmp(path, "/optimizer/", 11) == 0 && strchr(end + 1, '/') != NULL)
        end = strchr(end + 1, '/');
    if (end != NULL && strncmp(path, "/sync/", 6) == 0)
        end = inspect_layer(path);
    return end == NULL ? 0 : (size_t)(end - path);
}

/* The least value, a character a bin, the largest. */
static ds_status inspect_histogram(const ds_checkpoint *c, size_t i, const ds_tensor_stats *s)
{
    size_t count[INSPECT_BINS];
    if (s->n == s->non_finite)
        return DS_OK;
    DS_TRY(ds_checkpoint_histogram(c, i, s->min, s->max, INSPECT_BINS, count));
    printf("%14.4g |", s->min);
    textplot_bars(INSPECT_BINS, count, stdout);
    printf("| %.4g\n", s->max);
    return DS_OK;
}

static ds_status inspect_lines(const ds_checkpoint *c, bool histogram)
{
    const char *before = "";
    size_t width = 8, length = 0;
    for (size_t i = 0; i < ds_checkpoint_n(c); i++) {
        const char *path = ds_checkpoint_tensor(c, i).path;
        size_t name = strlen(path) - inspect_heading(path);
        width = name > width ? name : width;
    }
    for (size_t i = 0; i < ds_checkpoint_n(c); i++) {
        ds_tensor_info info = ds_checkpoint_tensor(c, i);
        size_t head = inspect_heading(info.path);
        char shape[DS_SHAPE_TEXT];
        if (head != length || strncmp(before, info.path, head) != 0)
            printf("%.*s\n", (int)head, info.path);
        before = info.path;
        length = head;
        printf("  %-*s %-18s %s", (int)width, info.path + head + 1,
               ds_shape_text(&info.shape, shape), ds_dtype_name(info.type));
        if (!info.good) {
            printf("  DAMAGED\n");
            continue;
        }
        ds_tensor_stats s;
        DS_TRY(ds_checkpoint_stats(c, i, &s));
        if (s.n > 0)
            printf("  norm %.6g  min %.6g  max %.6g  mean %.6g", s.norm, s.min, s.max, s.mean);
        if (s.non_finite > 0)
            printf("  %zu NOT FINITE", s.non_finite);
        putchar('\n');
        if (histogram)
            DS_TRY(inspect_histogram(c, i, &s));
    }
    return DS_OK;
}

static ds_status inspect_text(const ds_checkpoint *c, const char *path, bool good, bool histogram)
{
    size_t n;
    size_t elements = inspect_count(c, "/parameters/", &n);
    printf("%s: %s, step %lld, %zu parameters in %zu tensors, %zu tensors in all\n", path,
           good ? "good" : "DAMAGED", (long long)ds_checkpoint_step(c), elements, n,
           ds_checkpoint_n(c));
    if (ds_checkpoint_n_attrs(c) > 0)
        printf("/run\n");
    for (size_t i = 0; i < ds_checkpoint_n_attrs(c); i++)
        inspect_attr_line(ds_checkpoint_attr_at(c, i));
    return inspect_lines(c, histogram);
}

static void inspect_json_attr(cJSON *run, const ds_attr *attr)
{
    if (attr->kind == DS_ATTR_TEXT) {
        cJSON_AddStringToObject(run, attr->name, attr->text);
    } else if (attr->kind == DS_ATTR_REAL) {
        cJSON_AddNumberToObject(run, attr->name, attr->real);
    } else {
        char digits[32]; /* as text: cJSON's numbers are doubles */
        snprintf(digits, sizeof digits, "%lld", (long long)attr->integer);
        cJSON_AddRawToObject(run, attr->name, digits);
    }
}

static ds_status inspect_json_histogram(const ds_checkpoint *c, size_t i, const ds_tensor_stats *s,
                                        cJSON *item)
{
    size_t count[INSPECT_BINS] = {0};
    if (s->n > s->non_finite)
        DS_TRY(ds_checkpoint_histogram(c, i, s->min, s->max, INSPECT_BINS, count));
    cJSON *bins = cJSON_AddArrayToObject(item, "histogram");
    for (size_t k = 0; k < INSPECT_BINS; k++)
        cJSON_AddItemToArray(bins, cJSON_CreateNumber((double)count[k]));
    return DS_OK;
}

static ds_status inspect_json_tensor(const ds_checkpoint *c, size_t i, bool histogram, cJSON *item)
{
    ds_tensor_info info = ds_checkpoint_tensor(c, i);
    cJSON_AddStringToObject(item, "name", info.path);
    cJSON_AddStringToObject(item, "type", ds_dtype_name(info.type));
    cJSON *shape = cJSON_AddArrayToObject(item, "shape");
    for (size_t d = 0; d < info.shape.n; d++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)info.shape.dim[d]));
    cJSON_AddBoolToObject(item, "good", info.good);
    if (!info.good)
        return DS_OK;
    ds_tensor_stats s;
    DS_TRY(ds_checkpoint_stats(c, i, &s));
    cJSON_AddNumberToObject(item, "elements", (double)s.n);
    cJSON_AddNumberToObject(item, "norm", s.norm);
    cJSON_AddNumberToObject(item, "min", s.min);
    cJSON_AddNumberToObject(item, "max", s.max);
    cJSON_AddNumberToObject(item, "mean", s.mean);
    cJSON_AddNumberToObject(item, "non_finite", (double)s.non_finite);
    return histogram ? inspect_json_histogram(c, i, &s, item) : DS_OK;
}

static ds_status inspect_json(const ds_checkpoint *c, const char *path, bool good, bool histogram)
{
    size_t n;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "path", path);
    cJSON_AddBoolToObject(root, "good", good);
    if (!good)
        cJSON_AddStringToObject(root, "damage", ds_last_error());
    cJSON_AddNumberToObject(root, "step", (double)ds_checkpoint_step(c));
    cJSON_AddNumberToObject(root, "parameters", (double)inspect_count(c, "/parameters/", &n));
    cJSON *run = cJSON_AddObjectToObject(root, "run");
    for (size_t i = 0; i < ds_checkpoint_n_attrs(c); i++)
        inspect_json_attr(run, ds_checkpoint_attr_at(c, i));
    cJSON *tensors = cJSON_AddArrayToObject(root, "tensors");
    ds_status st = DS_OK;
    for (size_t i = 0; i < ds_checkpoint_n(c) && st == DS_OK; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(tensors, item);
        st = inspect_json_tensor(c, i, histogram, item);
    }
    char *text = st == DS_OK ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    DS_TRY(st);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the report");
    puts(text);
    free(text);
    return DS_OK;
}

/* One tensor's values, whole in memory. */
typedef struct inspect_tensor {
    ds_tensor_info info;
    const void *data;
    int width;
    bool cut; /* show only the edges */
} inspect_tensor;

static void inspect_element(const inspect_tensor *t, size_t k, bool json, char out[40])
{
    double x = 0;
    int digits = json ? 17 : 9;
    switch (t->info.type) {
    case DS_I64:
        snprintf(out, 40, "%lld", (long long)((const int64_t *)t->data)[k]);
        return;
    case DS_U8:
        snprintf(out, 40, "%d", ((const unsigned char *)t->data)[k]);
        return;
    case DS_F32:
        x = (double)((const float *)t->data)[k];
        digits = json ? 9 : 6;
        break;
    case DS_F64:
        x = ((const double *)t->data)[k];
        break;
    }
    if (json && !isfinite(x))
        snprintf(out, 40, "null");
    else
        snprintf(out, 40, "%.*g", digits, x);
}

/* As numpy prints: dimension d from element `at` on, `stride` elements a step; the edges only when
 * long. With print false, only the widest element shown is looked for. */
static void inspect_values(inspect_tensor *t, size_t d, size_t at, size_t stride, bool print)
{
    char text[40];
    if (d == t->info.shape.n) {
        inspect_element(t, at, false, text);
        int width = (int)strlen(text);
        if (print)
            printf("%*s", t->width, text);
        else
            t->width = width > t->width ? width : t->width;
        return;
    }
    size_t n = t->info.shape.dim[d], inner = n == 0 ? 0 : stride / n;
    bool last = d + 1 == t->info.shape.n, cut = t->cut && n > 2 * INSPECT_EDGE;
    if (print)
        putchar('[');
    for (size_t i = 0; i < n; i++) {
        if (print && i > 0)
            printf(last ? ((i % 8 == 0 && !cut) ? "\n%*s" : " ") : "\n%*s", (int)d + 1, "");
        if (cut && i == INSPECT_EDGE) {
            if (print)
                printf(last ? "... " : "...\n%*s", (int)d + 1, "");
            i = n - INSPECT_EDGE;
        }
        inspect_values(t, d + 1, at + i * inner, inner, print);
    }
    if (print)
        putchar(']');
}

static ds_status inspect_values_json(const inspect_tensor *t, cJSON *item)
{
    char text[40];
    char *head = cJSON_PrintUnformatted(item);
    DS_CHECK(head != NULL, DS_ERR_NOMEM, "out of memory for the report");
    printf("%.*s,\"values\":[", (int)strlen(head) - 1, head);
    free(head);
    size_t n = ds_shape_elements(&t->info.shape);
    for (size_t k = 0; k < n; k++) {
        inspect_element(t, k, true, text);
        printf("%s%s", k == 0 ? "" : ",", text);
    }
    puts("]}");
    return DS_OK;
}

static ds_status inspect_print(const ds_checkpoint *c, size_t i, const inspect_options *o)
{
    inspect_tensor t = {.info = ds_checkpoint_tensor(c, i)};
    size_t n = ds_shape_elements(&t.info.shape);
    char shape[DS_SHAPE_TEXT];
    void *data = malloc(n * ds_dtype_bytes(t.info.type) + 1);
    DS_CHECK(data != NULL, DS_ERR_NOMEM, "%s: out of memory for %zu elements", t.info.path, n);
    ds_status st = ds_checkpoint_read(c, i, data);
    t.data = data;
    t.cut = n > INSPECT_MOST;
    ds_tensor_stats s;
    if (st == DS_OK && o->json) {
        cJSON *item = cJSON_CreateObject();
        st = inspect_json_tensor(c, i, o->histogram, item);
        if (st == DS_OK)
            st = inspect_values_json(&t, item);
        cJSON_Delete(item);
    } else if (st == DS_OK) {
        printf("%s %s %s\n", t.info.path, ds_shape_text(&t.info.shape, shape),
               ds_dtype_name(t.info.type));
        inspect_values(&t, 0, 0, n, false);
        inspect_values(&t, 0, 0, n, true);
        putchar('\n');
        if (o->histogram)
            st = ds_checkpoint_stats(c, i, &s);
        if (o->histogram && st == DS_OK)
            st = inspect_histogram(c, i, &s);
    }
    free(data);
    return st;
}

/* The path nearest to a misspelled one, a parameter's without its group; NULL if none is near. */
static const char *inspect_closest(const ds_checkpoint *c, const char *name)
{
    size_t n = ds_checkpoint_n(c);
    const char **names = calloc(n + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < n; i++) {
        const char *path = ds_checkpoint_tensor(c, i).path, *group = "/parameters/";
        bool short_form = name[0] != '/' && strncmp(path, group, strlen(group)) == 0;
        names[i] = short_form ? path + strlen(group) : path + (name[0] != '/');
    }
    const char *found = names == NULL ? NULL : ds_closest(name, n, names);
    free(names);
    return found;
}

/* The tensor of this path; "dense1/weight" and "dense1.weight" mean the parameter. */
static ds_status inspect_find(const ds_checkpoint *c, const char *name, size_t *out)
{
    char path[1200];
    size_t n = ds_checkpoint_n(c);
    *out = ds_checkpoint_find(c, name);
    for (int k = 0; k < 3 && *out == n; k++) {
        snprintf(path, sizeof path, "%s%.1000s", k == 0 ? "/" : "/parameters/", name);
        for (char *p = path; k == 2 && *p != '\0'; p++)
            if (*p == '.')
                *p = '/';
        *out = ds_checkpoint_find(c, path);
    }
    const char *closest = *out < n ? NULL : inspect_closest(c, name);
    DS_CHECK(*out < n, DS_ERR_USAGE,
             "inspect: no tensor '%s' here%s%s%s; `descent inspect` without --tensor lists all %zu",
             name, closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
             closest == NULL ? "" : "')", n);
    return DS_OK;
}

static ds_status inspect_file(const char *argument, const inspect_options *o)
{
    char path[4096];
    bool good = false;
    ds_auto(ds_checkpoint) c = NULL;
    DS_TRY(ds_checkpoint_resolve(argument, sizeof path, path));
    DS_TRY(ds_checkpoint_salvage(path, &c, &good));
    char damage[1200];
    snprintf(damage, sizeof damage, "%s", good ? "" : ds_last_error());
    if (o->tensor != NULL) {
        size_t i;
        DS_TRY(inspect_find(c, o->tensor, &i));
        return inspect_print(c, i, o);
    }
    if (o->json)
        DS_TRY(inspect_json(c, path, good, o->histogram));
    else
        DS_TRY(inspect_text(c, path, good, o->histogram));
    return good ? DS_OK : DS_FAIL(DS_ERR_CHECKPOINT, "%s", damage);
}

static ds_status inspect_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    inspect_options o = {0};
    arg_list path;
    const arg table[] = {{"--json", ARG_FLAG, &o.json},
                         {"--histogram", ARG_FLAG, &o.histogram},
                         {"--tensor", ARG_VALUE, &o.tensor},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &path));
    DS_TRY(args_expect("inspect", &path, 1, 1, "one checkpoint"));
    return inspect_file(path.item[0], &o);
}

const ds_command ds_command_inspect = {
    .name = "inspect",
    .usage = "inspect CKPT [--histogram] [--json] [--tensor NAME]",
    .help =
        "Show what a checkpoint holds: the run's attributes, each tensor's shape, norm, least,\n"
        "largest and mean value. A damaged file is shown as far as it can be trusted (exit 4).\n"
        "CKPT is a file or a run's directory (its latest checkpoint).\n"
        "  --histogram     how each tensor's values lie: 40 equal bins from the least to the "
        "largest\n"
        "  --json          the same as JSON; texts in full\n"
        "  --tensor NAME   values of one tensor, such as dense1/weight; all of them with --json\n",
    .run = inspect_run,
};
