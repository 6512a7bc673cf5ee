/* descent inspect: what is in a checkpoint. A damaged one is shown as far as it can be trusted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/log.h"
#include "descent/value.h"

#include "args.h"
#include "command.h"
#include "inspect.h"

size_t inspect_count(const ds_checkpoint *c, const char *group, size_t *n_tensors)
{
    size_t elements = 0;
    *n_tensors = 0;
    for (size_t i = 0; i < ds_checkpoint_n(c); i++) {
        ds_tensor_info info = ds_checkpoint_tensor(c, i);
        if (strncmp(info.path, group, strlen(group)) != 0)
            continue;
        elements += ds_shape_elements(&info.shape);
        ++*n_tensors;
    }
    return elements;
}

/* The path nearest to a misspelled one, a parameter's without its group; NULL if none is near. */
static const char *inspect_closest(const ds_checkpoint *c, const char *name)
{
    size_t n = ds_checkpoint_n(c);
    const char **names = calloc(n + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < n; i++) {
        const char *path = ds_checkpoint_tensor(c, i).path, *group = "/parameters/";
        bool short_form = name[0] != '/' && strncmp(path, group, strlen(group)) == 0;
        names[i] = short_form ? path + strlen(group) : path + (name[0] != '/');
    }
    const char *found = names == NULL ? NULL : ds_closest(name, n, names);
    free(names);
    return found;
}

/* The tensor of this path; "dense1/weight" and "dense1.weight" mean the parameter. */
static ds_status inspect_find(const ds_checkpoint *c, const char *name, size_t *out)
{
    char path[1200];
    size_t n = ds_checkpoint_n(c);
    *out = ds_checkpoint_find(c, name);
    for (int k = 0; k < 3 && *out == n; k++) {
        snprintf(path, sizeof path, "%s%.1000s", k == 0 ? "/" : "/parameters/", name);
        for (char *p = path; k == 2 && *p != '\0'; p++)
            if (*p == '.')
                *p = '/';
        *out = ds_checkpoint_find(c, path);
    }
    const char *closest = *out < n ? NULL : inspect_closest(c, name);
    DS_CHECK(*out < n, DS_ERR_USAGE,
             "inspect: no tensor '%s' here%s%s%s; `descent inspect` without --tensor lists all %zu",
             name, closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
             closest == NULL ? "" : "')", n);
    return DS_OK;
}

static ds_status inspect_file(const char *argument, const inspect_options *o)
{
    char path[4096], damage[1200];
    bool good = false;
    ds_auto(ds_checkpoint) c = NULL;
    DS_TRY(ds_checkpoint_resolve(argument, sizeof path, path));
    DS_TRY(ds_checkpoint_salvage(path, &c, &good));
    snprintf(damage, sizeof damage, "%s", good ? "" : ds_last_error());
    if (o->tensor != NULL) {
        size_t i;
        DS_TRY(inspect_find(c, o->tensor, &i));
        DS_TRY(inspect_values(c, i, o));
        if (!good)
            ds_log(DS_LOG_WARN, "%s; this tensor is whole", damage);
        return DS_OK;
    }
    inspect_subject subject = {c, path, damage, o->histogram};
    DS_TRY(o->json ? inspect_json(&subject) : inspect_tree(&subject));
    return good ? DS_OK : DS_FAIL(DS_ERR_CHECKPOINT, "%s", damage);
}

static ds_status inspect_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    inspect_options o = {0};
    arg_list path;
    const arg table[] = {{"--json", ARG_FLAG, &o.json},
                         {"--histogram", ARG_FLAG, &o.histogram},
                         {"--tensor", ARG_VALUE, &o.tensor},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &path));
    DS_TRY(args_expect("inspect", &path, 1, 1, "one checkpoint"));
    return inspect_file(path.item[0], &o);
}

const ds_command ds_command_inspect = {
    .name = "inspect",
    .usage = "inspect CKPT [--histogram] [--json] [--tensor NAME]",
    .help =
        "Show what a checkpoint holds: the run's attributes, each tensor's shape, norm, least,\n"
        "largest and mean value. A damaged file is shown as far as it can be trusted (exit 4).\n"
        "CKPT is a file or a run's directory (its latest checkpoint).\n"
        "  --histogram     how each tensor's values lie: 40 equal bins from the least to the "
        "largest\n"
        "  --json          the same as JSON; texts in full\n"
        "  --tensor NAME   values of one tensor, such as dense1/weight; all of them with --json\n",
    .run = inspect_run,
};
