/* The table of presets, and the way from a map that names one to the text of its model. */
#include "descent/preset.h"

#include <stdlib.h>
#include <string.h>

#define X(name) extern const ds_preset_ops ds_preset_##name;
#include "presets.list"
#undef X

static const ds_preset_ops *const preset_table[] = {
#define X(name) &ds_preset_##name,
#include "presets.list"
#undef X
};
enum { PRESETS = sizeof preset_table / sizeof *preset_table };

static const ds_option preset_common[] = {
    {.name = "preset",
     .type = DS_OPTION_TEXT,
     .flags = DS_OPTION_REQUIRED,
     .help = "a whole model by its name"},
    {.name = NULL},
};

const ds_preset_ops *ds_preset_at(size_t i)
{
    return i < PRESETS ? preset_table[i] : NULL;
}

const ds_preset_ops *ds_preset_find(const char *name)
{
    for (size_t i = 0; i < PRESETS; i++)
        if (strcmp(preset_table[i]->name, name) == 0)
            return preset_table[i];
    return NULL;
}

static ds_status preset_named(const ds_value *name, const ds_preset_ops **out)
{
    const char *names[PRESETS];
    char found[96];
    if (name->kind != DS_VALUE_SCALAR || ds_value_is_null(name))
        return ds_value_fail(name, "model: preset is %s, expected a name (descent list presets)",
                             ds_value_describe(name, sizeof found, found));
    *out = ds_preset_find(name->text);
    for (size_t i = 0; i < PRESETS; i++)
        names[i] = preset_table[i]->name;
    const char *near = *out != NULL ? "" : ds_closest(name->text, PRESETS, names);
    if (near == NULL)
        return ds_value_fail(name, "model: unknown preset '%.60s'; see descent list presets",
                             name->text);
    return *out != NULL ? DS_OK
                        : ds_value_fail(name, "model: unknown preset '%.60s' (closest: '%s')",
                                        name->text, near);
}

static ds_status preset_print(const ds_preset_ops *ops, const ds_value *model, const void *options,
                              size_t outputs, char **text)
{
    size_t n = 0;
    FILE *out = open_memstream(text, &n);
    DS_CHECK(out != NULL, DS_ERR_NOMEM, "out of memory for preset %s", ops->name);
    ds_status status = ops->write(model, options, outputs, out);
    bool bad = ferror(out) != 0;
    bad |= fclose(out) != 0;
    if (status == DS_OK && bad)
        status = DS_FAIL(DS_ERR_NOMEM, "out of memory for preset %s", ops->name);
    return status;
}

ds_status ds_preset_write(const ds_value *model, size_t outputs, ds_arena *arena, char **text)
{
    const ds_preset_ops *ops = NULL;
    const ds_value *name = ds_value_find(model, "preset");
    DS_ASSERT(name != NULL);
    DS_TRY(preset_named(name, &ops));
    const ds_option *tables[] = {preset_common, ops->options};
    char what[64], *printed = NULL;
    void *options = NULL;
    snprintf(what, sizeof what, "model, preset %s", ops->name);
    DS_TRY(ds_options_check(2, tables, model, what));
    DS_TRY(ds_arena_take(arena, 1, ops->options_size, "preset options", &options));
    DS_TRY(ds_options_fill(ops->options, model, what, arena, options));
    ds_status status = preset_print(ops, model, options, outputs, &printed);
    if (status == DS_OK)
        status = ds_arena_text(arena, printed, text);
    free(printed);
    return status;
}
