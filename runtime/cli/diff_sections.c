/* The sections of a diff beside the tensors. The config is compared key by key: those that shape no
 * number (names, logging, the length of a run under a constant rate) are told and decide nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/config.h"

#include "diff.h"

static const char *diff_text(const ds_checkpoint *c, const char *name)
{
    const ds_attr *attr = ds_checkpoint_attr(c, name);
    return attr != NULL && attr->kind == DS_ATTR_TEXT ? attr->text : NULL;
}

static void diff_key(void *context, const char *key, const ds_value *a, const ds_value *b,
                     bool shapes)
{
    char va[120], vb[120], what[300];
    if (a == NULL)
        snprintf(va, sizeof va, "absent");
    if (b == NULL)
        snprintf(vb, sizeof vb, "absent");
    snprintf(what, sizeof what, "%s and %s%s", a == NULL ? va : ds_value_describe(a, sizeof va, va),
             b == NULL ? vb : ds_value_describe(b, sizeof vb, vb),
             shapes ? "" : " (shapes no number)");
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "a", va);
    cJSON_AddStringToObject(item, "b", vb);
    cJSON_AddBoolToObject(item, "shapes_numbers", shapes);
    diff_note(context, "config", key, what, shapes, item);
}

/* Texts that are no config (another program's) differ as a whole. */
ds_status diff_config(diff_job *self)
{
    const char *a = diff_text(self->a, "config"), *b = diff_text(self->b, "config");
    ds_auto(ds_arena) arena = NULL;
    ds_value *x = NULL, *y = NULL;
    if (a == NULL || b == NULL || strcmp(a, b) == 0) {
        if ((a == NULL) != (b == NULL))
            diff_note(self, "config", "config",
                      a == NULL ? "only in the second" : "only in the first", false, NULL);
        return DS_OK;
    }
    DS_TRY(ds_arena_create("configs", &arena));
    if (ds_config_tree(arena, a, &x) == DS_OK && ds_config_tree(arena, b, &y) == DS_OK &&
        x != NULL && y != NULL)
        ds_config_changes(x, y, diff_key, self);
    else
        diff_note(self, "config", "config", "the texts differ", true, NULL);
    return DS_OK;
}

/* A history: steps rising, a loss each. */
typedef struct diff_losses {
    size_t n;
    int64_t *step;
    double *loss;
} diff_losses;

static void diff_losses_free(diff_losses *self)
{
    free(self->step);
    free(self->loss);
}

/* n is 0 where there is none that can be read. */
static ds_status diff_losses_read(const ds_checkpoint *c, diff_losses *out)
{
    size_t s = ds_checkpoint_find(c, "/history/steps"), l = ds_checkpoint_find(c, "/history/loss"),
           n = ds_checkpoint_n(c);
    *out = (diff_losses){0};
    if (s == n || l == n)
        return DS_OK;
    ds_tensor_info steps = ds_checkpoint_tensor(c, s), losses = ds_checkpoint_tensor(c, l);
    size_t count = ds_shape_elements(&steps.shape);
    if (!steps.good || !losses.good || steps.type != DS_I64 || losses.type != DS_F64 ||
        count != ds_shape_elements(&losses.shape))
        return DS_OK;
    out->step = calloc(count + 1, sizeof *out->step);
    out->loss = calloc(count + 1, sizeof *out->loss);
    ds_status st = out->step == NULL || out->loss == NULL
                       ? DS_FAIL(DS_ERR_NOMEM, "out of memory for %zu losses", count)
                       : ds_checkpoint_read(c, s, out->step);
    if (st == DS_OK)
        st = ds_checkpoint_read(c, l, out->loss);
    if (st == DS_OK)
        out->n = count;
    else
        diff_losses_free(out);
    return st;
}

/* Where two histories part, by the steps that both have. */
static void diff_losses_compare(diff_job *self, const diff_losses *a, const diff_losses *b)
{
    size_t i = 0, j = 0, common = 0, same = 0;
    int64_t until = 0;
    char what[300] = "";
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "a_losses", (double)a->n);
    cJSON_AddNumberToObject(item, "b_losses", (double)b->n);
    while (i < a->n && j < b->n) {
        if (a->step[i] != b->step[j]) {
            if (a->step[i] < b->step[j])
                i++;
            else
                j++;
            continue;
        }
        bool alike = memcmp(&a->loss[i], &b->loss[j], sizeof *a->loss) == 0;
        if (alike && same == common) {
            until = a->step[i];
            same++;
        } else if (same == common) {
            snprintf(what, sizeof what, ", first apart at step %lld: %.9g and %.9g",
                     (long long)a->step[i], ds_shown(a->loss[i]), ds_shown(b->loss[j]));
            cJSON_AddNumberToObject(item, "first_step", (double)a->step[i]);
            cJSON_AddNumberToObject(item, "a_loss", a->loss[i]);
            cJSON_AddNumberToObject(item, "b_loss", b->loss[j]);
        }
        common++;
        i++;
        j++;
    }
    cJSON_AddNumberToObject(item, "same_until", (double)until);
    char text[500];
    snprintf(text, sizeof text,
             "%zu losses to step %lld and %zu to step %lld; the same up to step %lld%s", a->n,
             a->n == 0 ? 0LL : (long long)a->step[a->n - 1], b->n,
             b->n == 0 ? 0LL : (long long)b->step[b->n - 1], (long long)until, what);
    diff_note(self, "history", "losses", text, true, item);
}

ds_status diff_history(diff_job *self)
{
    diff_losses a = {0}, b = {0};
    DS_TRY(diff_losses_read(self->a, &a));
    ds_status st = diff_losses_read(self->b, &b);
    bool alike = a.n == b.n && (a.n == 0 || (memcmp(a.step, b.step, a.n * sizeof *a.step) == 0 &&
                                             memcmp(a.loss, b.loss, a.n * sizeof *a.loss) == 0));
    if (st == DS_OK && !alike)
        diff_losses_compare(self, &a, &b);
    diff_losses_free(&a);
    diff_losses_free(&b);
    return st;
}

static void diff_value(const ds_attr *attr, size_t room, char *out)
{
    if (attr == NULL)
        snprintf(out, room, "absent");
    else if (attr->kind == DS_ATTR_INT)
        snprintf(out, room, "%lld", (long long)attr->integer);
    else if (attr->kind == DS_ATTR_REAL)
        snprintf(out, room, "%.17g", ds_shown(attr->real));
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

static void diff_attr(diff_job *self, const char *name, const ds_attr *x, const ds_attr *y)
{
    char what[600], va[128], vb[128];
    if (strcmp(name, "config") == 0 || diff_alike(x, y))
        return;
    diff_value(x, sizeof va, va);
    diff_value(y, sizeof vb, vb);
    snprintf(what, sizeof what, "%s and %s", va, vb);
    diff_note(self, "attributes", name, what, false, NULL);
}

void diff_attrs(diff_job *self)
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
