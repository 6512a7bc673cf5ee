/* descent slurm: a batch script for a config, ready for sbatch. The text is
 * scripts/slurm/job.sbatch with its @WORDS@ filled in; whatever comes from outside is checked, or
 * quoted for the shell. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/config.h"

#include "args.h"
#include "command.h"
#include "job_time.h"
#include "shared_text.h"
#include "slurm_template.h"
#include "sweep.h"

typedef struct slurm {
    const char *nodes, *tasks, *time, *launcher, *requeue, *out; /* as given */
    arg_list set, sweeps;
    sweep sweep;
    int64_t n_nodes, n_tasks, n_requeue, threads;
    int64_t limit_s; /* 0: the partition's */
    char name[256];  /* the config's, in characters that need no quotes in an #SBATCH line */
    char program[4096], config[4096], dir[4096];
} slurm;

static ds_status slurm_count(const char *option, const char *text, int64_t least, int64_t most,
                             int64_t *out)
{
    char *end = NULL;
    long long n = isdigit((unsigned char)text[0]) ? strtoll(text, &end, 10) : -1;
    DS_CHECK(end != NULL && *end == '\0' && n >= least && n <= most, DS_ERR_USAGE,
             "slurm: %s is '%.40s', expected a whole number from %lld to %lld", option, text,
             (long long)least, (long long)most);
    *out = n;
    return DS_OK;
}

static ds_status slurm_limit(slurm *self)
{
    DS_CHECK(job_time_parse(self->time, &self->limit_s), DS_ERR_USAGE,
             "slurm: --time is '%.40s', expected D-HH:MM:SS, HH:MM:SS, MM:SS or MM, such as "
             "1-12:00:00, 02:30:00 or 90",
             self->time);
    DS_CHECK(self->limit_s > 0, DS_ERR_USAGE,
             "slurm: --time is '%.40s', expected more than no time", self->time);
    return DS_OK;
}

static ds_status slurm_check(slurm *self)
{
    DS_CHECK(self->nodes != NULL, DS_ERR_USAGE,
             "slurm: --nodes is missing, expected --nodes N; see descent help slurm");
    DS_TRY(slurm_count("--nodes", self->nodes, 1, 100000, &self->n_nodes));
    DS_TRY(slurm_count("--ntasks-per-node", self->tasks, 1, 10000, &self->n_tasks));
    DS_TRY(slurm_count("--requeue", self->requeue, 0, 1000, &self->n_requeue));
    if (self->time != NULL)
        DS_TRY(slurm_limit(self));
    DS_CHECK(strcmp(self->launcher, "mpirun") == 0 || strcmp(self->launcher, "srun") == 0,
             DS_ERR_USAGE, "slurm: --launcher is '%.40s', expected mpirun or srun", self->launcher);
    DS_CHECK(self->out == NULL || self->out[0] != '\0', DS_ERR_USAGE,
             "slurm: --out needs the name of a directory");
    return DS_OK;
}

static ds_status slurm_parse(slurm *self, int argc, char **argv, const char **config)
{
    const arg table[] = {{"--nodes", ARG_VALUE, &self->nodes},
                         {"--ntasks-per-node", ARG_VALUE, &self->tasks},
                         {"--time", ARG_VALUE, &self->time},
                         {"--launcher", ARG_VALUE, &self->launcher},
                         {"--requeue", ARG_VALUE, &self->requeue},
                         {"--set", ARG_LIST, &self->set},
                         {"--sweep", ARG_LIST, &self->sweeps},
                         {"--out", ARG_VALUE, &self->out},
                         {NULL, ARG_FLAG, NULL}};
    arg_list positional;
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("slurm", &positional, 1, 1, "one config file"));
    *config = positional.item[0];
    return slurm_check(self);
}

/* The config of point i of the sweep must be sound. */
static ds_status slurm_check_point(const slurm *self, const char *text, size_t i, ds_config **out)
{
    arg_list set = self->set;
    DS_CHECK(set.n + self->sweep.n_axes <= DS_ARGS_MAX, DS_ERR_USAGE, "slurm: more than %d edits",
             DS_ARGS_MAX);
    sweep_point(&self->sweep, i, set.item + set.n);
    ds_auto(ds_config) config = NULL;
    DS_TRY(ds_config_create(text, self->config, set.n + self->sweep.n_axes, set.item, &config));
    if (config->data.train == NULL)
        return ds_value_fail(config->root, "no training data: expected a source in data.train");
    *out = ds_steal(config);
    return DS_OK;
}

static ds_status slurm_check_points(slurm *self, const char *text, ds_config **first)
{
    DS_TRY(slurm_check_point(self, text, 0, first));
    self->threads = (*first)->compute.threads;
    for (size_t i = 1; i < self->sweep.n_points; i++) {
        ds_auto(ds_config) config = NULL;
        DS_TRY(slurm_check_point(self, text, i, &config));
        if (config->compute.threads > self->threads)
            self->threads = config->compute.threads;
    }
    return DS_OK;
}

/* What the config says: that it is sound, the run's name and place, the threads of a rank. */
static ds_status slurm_take_config(slurm *self, ds_world *world, const char *path)
{
    char *text = NULL, relative[4096];
    ds_auto(ds_config) config = NULL;
    DS_TRY(shared_config_text(world, path, &text, sizeof self->config, self->config));
    ds_status status = slurm_check_points(self, text, &config);
    free(text);
    DS_TRY(status);
    snprintf(self->name, sizeof self->name, "%s", config->name);
    for (char *p = self->name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("._+-", *p) == NULL)
            *p = '_';
    snprintf(relative, sizeof relative, "runs/%s", config->name);
    return shared_absolute(self->out != NULL ? self->out : relative, sizeof self->dir, self->dir);
}

static void slurm_find_program(slurm *self)
{
    ssize_t n = readlink("/proc/self/exe", self->program, sizeof self->program - 1);
    if (n > 0)
        self->program[n] = '\0';
    else
        snprintf(self->program, sizeof self->program, "descent");
}

/* `text` as one word of the shell. */
static void slurm_quote(FILE *out, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,+-@%";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('\'', out);
    for (; *text != '\0'; text++)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    fputc('\'', out);
}

static void slurm_print_train(const slurm *self)
{
    slurm_quote(stdout, self->program);
    printf(" train ");
    slurm_quote(stdout, self->config);
    printf(" --out \"$run\"");
    for (size_t i = 0; i < self->set.n; i++) {
        printf(" --set ");
        slurm_quote(stdout, self->set.item[i]);
    }
    printf("%s --resume", self->sweep.n_axes > 0 ? " \"${edits[@]}\"" : "");
}

/* The run's directory; of a sweep, one for each task of the array. */
static void slurm_print_run(const slurm *self)
{
    const char *edit[SWEEP_AXES];
    char name[160], dir[4352];
    if (self->sweep.n_axes == 0) {
        printf("run=");
        slurm_quote(stdout, self->dir);
        return;
    }
    printf("case ${SLURM_ARRAY_TASK_ID:-} in\n");
    for (size_t i = 0; i < self->sweep.n_points; i++) {
        sweep_name(&self->sweep, i, sizeof name, name);
        snprintf(dir, sizeof dir, "%s/%zu-%s", self->dir, i, name);
        printf("%zu) run=", i);
        slurm_quote(stdout, dir);
        printf(" edits=(");
        sweep_point(&self->sweep, i, edit);
        for (size_t a = 0; a < self->sweep.n_axes; a++) {
            printf(a == 0 ? "--set " : " --set ");
            slurm_quote(stdout, edit[a]);
        }
        printf(") ;;\n");
    }
    printf("*) echo \"descent slurm: the sweep has no task '${SLURM_ARRAY_TASK_ID:-}': expected an "
           "array of 0-%zu\" >&2; exit 2 ;;\nesac",
           self->sweep.n_points - 1);
}

/* A rank keeps its cores. Where there are more ranks than cores that is slow, but no reason to
 * fail. */
static void slurm_print_launch(const slurm *self)
{
    if (strcmp(self->launcher, "srun") == 0)
        printf("srun --mpi=pmix --cpus-per-task=%lld --cpu-bind=cores --kill-on-bad-exit=1",
               (long long)self->threads);
    else if (self->threads > 1)
        printf("mpirun --map-by slot:PE=%lld --bind-to core:overload-allowed",
               (long long)self->threads);
    else
        printf("mpirun --bind-to core:overload-allowed");
}

/* The time to save in: a tenth of the limit, from half a minute to two. */
static long long slurm_warning_s(const slurm *self)
{
    int64_t tenth = self->limit_s / 10;
    return self->limit_s == 0 || tenth > 120 ? 120 : tenth < 30 ? 30 : tenth;
}

/* The value of @WORD@; false where no such word is. */
static bool slurm_print_word(const slurm *self, const char *word, size_t n)
{
    const struct {
        const char *word;
        int64_t number;
    } numbers[] = {{"NODES", self->n_nodes},
                   {"TASKS", self->n_tasks},
                   {"THREADS", self->threads},
                   {"REQUEUE", self->n_requeue},
                   {"LAST", (int64_t)self->sweep.n_points - 1},
                   {"SECONDS", slurm_warning_s(self)}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strlen(numbers[i].word) == n && memcmp(numbers[i].word, word, n) == 0)
            return printf("%lld", (long long)numbers[i].number) > 0;
    if (n == 4 && memcmp(word, "NAME", n) == 0)
        fputs(self->name, stdout);
    else if (n == 4 && memcmp(word, "TIME", n) == 0)
        fputs(self->time, stdout);
    else if (n == 3 && memcmp(word, "RUN", n) == 0)
        slurm_print_run(self);
    else if (n == 3 && memcmp(word, "LOG", n) == 0)
        fputs(self->sweep.n_axes > 0 ? "%x-%A_%a.out" : "%x-%j.out", stdout);
    else if (n == 5 && memcmp(word, "TRAIN", n) == 0)
        slurm_print_train(self);
    else if (n == 6 && memcmp(word, "LAUNCH", n) == 0)
        slurm_print_launch(self);
    else
        return false;
    return true;
}

static void slurm_print_line(const slurm *self, const char *line)
{
    if (self->time == NULL && strstr(line, "@TIME@") != NULL) /* the partition's limit */
        return;
    if (self->sweep.n_axes == 0 && strstr(line, "@LAST@") != NULL)
        return;
    while (*line != '\0') {
        size_t n = line[0] == '@' ? strspn(line + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;
        if (n > 0 && line[n + 1] == '@' && slurm_print_word(self, line + 1, n))
            line += n + 2;
        else
            putchar(*line++);
    }
    putchar('\n');
}

static ds_status slurm_run(ds_world *world, int argc, char **argv)
{
    slurm self = {.tasks = "1", .launcher = "mpirun", .requeue = "3"};
    const char *config = NULL;
    ds_auto(ds_arena) arena = NULL;
    DS_TRY(slurm_parse(&self, argc, argv, &config));
    DS_TRY(ds_arena_create("a sweep", &arena));
    DS_TRY(sweep_parse(arena, &self.sweeps, &self.set, &self.sweep));
    DS_TRY(slurm_take_config(&self, world, config));
    slurm_find_program(&self);
    for (size_t i = 0; slurm_template[i] != NULL; i++)
        slurm_print_line(&self, slurm_template[i]);
    return DS_OK;
}

extern const ds_command ds_command_slurm;
const ds_command ds_command_slurm = {
    .name = "slurm",
    .usage = "slurm CONFIG --nodes N [--ntasks-per-node K] [--time T] [--launcher mpirun|srun] "
             "[--requeue R]\n"
             "        [--set KEY=VALUE]... [--sweep KEY=V1,V2,...]... [--out DIR]",
    .help =
        "Prints a batch script that trains CONFIG on a Slurm cluster: descent slurm ... "
        ">job.sbatch; sbatch job.sbatch\n"
        "\n"
        "  --nodes N             hosts\n"
        "  --ntasks-per-node K   ranks on each (default 1); compute.threads of CONFIG are the "
        "cores of a rank\n"
        "  --time T              D-HH:MM:SS, HH:MM:SS, MM:SS or MM (default: the partition's "
        "limit)\n"
        "  --launcher NAME       mpirun (the default) or srun, which then runs with --mpi=pmix\n"
        "  --requeue R           queue again, but at most R times in a row without a new step "
        "(default 3)\n"
        "  --set, --out          as for train; DIR must be on a file system that all hosts share\n"
        "  --sweep KEY=V1,V2,... a job array with a run for each value, in DIR/0-KEY=V1, "
        "DIR/1-KEY=V2, ...;\n"
        "                        with several --sweep for each combination\n"
        "\n"
        "The run saves before the time limit, queues again and goes on by itself, on whichever "
        "hosts it gets. docs/slurm.md\n"
        "says more.\n",
    .run = slurm_run,
};
