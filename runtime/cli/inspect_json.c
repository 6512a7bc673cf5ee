/* A checkpoint as JSON: /run's attributes with their texts in full, the config as a tree, and every
 * tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/config.h"

#include "inspect.h"

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

ds_status inspect_json_tensor(const ds_checkpoint *c, size_t i, bool histogram, cJSON *item)
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

/* A config's part: maps, lists, numbers where the text is one, else text. */
static cJSON *inspect_json_value(const ds_value *v)
{
    double x;
    if (v->kind == DS_VALUE_SCALAR) {
        if (ds_value_is_null(v))
            return cJSON_CreateNull();
        if (!v->quoted && (strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0))
            return cJSON_CreateBool(v->text[0] == 't');
        if (!v->quoted && ds_value_real(v, "", "", &x) == DS_OK)
            return cJSON_CreateNumber(x);
        return cJSON_CreateString(v->text);
    }
    bool map = v->kind == DS_VALUE_MAP;
    cJSON *out = map ? cJSON_CreateObject() : cJSON_CreateArray();
    for (size_t i = 0; i < v->n; i++) {
        cJSON *child = inspect_json_value(v->child[i]);
        if (map)
            cJSON_AddItemToObject(out, v->child[i]->key, child);
        else
            cJSON_AddItemToArray(out, child);
    }
    return out;
}

/* The config's tree; nothing for a file without one. */
static ds_status inspect_json_config(const ds_checkpoint *c, cJSON *root)
{
    const ds_attr *config = ds_checkpoint_attr(c, "config");
    ds_value *tree = NULL;
    ds_auto(ds_arena) arena = NULL;
    DS_TRY(ds_arena_create("a config", &arena));
    if (config == NULL || config->kind != DS_ATTR_TEXT ||
        ds_config_tree(arena, config->text, &tree) != DS_OK || tree == NULL)
        return DS_OK;
    cJSON_AddItemToObject(root, "config", inspect_json_value(tree));
    return DS_OK;
}

static ds_status inspect_json_all(const inspect_subject *self, cJSON *root)
{
    const ds_checkpoint *c = self->file;
    size_t n;
    cJSON_AddStringToObject(root, "path", self->path);
    cJSON_AddBoolToObject(root, "good", self->damage[0] == '\0');
    if (self->damage[0] != '\0')
        cJSON_AddStringToObject(root, "damage", self->damage);
    cJSON_AddNumberToObject(root, "step", (double)ds_checkpoint_step(c));
    cJSON_AddNumberToObject(root, "parameters", (double)inspect_count(c, "/parameters/", &n));
    cJSON *run = cJSON_AddObjectToObject(root, "run");
    for (size_t i = 0; i < ds_checkpoint_n_attrs(c); i++)
        inspect_json_attr(run, ds_checkpoint_attr_at(c, i));
    DS_TRY(inspect_json_config(c, root));
    cJSON *tensors = cJSON_AddArrayToObject(root, "tensors");
    for (size_t i = 0; i < ds_checkpoint_n(c); i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(tensors, item);
        DS_TRY(inspect_json_tensor(c, i, self->histogram, item));
    }
    return DS_OK;
}

ds_status inspect_json(const inspect_subject *self)
{
    cJSON *root = cJSON_CreateObject();
    ds_status st = inspect_json_all(self, root);
    char *text = st == DS_OK ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    DS_TRY(st);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the report");
    puts(text);
    free(text);
    return DS_OK;
}
