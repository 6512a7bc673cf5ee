/* descent help [COMMAND], --help, --version. Runs without MPI. */
#include <stdio.h>
#include <string.h>

#include "descent/value.h"

#include "command.h"

#define HELP_VERSION "descent " DS_VERSION "\n"

static void help_overview(void)
{
    printf(HELP_VERSION
           "Distributed training over MPI: the same bits on any number of ranks, exact resume.\n\n"
           "usage: descent COMMAND ...          one rank\n"
           "       mpirun -n N descent COMMAND ...\n\n");
    for (size_t i = 0; ds_command_at(i) != NULL; i++)
        printf("  %s\n", ds_command_at(i)->usage);
    printf("\ndescent help COMMAND says more. Exit codes: 0 done, 1 a check says no, 2 usage or "
           "config, 3 data,\n"
           "4 checkpoint, 5 diverged, 70 internal, 74 cannot write, 75 stopped but resumable.\n");
}

static ds_status help_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    if (argc > 0 && strcmp(argv[argc - 1], "--version") == 0) {
        printf(HELP_VERSION);
        return DS_OK;
    }
    const char *name = argc > 1 ? argv[1] : "";
    if (name[0] == '\0' || name[0] == '-') {
        help_overview();
        return DS_OK;
    }
    const ds_command *command = ds_command_find(name);
    DS_CHECK(command != NULL, DS_ERR_USAGE, "help: unknown command '%s'; descent help lists them",
             name);
    printf("usage: descent %s\n\n%s", command->usage, command->help);
    return DS_OK;
}

extern const ds_command ds_command_help;
const ds_command ds_command_help = {
    .name = "help",
    .usage = "help [COMMAND]",
    .help = "Lists the commands, or says what one does.\n",
    .run = help_run,
};
