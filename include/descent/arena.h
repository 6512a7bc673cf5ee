/* Memory that lives and dies together. Runs take from arenas while they are set up; once sealed an
 * arena gives nothing more, so a step can allocate nothing. */
#ifndef DS_ARENA_H
#define DS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "descent/status.h"

typedef struct ds_arena ds_arena;

/* Local. `name` appears in messages ("step memory") and is copied. Errors: NOMEM. */
DS_API ds_status ds_arena_create(const char *name, ds_arena **out) DS_NODISCARD;
DS_API void ds_arena_destroy(ds_arena **arena);

/* Local. Zeroed room for `count` items of `size` bytes, 64-byte aligned (2 MiB and huge pages from
 * 2 MiB on); freed with the arena. count 0 gives a valid pointer. `what` is for the message. The
 * product is checked. Errors: NOMEM (overflow or no memory), INTERNAL when sealed; *out is then
 * untouched. `out` is the address of a pointer of any type. */
DS_API ds_status ds_arena_take(ds_arena *self, size_t count, size_t size, const char *what,
                               void *out) DS_NODISCARD;
/* Local. A copy of a text; printf-like text. */
DS_API ds_status ds_arena_text(ds_arena *self, const char *text, char **out) DS_NODISCARD;
DS_API ds_status ds_arena_printf(ds_arena *self, char **out, const char *fmt, ...)
    DS_PRINTF(3, 4) DS_NODISCARD;

DS_API void ds_arena_seal(ds_arena *self);
/* Local. Bytes handed out so far. */
DS_API size_t ds_arena_bytes(const ds_arena *self);

#endif
