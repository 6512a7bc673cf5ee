/* descent race: the same config under several optimizers, rates and batches, side by side. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "gnuplot.h"
#include "race.h"
#include "shared_text.h"
#include "textplot.h"

enum { RACE_MAP_ROWS = 22, RACE_MAP_MARGIN = 12, RACE_MAP_MOST = 110 };

static ds_status race_value(const char *option, const char *text, double least, double most,
                            double *out)
{
    char *end = NULL;
    double x = strtod(text, &end);
    DS_CHECK(*text != '\0' && *end == '\0' && x >= least && x <= most, DS_ERR_USAGE,
             "race: %s '%s'; expected a number from %g to %g", option, text, least, most);
    *out = x;
    return DS_OK;
}

static ds_status race_parse(race *self, int argc, char **argv)
{
    const arg table[] = {{"--set", ARG_LIST, &self->set},
                         {"--optimizers", ARG_VALUE, &self->optimizers},
                         {"--lr", ARG_VALUE, &self->rates},
                         {"--batch", ARG_VALUE, &self->batches},
                         {"--steps", ARG_VALUE, &self->steps_text},
                         {"--target", ARG_VALUE, &self->target_text},
                         {"--points", ARG_VALUE, &self->points_text},
                         {"--out", ARG_VALUE, &self->out},
                         {"--json", ARG_FLAG, &self->json},
                         {NULL, ARG_FLAG, NULL}};
    double points = 0;
    DS_TRY(args_parse(argc, argv, table, &self->positional));
    DS_TRY(args_expect("race", &self->positional, 1, 1, "one config file"));
    if (self->steps_text != NULL)
        DS_TRY(race_value("--steps", self->steps_text, 1, 1e9, &self->steps));
    self->steps = floor(self->steps);
    if (self->target_text != NULL)
        DS_TRY(race_value("--target", self->target_text, -1e300, 1e300, &self->target));
    if (self->points_text != NULL)
        DS_TRY(race_value("--points", self->points_text, 1, 1e6, &points));
    self->points = (size_t)points;
    DS_CHECK(self->set.n + 8 <= DS_ARGS_MAX, DS_ERR_USAGE, "race: too many --set");
    return DS_OK;
}

static ds_status race_axes(race *self)
{
    ds_auto(ds_config) config = NULL;
    DS_TRY(ds_config_create(self->text, self->path, self->set.n, self->set.item, &config));
    const ds_value *name = ds_value_find(config->problem, "name");
    snprintf(self->subject, sizeof self->subject, "%s",
             name != NULL && name->text != NULL ? name->text : config->name);
    return race_plan(self, config);
}

/* Rank 0. */
static ds_status race_report(const race *self)
{
    size_t terminal = textplot_columns();
    size_t columns = terminal > RACE_MAP_MARGIN + 20 ? terminal - RACE_MAP_MARGIN : 20;
    race_surface surface = {0};
    ds_status st = DS_OK;
    if (self->json)
        st = race_json(self, stdout);
    else if (self->plane)
        st = race_surface_make(self, columns < RACE_MAP_MOST ? columns : RACE_MAP_MOST,
                               RACE_MAP_ROWS, &surface);
    if (st == DS_OK && !self->json)
        st = race_print(self, self->plane ? &surface : NULL);
    free(surface.level);
    if (st == DS_OK && self->out != NULL)
        st = race_write(self);
    if (st == DS_OK && self->out != NULL && !self->json)
        printf("written: %s%s\n", self->out,
               race_out_is_picture(self->out) ? "" : "/race.json, race.csv, race.svg");
    return st;
}

static ds_status race_whole(ds_world *world, race *self)
{
    DS_TRY(shared_config_text(world, self->positional.item[0], &self->text, sizeof self->path,
                              self->path));
    DS_TRY(ds_agree(world, race_axes(self)));
    bool writes = ds_world_rank(world) == 0 && self->out != NULL;
    DS_TRY(ds_follow(world, writes ? race_room(self) : DS_OK));
    DS_TRY(race_all(world, self));
    return ds_follow(world, ds_world_rank(world) == 0 ? race_report(self) : DS_OK);
}

static ds_status race_begin(ds_world *world, int argc, char **argv)
{
    race *self = calloc(1, sizeof *self);
    race_run *run = calloc(RACE_MOST, sizeof *run);
    ds_status st =
        self != NULL && run != NULL ? DS_OK : DS_FAIL(DS_ERR_NOMEM, "out of memory for the race");
    st = ds_agree(world, st);
    if (st == DS_OK) {
        self->run = run;
        self->target = (double)NAN;
        st = race_parse(self, argc, argv);
    }
    if (st == DS_OK)
        st = race_whole(world, self);
    if (self != NULL)
        free(self->text);
    free(self);
    free(run);
    return st;
}

extern const ds_command ds_command_race;
const ds_command ds_command_race = {
    .name = "race",
    .usage = "race CONFIG [--optimizers A,B,...] [--lr R,...] [--batch B,...] [--steps N] "
             "[--target LOSS]\n"
             "       [--points N] [--set KEY=VALUE]... [--out DIR] [--json]",
    .help =
        "Trains CONFIG, a problem or a network, once for each combination of optimizer, rate and\n"
        "batch, and compares the losses over all training data: final and lowest, the step that\n"
        "reached the target, the best run; runs that diverge are marked. With two parameters the\n"
        "paths are drawn over the loss. Under mpirun the ranks share out the runs: the same "
        "figures.\n"
        "  --optimizers A,B,... their names, with default options; the config's own keeps its own\n"
        "  --lr R,...           learning rates; those that search their steps have none\n"
        "  --batch B,...        samples of a step: 1 is single-sample descent\n"
        "  --steps N            length of each run; default: the config's\n"
        "  --target LOSS        default: 99 % of the way from the first loss to the lowest\n"
        "  --points N           losses taken in a run; default 50 (10 of more than 10000 "
        "samples),\n"
        "                       of functions each step\n"
        "  --out DIR            race.json, race.csv and, with gnuplot, race.svg; or FILE.svg|png:\n"
        "                       the picture alone\n"
        "  --json               all of it on standard output\n",
    .computes = true,
    .run = race_begin,
};
