/* The table of data formats. */
#include <string.h>

#include "descent/dataset.h"

#define X(name) extern const ds_format_ops ds_format_##name;
#include "formats.list"
#undef X

static const ds_format_ops *const formats_table[] = {
#define X(name) &ds_format_##name,
#include "formats.list"
#undef X
};

const ds_format_ops *ds_format_at(size_t i)
{
    return i < sizeof formats_table / sizeof *formats_table ? formats_table[i] : NULL;
}

const ds_format_ops *ds_format_find(const char *name)
{
    for (size_t i = 0; ds_format_at(i) != NULL; i++)
        if (strcmp(formats_table[i]->name, name) == 0)
            return formats_table[i];
    return NULL;
}
