/* The way back: a filled struct as a map, an option's type and range as words. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/option.h"

static const char *option_bytes_text(int64_t x, char text[32])
{
    static const char *const unit[] = {"", " KiB", " MiB", " GiB"};
    int i = 0;
    while (i < 3 && x > 0 && x % 1024 == 0) {
        x /= 1024;
        i++;
    }
    snprintf(text, 32, "%" PRId64 "%s", x, unit[i]);
    return text;
}

static const char *option_choice_text(const ds_option *o, int index, char text[32])
{
    const char *p = o->choices;
    for (; index > 0 && strchr(p, '|') != NULL; index--)
        p = strchr(p, '|') + 1;
    snprintf(text, 32, "%.*s", (int)strcspn(p, "|"), p);
    return text;
}

/* Text that would read back as null needs its quotes; config writers add them for other reasons. */
static ds_status option_put_text(const ds_option *o, const char *text, ds_arena *arena,
                                 ds_value *map)
{
    ds_value *v = NULL;
    DS_TRY(ds_value_scalar(arena, o->name, text == NULL ? "" : text, &v));
    v->quoted = v->text[0] == '\0';
    return ds_value_add(arena, map, v);
}

static ds_status option_put_value(const ds_option *o, const ds_value *value, ds_arena *arena,
                                  ds_value *map)
{
    ds_value *copy = NULL;
    char *key = NULL;
    if (value == NULL)
        return DS_OK;
    DS_TRY(ds_arena_text(arena, o->name, &key));
    DS_TRY(ds_arena_take(arena, 1, sizeof *copy, "a config value", &copy));
    *copy = *value;
    copy->key = key;
    return ds_value_add(arena, map, copy);
}

static ds_status option_put(const ds_option *o, const char *member, ds_arena *arena, ds_value *map)
{
    union {
        bool truth;
        int choice;
        int64_t whole;
        double real;
        const char *text;
        const ds_value *value;
    } u;
    char room[32] = "";
    const char *text = room;
    switch (o->type) {
    case DS_OPTION_BOOL:
        memcpy(&u.truth, member, sizeof u.truth);
        text = u.truth ? "true" : "false";
        break;
    case DS_OPTION_INT:
        memcpy(&u.whole, member, sizeof u.whole);
        snprintf(room, sizeof room, "%" PRId64, u.whole);
        break;
    case DS_OPTION_REAL:
        memcpy(&u.real, member, sizeof u.real);
        ds_real_text(u.real, room);
        break;
    case DS_OPTION_BYTES:
        memcpy(&u.whole, member, sizeof u.whole);
        option_bytes_text(u.whole, room);
        break;
    case DS_OPTION_CHOICE:
        memcpy(&u.choice, member, sizeof u.choice);
        option_choice_text(o, u.choice, room);
        break;
    case DS_OPTION_TEXT:
        memcpy(&u.text, member, sizeof u.text);
        text = u.text;
        break;
    case DS_OPTION_VALUE:
        memcpy(&u.value, member, sizeof u.value);
        return option_put_value(o, u.value, arena, map);
    }
    return option_put_text(o, text, arena, map);
}

ds_status ds_options_format(const ds_option *table, const void *options, ds_arena *arena,
                            ds_value *map)
{
    for (const ds_option *o = table; o != NULL && o->name != NULL; o++)
        DS_TRY(option_put(o, (const char *)options + o->offset, arena, map));
    return DS_OK;
}

static const char *option_describe_range(const ds_option *o, const char *type, size_t room,
                                         char *text)
{
    char lo[32], hi[32];
    bool above_0 = o->min > 0.0 && o->min < 1e-300, below_1 = o->max == DS_BELOW_1;
    bool open_top = o->max >= 9e18, open_bottom = o->min <= -9e18;
    ds_real_text(above_0 ? 0.0 : o->min, lo);
    ds_real_text(below_1 ? 1.0 : o->max, hi);
    if ((o->min == 0.0 && o->max == 0.0) || (open_top && open_bottom))
        snprintf(text, room, "%s", type);
    else if (open_top)
        snprintf(text, room, "%s %s %s", type, above_0 ? ">" : ">=", lo);
    else if (open_bottom)
        snprintf(text, room, "%s %s %s", type, below_1 ? "<" : "<=", hi);
    else
        snprintf(text, room, "%s in %s%s, %s%s", type, above_0 ? "(" : "[", lo, hi,
                 below_1 ? ")" : "]");
    return text;
}

static const char *option_describe_choices(const ds_option *o, size_t room, char *text)
{
    size_t used = (size_t)snprintf(text, room, "one of ");
    for (const char *p = o->choices; *p != '\0' && used < room; p++)
        used += (size_t)snprintf(text + used, room - used, *p == '|' ? ", " : "%c", *p);
    return text;
}

const char *ds_option_describe(const ds_option *self, size_t room, char *text)
{
    switch (self->type) {
    case DS_OPTION_BOOL:
        snprintf(text, room, "true or false");
        break;
    case DS_OPTION_INT:
        return option_describe_range(self, "int", room, text);
    case DS_OPTION_REAL:
        return option_describe_range(self, "real", room, text);
    case DS_OPTION_BYTES:
        return option_describe_range(self, "bytes (as 4096, 16 KiB, 4 MiB)", room, text);
    case DS_OPTION_CHOICE:
        return option_describe_choices(self, room, text);
    case DS_OPTION_TEXT:
        snprintf(text, room, "text");
        break;
    case DS_OPTION_VALUE:
        snprintf(text, room, "%s", self->choices == NULL ? "a map or list" : self->choices);
        break;
    }
    return text;
}
