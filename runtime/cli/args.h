/* Command-line arguments: a table of options, the rest is positional. */
#ifndef DS_ARGS_H
#define DS_ARGS_H

#include <stdbool.h>

#include "descent/status.h"

enum { DS_ARGS_MAX = 256 };

typedef struct arg_list {
    size_t n;
    const char *item[DS_ARGS_MAX];
} arg_list;

typedef enum arg_kind {
    ARG_FLAG,     /* --quiet: *(bool *)out = true */
    ARG_VALUE,    /* --out DIR or --out=DIR: *(const char **)out */
    ARG_OPTIONAL, /* --resume or --resume=FILE: *(const char **)out, "" without a value */
    ARG_LIST      /* --set K=V, again and again: *(arg_list *)out */
} arg_kind;

typedef struct arg {
    const char *name; /* "--out"; a table ends with NULL */
    arg_kind kind;
    void *out;
} arg;

/* Local. Sort argv[1..] into options and positional arguments. USAGE naming the command, the
 * closest option, and how many positional arguments are expected (least to most). */
ds_status args_parse(int argc, char **argv, const arg *table, arg_list *positional) DS_NODISCARD;
ds_status args_expect(const char *command, const arg_list *positional, size_t least, size_t most,
                      const char *what) DS_NODISCARD;

#endif
