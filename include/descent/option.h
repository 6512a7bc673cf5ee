/* Tables of options. One table gives parsing, checking, --help, `descent list`, docs and checkpoint
 * metadata of a plug-in or of a section of the config. */
#ifndef DS_OPTION_H
#define DS_OPTION_H

#include <float.h>
#include <stdint.h>

#include "descent/value.h"

typedef enum ds_option_type {
    DS_OPTION_BOOL,   /* bool: true, false */
    DS_OPTION_INT,    /* int64_t */
    DS_OPTION_REAL,   /* double, finite */
    DS_OPTION_TEXT,   /* const char *, "" when unset */
    DS_OPTION_CHOICE, /* int: index into `choices` */
    DS_OPTION_BYTES,  /* int64_t: 4096, 16 KiB, 25 MiB */
    DS_OPTION_VALUE   /* const ds_value *: any subtree, NULL when absent; its owner checks it */
} ds_option_type;

enum {
    DS_OPTION_REQUIRED = 1, /* no default; absence is an error */
    DS_OPTION_NEUTRAL = 2   /* does not shape the numbers: may differ on resume */
};

#define DS_ABOVE_0 DBL_TRUE_MIN            /* as `min`: greater than 0 */
#define DS_BELOW_1 (1.0 - DBL_EPSILON / 2) /* as `max`: less than 1 */

typedef struct ds_option {
    const char *name;
    ds_option_type type;
    size_t offset;        /* of the member in the plug-in's options struct */
    const char *fallback; /* default, as text; NULL: "" / 0 / false / first choice */
    double min, max;      /* inclusive range of INT, REAL and BYTES; both 0: any; DS_ABOVE_0,
                             DS_BELOW_1, HUGE_VAL make open ends */
    const char *choices;  /* "none|unit|standard"; of a VALUE: what it may be, in words */
    unsigned flags;
    const char *help; /* one line */
} ds_option;          /* a table ends with .name = NULL */

/* Local. Fill the struct `out` from `map` (NULL or empty: all defaults). Checks unknown keys
 * (closest match), duplicates, types, ranges and choices; fails with USAGE and file:line:column.
 * `what` names the owner in messages ("optimizer adamw"). Texts are kept in `arena`. On failure
 * *out is unspecified. */
DS_API ds_status ds_options_parse(const ds_option *table, const ds_value *map, const char *what,
                                  ds_arena *arena, void *out) DS_NODISCARD;
/* Local. For a map that holds the options of several tables: check keys against all of them (n
 * tables), then fill each struct from its own table. ds_options_parse is check, then fill. */
DS_API ds_status ds_options_check(size_t n, const ds_option *const *tables, const ds_value *map,
                                  const char *what) DS_NODISCARD;
DS_API ds_status ds_options_fill(const ds_option *table, const ds_value *map, const char *what,
                                 ds_arena *arena, void *out) DS_NODISCARD;
/* Local. The filled struct as a map of all its options, in table order: parse(format(x)) == x. */
DS_API ds_status ds_options_format(const ds_option *table, const void *options, ds_arena *arena,
                                   ds_value *map) DS_NODISCARD;
DS_API size_t ds_options_count(const ds_option *table);
/* Local. The number in a scalar; USAGE with "what: name is 'x', expected ..." (name may be ""). */
DS_API ds_status ds_value_int(const ds_value *self, const char *what, const char *name,
                              int64_t *out) DS_NODISCARD;
DS_API ds_status ds_value_real(const ds_value *self, const char *what, const char *name,
                               double *out) DS_NODISCARD;
/* Local. The shortest text that reads back as `x`, whatever the locale; returns text. */
DS_API const char *ds_real_text(double x, char text[32]);
/* Local. x for printf: a NaN without its sign, "nan" and never "-nan". */
DS_API double ds_shown(double x);
/* Local. "int", "real > 0", "one of none, unit, standard", ... for help and lists. */
DS_API const char *ds_option_describe(const ds_option *self, size_t room, char *text);

#endif
