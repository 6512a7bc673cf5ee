/* descent diff: are two checkpoints the same? Tensors (parameters, optimizer, history, ...), the
 * step and what shapes the numbers of the config decide; the rest is told. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/option.h"

#include "args.h"
#include "command.h"
#include "diff.h"

void diff_note(diff_job *self, const char *section, const char *name, const char *what,
               bool decides, cJSON *item)
{
    if (decides && self->n_different++ == 0)
        snprintf(self->first, sizeof self->first, "%s", name);
    if (!self->json) {
        cJSON_Delete(item);
        if (self->section == NULL || strcmp(self->section, section) != 0)
            printf("%s\n", section);
        self->section = section;
        printf("  %s: %s\n", name, what);
        return;
    }
    item = item == NULL ? cJSON_CreateObject() : item;
    cJSON_AddStringToObject(item, "name", name);
    cJSON_AddStringToObject(item, "what", what);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(self->root, section), item);
}

static cJSON *diff_numbers(const ds_tensor_diff *d)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "elements", (double)d->n);
    cJSON_AddNumberToObject(item, "differ", (double)d->differ);
    cJSON_AddNumberToObject(item, "max_abs", d->max_abs);
    cJSON_AddNumberToObject(item, "max_ulp", (double)d->max_ulp);
    cJSON_AddNumberToObject(item, "first_index", (double)d->first);
    return item;
}

/* Two tensors that can be compared element by element. */
static ds_status diff_elements(diff_job *self, size_t i, size_t j, const char *path)
{
    ds_tensor_diff d;
    char what[512];
    DS_TRY(ds_checkpoint_compare(self->a, i, self->b, j, &d));
    if (d.differ == 0) {
        self->n_same++;
        return DS_OK;
    }
    self->max_ulp = d.max_ulp > self->max_ulp ? d.max_ulp : self->max_ulp;
    if (isnan(d.max_abs) || d.max_abs > self->max_abs)
        self->max_abs = d.max_abs;
    snprintf(what, sizeof what,
             "%zu of %zu elements differ, at most by %.9g (%llu ULP), the first at index %zu",
             d.differ, d.n, ds_shown(d.max_abs), (unsigned long long)d.max_ulp, d.first);
    diff_note(self, "tensors", path, what, true, diff_numbers(&d));
    return DS_OK;
}

static ds_status diff_tensor(diff_job *self, size_t i)
{
    ds_tensor_info x = ds_checkpoint_tensor(self->a, i);
    size_t j = ds_checkpoint_find(self->b, x.path);
    char what[512], sa[DS_SHAPE_TEXT], sb[DS_SHAPE_TEXT];
    if (j == ds_checkpoint_n(self->b)) {
        diff_note(self, "tensors", x.path, "only in the first", true, NULL);
        return DS_OK;
    }
    ds_tensor_info y = ds_checkpoint_tensor(self->b, j);
    if (!x.good || !y.good) {
        snprintf(what, sizeof what, "damaged in %s",
                 x.good   ? "the second"
                 : y.good ? "the first"
                          : "both");
        diff_note(self, "tensors", x.path, what, true, NULL);
        return DS_OK;
    }
    if (x.type != y.type || !ds_shape_equal(&x.shape, &y.shape)) {
        snprintf(what, sizeof what, "%s %s in the first, %s %s in the second",
                 ds_dtype_name(x.type), ds_shape_text(&x.shape, sa), ds_dtype_name(y.type),
                 ds_shape_text(&y.shape, sb));
        diff_note(self, "tensors", x.path, what, true, NULL);
        return DS_OK;
    }
    return diff_elements(self, i, j, x.path);
}

static ds_status diff_tensors(diff_job *self)
{
    if (ds_checkpoint_step(self->a) != ds_checkpoint_step(self->b)) {
        char what[128];
        snprintf(what, sizeof what, "%lld in the first, %lld in the second",
                 (long long)ds_checkpoint_step(self->a), (long long)ds_checkpoint_step(self->b));
        diff_note(self, "tensors", "step", what, true, NULL);
    }
    for (size_t i = 0; i < ds_checkpoint_n(self->a); i++)
        DS_TRY(diff_tensor(self, i));
    for (size_t j = 0; j < ds_checkpoint_n(self->b); j++) {
        const char *path = ds_checkpoint_tensor(self->b, j).path;
        if (ds_checkpoint_find(self->a, path) == ds_checkpoint_n(self->a))
            diff_note(self, "tensors", path, "only in the second", true, NULL);
    }
    return DS_OK;
}

static ds_status diff_print_json(diff_job *self)
{
    cJSON *root = self->root;
    cJSON_AddBoolToObject(root, "equal", self->n_different == 0);
    cJSON_AddNumberToObject(root, "same", (double)self->n_same);
    cJSON_AddNumberToObject(root, "different", (double)self->n_different);
    cJSON_AddNumberToObject(root, "max_abs", self->max_abs);
    cJSON_AddNumberToObject(root, "max_ulp", (double)self->max_ulp);
    if (self->n_different == 0)
        cJSON_AddNullToObject(root, "first");
    else
        cJSON_AddStringToObject(root, "first", self->first);
    char *text = cJSON_Print(root);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the report");
    puts(text);
    free(text);
    return DS_OK;
}

static ds_status diff_report(diff_job *self, const char *a, const char *b)
{
    if (self->json)
        DS_TRY(diff_print_json(self));
    else if (self->n_different == 0)
        printf("equal: %zu tensors, step %lld\n", self->n_same,
               (long long)ds_checkpoint_step(self->a));
    else
        printf("different: %zu, the first is %s; same: %zu tensors; largest distance %.9g, %llu "
               "ULP\n",
               self->n_different, self->first, self->n_same, self->max_abs,
               (unsigned long long)self->max_ulp);
    return self->n_different == 0
               ? DS_OK
               : DS_FAIL(DS_NO, "%s and %s differ, first in %s", a, b, self->first);
}

static ds_status diff_compare(diff_job *self, const char *a, const char *b)
{
    static const char *const section[] = {"tensors", "config", "history", "attributes"};
    self->root = cJSON_CreateObject();
    cJSON_AddStringToObject(self->root, "a", a);
    cJSON_AddStringToObject(self->root, "b", b);
    for (size_t i = 0; i < sizeof section / sizeof *section; i++)
        cJSON_AddArrayToObject(self->root, section[i]);
    ds_status st = diff_tensors(self);
    if (st == DS_OK)
        st = diff_config(self);
    if (st == DS_OK)
        st = diff_history(self);
    if (st == DS_OK) {
        diff_attrs(self);
        st = diff_report(self, a, b);
    }
    cJSON_Delete(self->root);
    return st;
}

static ds_status diff_open(const char *argument, char path[4096], ds_checkpoint **out,
                           char damage[1200])
{
    bool good = false;
    DS_TRY(ds_checkpoint_resolve(argument, 4096, path));
    DS_TRY(ds_checkpoint_salvage(path, out, &good));
    if (!good && damage[0] == '\0')
        snprintf(damage, 1200, "%s", ds_last_error());
    return DS_OK;
}

static ds_status diff_files(bool json, const char *const argument[2])
{
    char a[4096], b[4096], damage[1200] = "";
    ds_auto(ds_checkpoint) first = NULL;
    ds_auto(ds_checkpoint) second = NULL;
    DS_TRY(diff_open(argument[0], a, &first, damage));
    DS_TRY(diff_open(argument[1], b, &second, damage));
    diff_job job = {.json = json, .a = first, .b = second};
    ds_status st = diff_compare(&job, a, b);
    if (damage[0] != '\0' && (st == DS_OK || st == DS_NO))
        return DS_FAIL(DS_ERR_CHECKPOINT, "%s", damage);
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
    .help =
        "Compare two checkpoints (files, or run directories: their latest): tensors bit by bit\n"
        "(elements that differ, largest distance, units in the last place), the config by key,\n"
        "the losses by step, other attributes of /run.\n"
        "Exit code 0 when equal; 1 when tensors, steps, losses or a key of the config that\n"
        "shapes the numbers differ; 4 when one is damaged: what is whole is compared.\n"
        "  --json   the same as JSON: tensors, config, history, attributes\n",
    .run = diff_run,
};
