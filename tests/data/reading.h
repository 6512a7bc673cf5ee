/* Reading one source as the tests of formats do, and being refused. */
#ifndef DS_READING_H
#define DS_READING_H

#include "datafiles.h"

static ds_arena *arena;

static inline void begin(void)
{
    ck_assert(ds_arena_create("the test", &arena) == DS_OK);
}

static inline void end(void)
{
    ds_arena_destroy(&arena);
}

/* keys and texts in turn as source_make takes them; *out is NULL on failure. */
static inline ds_status read_as(const char *const *pair, ds_target_kind kind, const ds_shape *input,
                                const char *split, ds_dataset **out)
{
    ds_read_request request = {
        .source = source_make(arena, pair), .kind = kind, .input = input, .split = split};
    *out = NULL;
    return ds_dataset_read(&request, out);
}

static inline void refused(ds_status found, ds_status expected, const char *says)
{
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(found, expected);
    ck_assert_msg(strstr(ds_last_error(), says) != NULL, "'%s' says nothing of '%s'",
                  ds_last_error(), says);
}

#define COUNT(x) (int)(sizeof(x) / sizeof *(x))

#endif
