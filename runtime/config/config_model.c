/* The model section: taken over as it is (workers/model reads it), or, where it names a preset,
 * what the preset writes. The text of a preset is read as any other, and all of it stands where the
 * preset is named, so that messages point there. */
#include <string.h>

#include "descent/preset.h"

#include "config_parts.h"

static void model_place(ds_value *self, const ds_value *at)
{
    self->source = at->source;
    self->line = at->line;
    self->column = at->column;
    self->key_line = self->key_column = 0;
    for (size_t i = 0; i < self->n; i++)
        model_place(self->child[i], at);
}

static ds_status model_expand(ds_config *self, size_t outputs, ds_value **out)
{
    const ds_value *input = ds_value_find(self->preset, "input");
    ds_value *tree = NULL, *given = NULL;
    char *text = NULL;
    DS_TRY(ds_preset_write(self->preset, outputs, self->arena, &text));
    DS_TRY(ds_yaml_parse(self->arena, "the preset", false, text, &tree));
    DS_ASSERT(tree != NULL && tree->kind == DS_VALUE_MAP);
    model_place(tree, ds_value_find(self->preset, "preset"));
    if (!ds_value_is_null(input)) {
        DS_TRY(ds_value_copy(self->arena, "input", input, &given));
        DS_TRY(ds_value_add(self->arena, tree, given));
    }
    return ds_value_copy(self->arena, "model", tree, out);
}

ds_status ds_config_take_model(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_value *model = NULL;
    if (ds_value_find(raw, "preset") != NULL) {
        self->preset = raw;
        DS_TRY(model_expand(self, 0, &model));
    } else {
        DS_TRY(ds_value_copy(self->arena, "model", raw, &model));
    }
    DS_TRY(ds_value_add(self->arena, root, model));
    self->model = model;
    return DS_OK;
}

ds_status ds_config_fit(ds_config *self, size_t outputs)
{
    ds_value *model = NULL;
    if (self->preset == NULL)
        return DS_OK;
    DS_TRY(model_expand(self, outputs, &model));
    for (size_t i = 0; i < self->root->n; i++)
        if (strcmp(self->root->child[i]->key, "model") == 0)
            self->root->child[i] = model;
    self->model = model;
    return DS_OK;
}
