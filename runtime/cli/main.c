/* The program: finds the command, gives it a world, prints its error once, ends with its code. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/log.h"
#include "descent/session.h"
#include "descent/value.h"

#include "command.h"

#define X(name) extern const ds_command ds_command_##name;
#include "commands.list"
#undef X

static const ds_command *const main_table[] = {
#define X(name) &ds_command_##name,
#include "commands.list"
#undef X
};
enum { MAIN_COMMANDS = sizeof main_table / sizeof *main_table };

const ds_command *ds_command_at(size_t i)
{
    return i < MAIN_COMMANDS ? main_table[i] : NULL;
}

const ds_command *ds_command_find(const char *name)
{
    for (size_t i = 0; i < MAIN_COMMANDS; i++)
        if (strcmp(main_table[i]->name, name) == 0)
            return main_table[i];
    return NULL;
}

static void main_log(void *context, ds_log_level level, const char *line)
{
    (void)context;
    fprintf(stderr, "descent: %s%s\n", level == DS_LOG_WARN ? "warning: " : "", line);
}

static void main_log_level(void)
{
    const char *level = getenv("DESCENT_LOG");
    bool debug = level != NULL && strcmp(level, "debug") == 0,
         info = level != NULL && strcmp(level, "info") == 0;
    ds_log_to(main_log, NULL, debug ? DS_LOG_DEBUG : info ? DS_LOG_INFO : DS_LOG_WARN);
}

static ds_status main_unknown(const char *name)
{
    const char *names[MAIN_COMMANDS];
    for (size_t i = 0; i < MAIN_COMMANDS; i++)
        names[i] = main_table[i]->name;
    const char *closest = ds_closest(name, MAIN_COMMANDS, names);
    return DS_FAIL(DS_ERR_USAGE, "unknown command '%s'%s%s%s; descent help lists them", name,
                   closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
                   closest == NULL ? "" : "')");
}

static bool main_wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* The command on all ranks, or on rank 0 alone with a world of its own; either way all ranks learn
 * the result. */
static ds_status main_run(ds_world *world, const ds_command *command, int argc, char **argv)
{
    if (command->computes)
        return command->run(world, argc, argv);
    ds_status mine = DS_OK;
    if (ds_world_rank(world) == 0) {
        ds_auto(ds_world) alone = NULL;
        mine = ds_world_self(&alone);
        if (mine == DS_OK)
            mine = command->run(alone, argc, argv);
    }
    int code = (int)mine;
    DS_TRY(ds_world_broadcast(world, &code, sizeof code, 0));
    return ds_world_rank(world) == 0 ? mine : (ds_status)code;
}

static void main_complain(ds_status status)
{
    /* A check that says no (`diff`, `gradcheck`) has found what it was asked for: no error. */
    fprintf(stderr, "descent: %s%s\n", status == DS_NO ? "" : "error: ", ds_last_error());
    const char *level = getenv("DESCENT_LOG");
    if (level != NULL && strcmp(level, "debug") == 0)
        fputs(ds_last_trace(), stderr);
}

/* What was printed must have been written, but a lost progress line stops no run: train checks its
 * own files. */
static ds_status main_flush(const ds_command *command, ds_status status)
{
    bool good = fflush(stdout) == 0 && !ferror(stdout);
    if (good || status != DS_OK || strcmp(command->name, "train") == 0)
        return status;
    return DS_FAIL(DS_ERR_WRITE, "cannot write standard output: %s", strerror(errno));
}

/* What has no world learns from the launcher which rank it is: 0 speaks. */
static bool main_speaks(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (rank == NULL)
        rank = getenv("PMI_RANK"); /* other MPIs' mpirun */
    if (rank == NULL)
        rank = getenv("PMIX_RANK"); /* srun --mpi=pmix; Open MPI alone sets it too */
    if (rank == NULL)
        rank = getenv("SLURM_PROCID"); /* srun */
    return rank == NULL || strcmp(rank, "0") == 0;
}

static int main_in_world(const ds_command *command, int argc, char **argv)
{
    ds_auto(ds_world) world = NULL;
    ds_status status = ds_session_world(&world);
    if (status == DS_OK) {
        if (ds_world_rank(world) == 0)
            main_log_level();
        status = main_run(world, command, argc, argv);
        if (ds_world_rank(world) == 0)
            status = main_flush(command, status);
    }
    /* Errors are agreed, so rank 0 speaks for all; an MPI failure is this rank's alone and ends the
     * job. Ranks that srun started apart have no world, but one thing to say. */
    bool speaks = status == DS_ERR_MPI || (world != NULL ? ds_world_rank(world) == 0
                                                         : status != DS_ERR_USAGE || main_speaks());
    if (status != DS_OK && speaks)
        main_complain(status);
    fflush(NULL);
    if (status == DS_ERR_MPI)
        ds_session_abort(ds_exit_code(status));
    return ds_exit_code(status);
}

/* srun ends all tasks when the first one fails: those with nothing to say leave rank 0 the time to
 * say it. */
static int main_refuse(ds_status status)
{
    if (status != DS_OK && main_speaks())
        main_complain(status);
    else if (status != DS_OK)
        sleep(2);
    return ds_exit_code(status);
}

static int main_without_world(int argc, char **argv)
{
    const ds_command *help = ds_command_find("help");
    if (!main_speaks() && freopen("/dev/null", "w", stdout) == NULL)
        return ds_exit_code(DS_ERR_WRITE);
    return main_refuse(main_flush(help, help->run(NULL, argc, argv)));
}

/* A file that is opened while 0, 1 or 2 is closed would take its place, and what is printed would
 * end in that file: they are held by files that cannot be read, or written. */
static void main_hold_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            return;
}

static bool main_done;

/* A plug-in or a library that calls exit(0), as Fortran's STOP does, must not look like success. */
static void main_left(int code, void *context)
{
    (void)context;
    if (main_done || code != 0)
        return;
    fputs("descent: error: exit() was called before the command had ended: by a plug-in, or a "
          "library\n",
          stderr);
    _exit(ds_exit_code(DS_ERR_INTERNAL));
}

int main(int argc, char **argv)
{
    main_hold_standard_files();
    if (argc < 2)
        return main_refuse(DS_FAIL(DS_ERR_USAGE, "no command; descent help lists them"));
    const char *name = argv[1];
    char *help_argv[] = {argv[0], argv[1], NULL};
    if (strcmp(name, "--version") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return main_without_world(2, help_argv);
    if (strcmp(name, "help") == 0)
        return main_without_world(argc - 1, argv + 1);
    const ds_command *command = ds_command_find(name);
    if (command == NULL)
        return main_refuse(main_unknown(name));
    if (main_wants_help(argc - 1, argv + 1))
        return main_without_world(2, help_argv);
    signal(SIGXFSZ, SIG_IGN); /* a file too large is a write error like another */
    if (command->prepare != NULL)
        command->prepare();
    ds_status begun = ds_session_begin(&argc, &argv);
    if (begun != DS_OK)
        return main_refuse(begun);
    on_exit(main_left, NULL);
    int code = main_in_world(command, argc - 1, argv + 1);
    ds_session_end();
    main_done = true;
    return code;
}
