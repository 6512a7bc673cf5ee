/* Presets: whole models by name, `model: {preset: gpt, layers: 6}`. One file and one line in
 * presets.list add one. A preset writes the text of the model as somebody would by hand; the config
 * puts it in the place of the short form, so that nothing behind it knows presets. */
#ifndef DS_PRESET_H
#define DS_PRESET_H

#include <stdio.h>

#include "descent/option.h"

typedef struct ds_preset_ops {
    const char *name;
    const char *help;
    const ds_option *options; /* what stands beside `preset`; one named "input" (a VALUE) is put in
                                 the model as it is given */
    size_t options_size;
    /* Local. Write "{input: [..], layers: [..]}" in YAML's flow style; `input` may be missing where
     * `model`, the map as given, has it. `outputs`: classes or target columns of the data, 0 where
     * they are not known (yet): then any number. Errors: USAGE, at a place in `model`. */
    ds_status (*write)(const ds_value *model, const void *options, size_t outputs, FILE *out);
} ds_preset_ops;

DS_API const ds_preset_ops *ds_preset_at(size_t i); /* NULL past the end */
DS_API const ds_preset_ops *ds_preset_find(const char *name);
/* Local. The text of the model that the map asks for (its key `preset` names one), in `arena`.
 * Errors: USAGE with place and closest match. */
DS_API ds_status ds_preset_write(const ds_value *model, size_t outputs, ds_arena *arena,
                                 char **text) DS_NODISCARD;
/* Local. The first that counts: what the user gave, what the data have, 1. */
static inline size_t ds_preset_outputs(int64_t given, size_t outputs)
{
    return given > 0 ? (size_t)given : outputs > 0 ? outputs : 1;
}

#endif
