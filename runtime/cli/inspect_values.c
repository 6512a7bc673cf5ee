/* One tensor's values as numpy prints them, the edges only of a long one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/option.h"

#include "inspect.h"
#include "textplot.h"

enum { INSPECT_MOST = 1000, INSPECT_EDGE = 3 };

/* The least value, a character a bin, the largest. */
ds_status inspect_histogram(const ds_checkpoint *c, size_t i, const ds_tensor_stats *s)
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

/* One tensor's values, whole in memory. */
typedef struct values_tensor {
    ds_tensor_info info;
    const void *data;
    int width;
    bool cut; /* show only the edges */
} values_tensor;

static void inspect_values_element(const values_tensor *t, size_t k, bool json, char out[40])
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
        snprintf(out, 40, "%.*g", digits, ds_shown(x));
}

/* As numpy prints: dimension d from element `at` on, `stride` elements a step; the edges only when
 * long. With print false, only the widest element shown is looked for. */
static void inspect_values_shown(values_tensor *t, size_t d, size_t at, size_t stride, bool print)
{
    char text[40];
    if (d == t->info.shape.n) {
        inspect_values_element(t, at, false, text);
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
        inspect_values_shown(t, d + 1, at + i * inner, inner, print);
    }
    if (print)
        putchar(']');
}

static ds_status inspect_values_json(const values_tensor *t, cJSON *item)
{
    char text[40];
    char *head = cJSON_PrintUnformatted(item);
    DS_CHECK(head != NULL, DS_ERR_NOMEM, "out of memory for the report");
    printf("%.*s,\"values\":[", (int)strlen(head) - 1, head);
    free(head);
    size_t n = ds_shape_elements(&t->info.shape);
    for (size_t k = 0; k < n; k++) {
        inspect_values_element(t, k, true, text);
        printf("%s%s", k == 0 ? "" : ",", text);
    }
    puts("]}");
    return DS_OK;
}

ds_status inspect_values(const ds_checkpoint *c, size_t i, const inspect_options *o)
{
    values_tensor t = {.info = ds_checkpoint_tensor(c, i)};
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
        inspect_values_shown(&t, 0, 0, n, false);
        inspect_values_shown(&t, 0, 0, n, true);
        putchar('\n');
        if (o->histogram)
            st = ds_checkpoint_stats(c, i, &s);
        if (o->histogram && st == DS_OK)
            st = inspect_histogram(c, i, &s);
    }
    free(data);
    return st;
}
