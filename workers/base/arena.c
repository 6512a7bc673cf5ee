/* An arena is a list of blocks. Small pieces share 64 KiB blocks; large ones have their own, on
 * huge pages where the system gives them. */
#include "descent/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, SMALL = 64 << 10, HUGE = 2 << 20 };

typedef struct block {
    struct block *next;
    size_t room, used;
    char *bytes;
} block;

struct ds_arena {
    char name[48];
    block *first;
    size_t total;
    bool sealed;
};

ds_status ds_arena_create(const char *name, ds_arena **out)
{
    ds_arena *self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for %s", name);
    snprintf(self->name, sizeof self->name, "%s", name);
    *out = self;
    return DS_OK;
}

void ds_arena_destroy(ds_arena **arena)
{
    if (*arena == NULL)
        return;
    for (block *b = (*arena)->first, *next; b != NULL; b = next) {
        next = b->next;
        free(b->bytes);
        free(b);
    }
    free(*arena);
    *arena = NULL;
}

static bool arena_block(ds_arena *self, size_t bytes)
{
    size_t align = bytes >= HUGE ? HUGE : ALIGN;
    if (bytes > SIZE_MAX - align)
        return false;
    size_t room = (bytes + align - 1) / align * align;
    block *b = calloc(1, sizeof *b);
    char *p = b == NULL ? NULL : aligned_alloc(align, room);
    if (p == NULL) {
        free(b);
        return false;
    }
    if (align == HUGE)
        madvise(p, room, MADV_HUGEPAGE);
    memset(p, 0, room);
    *b = (block){.next = self->first, .room = room, .used = 0, .bytes = p};
    self->first = b;
    return true;
}

ds_status ds_arena_take(ds_arena *self, size_t count, size_t size, const char *what, void *out)
{
    size_t bytes = 0;
    DS_CHECK(!self->sealed, DS_ERR_INTERNAL, "%s is sealed: no room for %s", self->name, what);
    DS_CHECK(!__builtin_mul_overflow(count, size, &bytes) && bytes < SIZE_MAX / 2, DS_ERR_NOMEM,
             "%s: %zu items of %zu bytes for %s are more than memory can be", self->name, count,
             size, what);
    bytes = bytes == 0 ? ALIGN : (bytes + ALIGN - 1) / ALIGN * ALIGN;
    block *b = self->first;
    if (b == NULL || b->room - b->used < bytes) {
        DS_CHECK(arena_block(self, bytes > SMALL ? bytes : SMALL), DS_ERR_NOMEM,
                 "out of memory: %s needs %zu bytes for %s, after %zu bytes", self->name, bytes,
                 what, self->total);
        b = self->first;
    }
    void *p = b->bytes + b->used;
    b->used += bytes;
    self->total += bytes;
    memcpy(out, &p, sizeof p);
    return DS_OK;
}

ds_status ds_arena_text(ds_arena *self, const char *text, char **out)
{
    return ds_arena_printf(self, out, "%s", text);
}

ds_status ds_arena_printf(ds_arena *self, char **out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    DS_ASSERT(n >= 0);
    char *text = NULL;
    DS_TRY(ds_arena_take(self, (size_t)n + 1, 1, "a text", &text));
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    *out = text;
    return DS_OK;
}

void ds_arena_seal(ds_arena *self)
{
    self->sealed = true;
}

size_t ds_arena_bytes(const ds_arena *self)
{
    return self->total;
}
