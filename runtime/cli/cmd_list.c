/* descent list: the registries, straight from their tables. */
#include <stdio.h>
#include <string.h>

#include "descent/dataset.h"
#include "descent/model.h"
#include "descent/preset.h"
#include "descent/sync.h"

#include "args.h"
#include "command.h"

static void list_options(const ds_option *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        char type[96];
        const char *fallback = table->fallback;
        printf("      %-14s %-28s %s%s%s%s\n", table->name,
               ds_option_describe(table, sizeof type, type), table->help,
               fallback == NULL ? "" : " (default ", fallback == NULL ? "" : fallback,
               fallback == NULL ? "" : ")");
    }
}

static void list_member(const char *name, const char *help, const ds_option *options)
{
    printf("  %-14s %s\n", name, help);
    list_options(options);
}

static void list_layers(void)
{
    list_member("every layer", "takes these too", ds_layer_common_options());
    for (size_t i = 0; ds_layer_at(i) != NULL; i++)
        list_member(ds_layer_at(i)->name, ds_layer_at(i)->help, ds_layer_at(i)->options);
}

static void list_presets(void)
{
    for (size_t i = 0; ds_preset_at(i) != NULL; i++)
        list_member(ds_preset_at(i)->name, ds_preset_at(i)->help, ds_preset_at(i)->options);
}

static void list_losses(void)
{
    for (size_t i = 0; ds_loss_at(i) != NULL; i++)
        list_member(ds_loss_at(i)->name, ds_loss_at(i)->help, ds_loss_at(i)->options);
}

static void list_problems(void)
{
    list_member("every function", "takes these too", ds_problem_function_options());
    for (size_t i = 0; ds_problem_at(i) != NULL; i++)
        list_member(ds_problem_at(i)->name, ds_problem_at(i)->help, ds_problem_at(i)->options);
}

static void list_optimizers(void)
{
    for (size_t i = 0; ds_optim_at(i) != NULL; i++)
        list_member(ds_optim_at(i)->name, ds_optim_at(i)->help, ds_optim_at(i)->options);
}

static void list_schedules(void)
{
    for (size_t i = 0; ds_lr_at(i) != NULL; i++)
        list_member(ds_lr_at(i)->name, ds_lr_at(i)->help, ds_lr_at(i)->options);
}

static void list_formats(void)
{
    for (size_t i = 0; ds_format_at(i) != NULL; i++)
        list_member(ds_format_at(i)->name, ds_format_at(i)->help, ds_format_at(i)->options);
}

static void list_strategies(void)
{
    for (size_t i = 0; ds_sync_name(i) != NULL; i++)
        list_member(ds_sync_name(i), ds_sync_help(i), ds_config_strategy_options(ds_sync_name(i)));
}

static void list_codecs(void)
{
    list_member("none", "floats as they are", NULL);
    for (size_t i = 0; ds_codec_at(i) != NULL; i++)
        list_member(ds_codec_at(i)->name, ds_codec_at(i)->help, ds_codec_at(i)->options);
}

static void list_kernels(void)
{
    for (size_t i = 0; ds_kernels_at(i) != NULL; i++)
        list_member(ds_kernels_at(i)->name, ds_kernels_at(i)->help, NULL);
}

static void list_keys(void)
{
    ds_config_key key;
    for (size_t i = 0; ds_config_key_at(i, &key); i++)
        printf("  %-32s %-28s %s%s%s%s\n", key.path, key.type, key.help,
               key.fallback[0] == '\0' ? "" : " (default ", key.fallback,
               key.fallback[0] == '\0' ? "" : ")");
}

static const struct {
    const char *name;
    void (*print)(void);
} list_table[] = {
    {"keys", list_keys},           {"layers", list_layers},     {"presets", list_presets},
    {"losses", list_losses},       {"problems", list_problems}, {"optimizers", list_optimizers},
    {"schedules", list_schedules}, {"formats", list_formats},   {"strategies", list_strategies},
    {"codecs", list_codecs},       {"kernels", list_kernels}};
enum { LIST_TABLES = sizeof list_table / sizeof *list_table };

static ds_status list_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    arg_list positional;
    const arg table[] = {{NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("list", &positional, 0, 1,
                       "at most one of keys, layers, losses, optimizers, ..."));
    const char *names[LIST_TABLES], *wanted = positional.n == 0 ? NULL : positional.item[0];
    bool met = false;
    for (size_t i = 0; i < LIST_TABLES; i++) {
        names[i] = list_table[i].name;
        if (wanted != NULL && strcmp(wanted, names[i]) != 0)
            continue;
        met = true;
        printf("%s:\n", names[i]);
        list_table[i].print();
    }
    const char *closest = met ? NULL : ds_closest(wanted, LIST_TABLES, names);
    DS_CHECK(
        met, DS_ERR_USAGE,
        "list: unknown '%s'%s%s%s; expected keys, layers, presets, losses, problems, optimizers, "
        "schedules, "
        "formats, strategies, codecs or kernels",
        wanted, closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
        closest == NULL ? "" : "')");
    return DS_OK;
}

extern const ds_command ds_command_list;
const ds_command ds_command_list = {
    .name = "list",
    .usage =
        "list [keys|layers|presets|losses|problems|optimizers|schedules|formats|strategies|codecs|"
        "kernels]",
    .help = "Everything a config can name, with options, types, ranges and defaults; keys: the "
            "config's own.\n",
    .run = list_run,
};
