/* Options of a plug-in from a short text, for the tests of this folder. */
#ifndef DS_TEST_WITH_OPTIONS_H
#define DS_TEST_WITH_OPTIONS_H

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/option.h"

/* "a=1 b=2,3" as a map, 2,3 as a list, parsed by `table` into out. */
static inline ds_status with_options(const ds_option *table, const char *text, ds_arena *arena,
                                     void *out)
{
    ds_value *map = NULL, *child = NULL, *element = NULL;
    char *copy = NULL, *rest = NULL, *inside = NULL;
    DS_TRY(ds_value_group(arena, DS_VALUE_MAP, NULL, &map));
    DS_TRY(ds_arena_text(arena, text, &copy));
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        ck_assert_ptr_nonnull(value);
        *value++ = '\0';
        if (strchr(value, ',') == NULL) {
            DS_TRY(ds_value_scalar(arena, word, value, &child));
        } else {
            DS_TRY(ds_value_group(arena, DS_VALUE_LIST, word, &child));
            for (char *x = strtok_r(value, ",", &inside); x; x = strtok_r(NULL, ",", &inside)) {
                DS_TRY(ds_value_scalar(arena, NULL, x, &element));
                DS_TRY(ds_value_add(arena, child, element));
            }
        }
        DS_TRY(ds_value_add(arena, map, child));
    }
    return ds_options_parse(table, map, "test", arena, out);
}

#endif
