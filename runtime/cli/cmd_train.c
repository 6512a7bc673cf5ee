/* descent train: the directory, the trainer, the run, its end. Phases that touch files of the run
 * belong to rank 0 and are agreed on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descent/checkpoint.h"
#include "descent/log.h"
#include "descent/trainer.h"

#include "args.h"
#include "command.h"
#include "job_time.h"
#include "lifeline.h"
#include "shared_text.h"

typedef struct train {
    ds_world *world;
    const char *config_path, *out, *resume, *init;
    arg_list set;
    bool overwrite, dry_run, quiet;
    bool holds;      /* the directory held a run before this one */
    char *text;      /* of the config */
    char path[4096]; /* of the config, absolute */
    char dir[4096];  /* of the run */
    char from[4096]; /* the checkpoint to go on from, or "" */
    int lock;        /* rank 0's; -1 */
    ds_trainer *trainer;
    ds_report *report; /* rank 0's */
    lifeline life;
} train;

static ds_status train_parse(train *self, int argc, char **argv)
{
    const arg table[] = {{"--set", ARG_LIST, &self->set},
                         {"--out", ARG_VALUE, &self->out},
                         {"--resume", ARG_OPTIONAL, &self->resume},
                         {"--init", ARG_VALUE, &self->init},
                         {"--overwrite", ARG_FLAG, &self->overwrite},
                         {"--dry-run", ARG_FLAG, &self->dry_run},
                         {"--quiet", ARG_FLAG, &self->quiet},
                         {NULL, ARG_FLAG, NULL}};
    arg_list positional;
    DS_TRY(args_parse(argc, argv, table, &positional));
    DS_TRY(args_expect("train", &positional, 1, 1,
                       "one config file (a checkpoint is joined on: --resume=FILE)"));
    self->config_path = positional.item[0];
    DS_CHECK(self->resume == NULL || !self->overwrite, DS_ERR_USAGE,
             "train: --resume and --overwrite exclude each other");
    DS_CHECK(self->out == NULL || self->out[0] != '\0', DS_ERR_USAGE,
             "train: --out needs the name of a directory");
    DS_CHECK(self->init == NULL || self->init[0] != '\0', DS_ERR_USAGE,
             "train: --init needs a checkpoint");
    return DS_OK;
}

/* Rank 0: where the run lives, and whether it may. */
static ds_status train_place(train *self)
{
    ds_auto(ds_config) config = NULL;
    DS_TRY(ds_config_create(self->text, self->path, self->set.n, self->set.item, &config));
    if (config->data.train == NULL && config->problem == NULL)
        return ds_value_fail(config->root,
                             "no training data: expected a source in data.train, such as "
                             "{format: csv, path: FILE, target: COLUMN}");
    char relative[4096];
    if (self->out != NULL)
        snprintf(relative, sizeof relative, "%s", self->out);
    else
        snprintf(relative, sizeof relative, "runs/%s", config->name);
    DS_TRY(shared_absolute(relative, sizeof self->dir, self->dir));
    if (self->dry_run)
        return DS_OK;
    ds_run_mode mode = self->resume != NULL ? DS_RUN_RESUME
                       : self->overwrite    ? DS_RUN_OVERWRITE
                                            : DS_RUN_NEW;
    DS_TRY(ds_run_dir_open(self->dir, mode, &self->holds, &self->lock));
    if (!self->holds)
        lifeline_may_write(&self->life, self->dir);
    return DS_OK;
}

static ds_status train_find_checkpoint(train *self)
{
    if (self->resume == NULL || self->dry_run)
        return DS_OK;
    if (self->resume[0] != '\0')
        return ds_checkpoint_resolve(self->resume, sizeof self->from, self->from);
    bool found = false;
    DS_TRY(ds_checkpoint_newest(self->world, self->dir, sizeof self->from, self->from, &found));
    if (!found)
        self->from[0] = '\0';
    return DS_OK;
}

static ds_status train_open(train *self)
{
    ds_trainer_spec spec = {.config = self->text,
                            .path = self->path,
                            .n_set = self->set.n,
                            .set = self->set.item,
                            .checkpoint = self->from[0] != '\0' ? self->from : NULL,
                            .resume = self->from[0] != '\0'};
    DS_TRY(ds_trainer_open(self->world, &spec, &self->trainer));
    if (self->init == NULL || spec.resume) /* a resumed run has its weights */
        return DS_OK;
    char path[4096];
    DS_TRY(ds_agree(self->world, ds_checkpoint_resolve(self->init, sizeof path, path)));
    return ds_trainer_init_from(self->trainer, path);
}

static ds_status train_announce(train *self)
{
    const ds_plan *plan = ds_trainer_plan(self->trainer);
    if (self->from[0] != '\0')
        return ds_report_resume(self->report, ds_trainer_steps(self->trainer), plan->ranks,
                                self->from);
    char numerics[512];
    ds_numerics_text(ds_trainer_numerics(self->trainer), sizeof numerics, numerics);
    ds_run_facts facts = {.name = ds_trainer_config(self->trainer)->name,
                          .ranks = plan->ranks,
                          .hosts = ds_world_hosts(self->world),
                          .shards = plan->shards,
                          .parameters =
                              ds_layout_elements(ds_model_layout(ds_trainer_model(self->trainer))),
                          .samples = plan->samples,
                          .batch = plan->batch,
                          .total_steps = plan->total_steps,
                          .numerics = numerics,
                          .lr_note = ds_trainer_config(self->trainer)->lr_note,
                          .seed = ds_trainer_config(self->trainer)->seed};
    return ds_report_start(self->report, &facts);
}

/* Rank 0: the run's small files. An older run goes only now that the new one stands. */
static ds_status train_report(train *self)
{
    char *text = NULL;
    if (self->overwrite)
        DS_TRY(ds_run_dir_clear(self->dir));
    DS_TRY(ds_config_text(ds_trainer_config(self->trainer), &text));
    ds_status status = ds_run_dir_config(self->dir, text);
    free(text);
    DS_TRY(status);
    ds_report_spec spec = {.dir = self->dir,
                           .quiet = self->quiet,
                           .total_steps = ds_trainer_plan(self->trainer)->total_steps,
                           .stop = lifeline_stop(),
                           .from_step =
                               self->from[0] != '\0' ? ds_trainer_steps(self->trainer) : -1};
    DS_TRY(ds_report_create(&spec, &self->report));
    char warning[512];
    bool blas = strcmp(ds_trainer_numerics(self->trainer)->blas_version, "none") != 0;
    if (blas && ds_numerics_warning(sizeof warning, warning) != NULL)
        ds_log(DS_LOG_WARN, "%s", warning);
    return train_announce(self);
}

static ds_status train_fit(train *self)
{
    bool first = ds_world_rank(self->world) == 0;
    if (ds_trainer_finished(self->trainer) && shared_run_is_done(self->world, self->dir)) {
        if (first && !self->quiet)
            printf("%s is finished: nothing to do\n", self->dir);
        return DS_OK;
    }
    /* Later checkpoints are of another course of the run: the next --resume must not take them. */
    int64_t from = self->from[0] != '\0' ? ds_trainer_steps(self->trainer) : -1;
    DS_TRY(ds_checkpoint_drop_after(self->world, self->dir, from));
    DS_TRY(ds_follow(self->world, first ? train_report(self) : DS_OK));
    lifeline_may_write(&self->life, self->dir);
    ds_fit_spec spec = {.dir = self->dir,
                        .report = self->report,
                        .stop = lifeline_stop(),
                        .killed_ns = lifeline_killed_ns(),
                        .end_ns = first ? job_time_end_ns() : 0};
    const char *reason = "";
    ds_status status = ds_trainer_fit(self->trainer, &spec, &reason);
    const char *state = status == DS_OK ? "done" : status == DS_STOPPED ? "resumable" : "failed";
    char why[2048];
    snprintf(why, sizeof why, "%s", status == DS_OK ? reason : ds_last_error());
    int64_t step = status == DS_STOPPED ? ds_trainer_saved_step(self->trainer)
                                        : ds_trainer_steps(self->trainer);
    lifeline_end(&self->life);
    ds_report_close(self->report, state, ds_exit_code(status), step < 0 ? 0 : step, why);
    return status == DS_OK ? DS_OK : ds_fail(status, __FILE__, __LINE__, "%s", why);
}

static ds_status train_dry_run(train *self)
{
    ds_status mine = DS_OK;
    const ds_model *model = ds_trainer_model(self->trainer);
    if (ds_world_rank(self->world) == 0)
        mine = ds_plan_report(ds_trainer_plan(self->trainer), ds_trainer_config(self->trainer),
                              ds_model_layout(model), model, stdout);
    return ds_follow(self->world, mine);
}

static ds_status train_all(train *self)
{
    bool first = ds_world_rank(self->world) == 0;
    DS_TRY(lifeline_begin(&self->life, self->world));
    DS_TRY(shared_config_text(self->world, self->config_path, &self->text, sizeof self->path,
                              self->path));
    DS_TRY(ds_follow(self->world, first ? train_place(self) : DS_OK));
    DS_TRY(ds_world_broadcast(self->world, self->dir, sizeof self->dir, 0));
    DS_TRY(ds_agree(self->world, train_find_checkpoint(self)));
    DS_TRY(train_open(self));
    self->life.trainer = self->trainer;
    return self->dry_run ? train_dry_run(self) : train_fit(self);
}

static ds_status train_run(ds_world *world, int argc, char **argv)
{
    train self = {.world = world, .lock = -1};
    DS_TRY(train_parse(&self, argc, argv));
    ds_status status = train_all(&self);
    lifeline_end(&self.life);
    /* A failure after the directory was taken, but before the report stood, shows in status.json
     * too. */
    if (status != DS_OK && self.lock >= 0 && self.report == NULL && !self.holds) {
        char why[2048];
        snprintf(why, sizeof why, "%s", ds_last_error());
        if (ds_status_file_write(self.dir, "failed", ds_exit_code(status), 0, why) != DS_OK)
            ds_log(DS_LOG_DEBUG, "%s", ds_last_error());
        status = ds_fail(status, __FILE__, __LINE__, "%s", why);
    }
    ds_report_destroy(&self.report);
    ds_trainer_destroy(&self.trainer);
    free(self.text);
    if (self.lock >= 0)
        ds_run_unlock(self.lock);
    return status;
}

extern const ds_command ds_command_train;
const ds_command ds_command_train = {
    .name = "train",
    .usage = "train CONFIG [--set KEY=VALUE]... [--out DIR] [--resume[=CHECKPOINT]] [--overwrite] "
             "[--init=CHECKPOINT]\n"
             "        [--dry-run] [--quiet]",
    .help =
        "Trains what CONFIG (YAML) describes, on one rank or under mpirun on many: the final "
        "parameters are the same bits.\n"
        "\n"
        "  --set KEY=VALUE     change the config by path: optimizer.lr=0.01, "
        "model.layers.0.dense.units=64\n"
        "  --out DIR           where the run lives (default runs/NAME): config.yaml, "
        "metrics.jsonl, status.json,\n"
        "                      checkpoints/, links latest and best\n"
        "  --resume            go on from the newest good checkpoint of DIR; start where there is "
        "none yet\n"
        "  --resume=CHECKPOINT go on from that one\n"
        "  --overwrite         remove the run that DIR holds and start anew\n"
        "  --init=CHECKPOINT   start a new run from these weights, where names and shapes match; "
        "with --resume only where\n"
        "                      there is nothing to go on from\n"
        "  --dry-run           print the plan: layers, shards by rank, buckets, memory, bytes on "
        "the wire\n"
        "  --quiet             nothing on the terminal; the files are written all the same\n"
        "\n"
        "INT, TERM and USR1 stop the run at the next step with a checkpoint and exit code 75. "
        "USR2 prints what\n"
        "each rank is doing. A rank that hangs (watch.timeout, seconds) is named and the run ends "
        "with 75.\n"
        "DESCENT_LOG=debug says more.\n",
    .prepare = lifeline_catch_signals,
    .computes = true,
    .run = train_run,
};
