#include "args.h"

#include <string.h>

#include "descent/value.h"

static const arg *args_find(const arg *table, const char *text, size_t length)
{
    for (; table->name != NULL; table++)
        if (strlen(table->name) == length && strncmp(table->name, text, length) == 0)
            return table;
    return NULL;
}

static ds_status args_unknown(const char *command, const arg *table, const char *text)
{
    const char *name[32];
    size_t n = 0;
    for (; table[n].name != NULL && n < sizeof name / sizeof *name; n++)
        name[n] = table[n].name;
    const char *closest = ds_closest(text, n, name);
    return DS_FAIL(DS_ERR_USAGE, "%s: unknown option '%s'%s%s%s; see descent help %s", command,
                   text, closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
                   closest == NULL ? "" : "')", command);
}

static ds_status args_add(arg_list *list, const char *text)
{
    DS_CHECK(list->n < DS_ARGS_MAX, DS_ERR_USAGE, "more than %d arguments", DS_ARGS_MAX);
    list->item[list->n++] = text;
    return DS_OK;
}

static ds_status args_store(const arg *option, const char *value)
{
    if (option->kind == ARG_LIST)
        return args_add(option->out, value);
    if (option->kind == ARG_FLAG)
        *(bool *)option->out = true;
    else
        *(const char **)option->out = value;
    return DS_OK;
}

/* One option at argv[*i]; moves *i over its value. */
static ds_status args_option(int argc, char **argv, int *i, const arg *table)
{
    const char *text = argv[*i], *equals = strchr(text, '=');
    const arg *option =
        args_find(table, text, equals == NULL ? strlen(text) : (size_t)(equals - text));
    if (option == NULL)
        return args_unknown(argv[0], table, text);
    bool wants = option->kind == ARG_VALUE || option->kind == ARG_LIST;
    DS_CHECK(option->kind != ARG_FLAG || equals == NULL, DS_ERR_USAGE, "%s: %s takes no value",
             argv[0], option->name);
    DS_CHECK(option->kind != ARG_OPTIONAL || equals == NULL || equals[1] != '\0', DS_ERR_USAGE,
             "%s: %s= is followed by nothing: expected a value, or %s alone", argv[0], option->name,
             option->name);
    if (equals != NULL)
        return args_store(option, equals + 1);
    if (!wants)
        return args_store(option, "");
    DS_CHECK(*i + 1 < argc, DS_ERR_USAGE, "%s: %s needs a value", argv[0], option->name);
    return args_store(option, argv[++*i]);
}

ds_status args_parse(int argc, char **argv, const arg *table, arg_list *positional)
{
    bool options = true;
    positional->n = 0;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            DS_TRY(args_option(argc, argv, &i, table));
        else
            DS_TRY(args_add(positional, argv[i]));
    }
    return DS_OK;
}

ds_status args_expect(const char *command, const arg_list *positional, size_t least, size_t most,
                      const char *what)
{
    DS_CHECK(positional->n >= least, DS_ERR_USAGE, "%s: expected %s; see descent help %s", command,
             what, command);
    DS_CHECK(positional->n <= most, DS_ERR_USAGE,
             "%s: unexpected argument '%s'; expected %s; see descent help %s", command,
             positional->item[most < positional->n ? most : 0], what, command);
    return DS_OK;
}
