/* A command of the program: one file, cmd_NAME.c, and one line, X(NAME), in commands.list. */
#ifndef DS_COMMAND_H
#define DS_COMMAND_H

#include "descent/world.h"

typedef struct ds_command {
    const char *name;
    const char *usage; /* "train CONFIG [--set KEY=VALUE]..." */
    const char
        *help; /* the text of `descent help NAME` and `descent NAME --help`, lines ending in \n */
    void (*prepare)(void); /* before MPI starts, on each rank; may be NULL */
    bool computes; /* runs on all ranks; else main calls it on rank 0 only, with a world of one */
    /* argv[0] is the command's name. Results go to stdout by rank 0; errors are returned, never
     * printed. */
    ds_status (*run)(ds_world *world, int argc, char **argv);
} ds_command;

/* Local. The i-th command, NULL past the end; by name, NULL if unknown. */
const ds_command *ds_command_at(size_t i);
const ds_command *ds_command_find(const char *name);

#endif
