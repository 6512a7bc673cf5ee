/* descent lr-find: which learning rate? A sweep of the config's own run from a tiny rate to a huge
 * one, a factor a step, on any number of ranks with the same bits. Nothing is written but a picture
 * on demand. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/power.h"
#include "descent/trainer.h"

#include "args.h"
#include "command.h"
#include "gnuplot.h"
#include "lr_range.h"
#include "shared_text.h"

enum { LR_FIND_ROWS = 16, LR_FIND_MOST = 100000, LR_FIND_EDITS = 6 };

typedef struct lr_find {
    arg_list set, positional;
    const char *from_text, *to_text, *steps_text, *smooth_text, *out;
    bool json;
    double from, to, ratio;
    size_t steps;
    lr_range range;
    double *rate, *loss; /* (steps) */
} lr_find;

static ds_status lr_find_number(const char *option, const char *text, double least, double most,
                                double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    DS_CHECK(*text != '\0' && *end == '\0' && *out >= least && *out <= most, DS_ERR_USAGE,
             "lr-find: %s '%s'; expected a number from %g to %g", option, text, least, most);
    return DS_OK;
}

static ds_status lr_find_parse(lr_find *self, int argc, char **argv)
{
    const arg table[] = {{"--set", ARG_LIST, &self->set},
                         {"--from", ARG_VALUE, &self->from_text},
                         {"--to", ARG_VALUE, &self->to_text},
                         {"--steps", ARG_VALUE, &self->steps_text},
                         {"--smooth", ARG_VALUE, &self->smooth_text},
                         {"--out", ARG_VALUE, &self->out},
                         {"--json", ARG_FLAG, &self->json},
                         {NULL, ARG_FLAG, NULL}};
    double steps = 0;
    DS_TRY(args_parse(argc, argv, table, &self->positional));
    DS_TRY(args_expect("lr-find", &self->positional, 1, 1, "one config file"));
    DS_TRY(lr_find_number("--from", self->from_text, 1e-30, 1e30, &self->from));
    DS_TRY(lr_find_number("--to", self->to_text, 1e-30, 1e30, &self->to));
    DS_TRY(lr_find_number("--steps", self->steps_text, 10, LR_FIND_MOST, &steps));
    DS_TRY(lr_find_number("--smooth", self->smooth_text, 0, 0.999, &self->range.smooth));
    self->steps = (size_t)steps;
    DS_CHECK((double)self->steps == steps, DS_ERR_USAGE,
             "lr-find: --steps '%s'; expected a whole number", self->steps_text);
    DS_CHECK(self->from < self->to, DS_ERR_USAGE,
             "lr-find: --from %g is not below --to %g: the rate grows", self->from, self->to);
    DS_CHECK(self->set.n + LR_FIND_EDITS <= DS_ARGS_MAX, DS_ERR_USAGE, "lr-find: too many --set");
    self->ratio = pow(self->to / self->from, 1 / (double)(self->steps - 1));
    DS_CHECK(self->ratio <= 10, DS_ERR_USAGE,
             "lr-find: %zu steps from %g to %g grow more than tenfold each; expected more --steps",
             self->steps, self->from, self->to);
    return self->out == NULL ? DS_OK : gnuplot_check(self->out);
}

/* The rate to find is one that the optimizer has. */
static ds_status lr_find_has_rate(const lr_find *self, const char *text, const char *path)
{
    ds_auto(ds_config) config = NULL;
    DS_TRY(ds_config_create(text, path, self->set.n, self->set.item, &config));
    DS_CHECK(config->optimizer->reach != DS_REACH_MODEL, DS_ERR_USAGE,
             "lr-find: optimizer %s has no learning rate to find: it searches its steps",
             config->optimizer->name);
    return DS_OK;
}

/* The config with the sweep in place of its schedule and its end. */
static ds_status lr_find_open(ds_world *world, lr_find *self, ds_trainer **out)
{
    char path[4096], edit[LR_FIND_EDITS][96], *text = NULL, number[32];
    const char *set[DS_ARGS_MAX];
    /* One config for all ranks: pow may differ between unlike CPUs. */
    DS_TRY(ds_world_broadcast(world, &self->ratio, sizeof self->ratio, 0));
    DS_TRY(shared_config_text(world, self->positional.item[0], &text, sizeof path, path));
    snprintf(edit[0], sizeof edit[0], "optimizer.lr=%s", ds_real_text(self->from, number));
    snprintf(edit[1], sizeof edit[1], "lr={schedule: exponential, gamma: %s}",
             ds_real_text(self->ratio, number));
    snprintf(edit[2], sizeof edit[2], "train.max_steps=%zu", self->steps);
    snprintf(edit[3], sizeof edit[3], "train.epochs=0");
    snprintf(edit[4], sizeof edit[4], "train.on_nan=stop");
    snprintf(edit[5], sizeof edit[5], "stop={}");
    memcpy(set, self->set.item, self->set.n * sizeof *set);
    for (size_t i = 0; i < LR_FIND_EDITS; i++)
        set[self->set.n + i] = edit[i];
    ds_trainer_spec spec = {
        .config = text, .path = path, .n_set = self->set.n + LR_FIND_EDITS, .set = set};
    ds_status st = ds_agree(world, lr_find_has_rate(self, text, path));
    if (st == DS_OK)
        st = ds_trainer_open(world, &spec, out);
    free(text);
    return st;
}

/* Collective. Steps until the end or the divergence, which is alike on all ranks. */
static ds_status lr_find_sweep(lr_find *self, ds_trainer *trainer)
{
    lr_range *r = &self->range;
    r->loss = self->loss;
    r->diverged = LR_RANGE_NONE;
    for (size_t i = 0; i < self->steps; i++) {
        ds_outcome outcome;
        ds_status st = ds_trainer_step(trainer, &outcome);
        if (st != DS_OK && st != DS_ERR_DIVERGED)
            return st;
        self->rate[i] = self->from * ds_power(self->ratio, (int64_t)i);
        self->loss[i] = st == DS_OK ? outcome.loss : (double)NAN;
        r->n = i + 1;
        if (!lr_range_add(r))
            break;
    }
    lr_range_judge(r);
    return DS_OK;
}

static void lr_find_json_rate(const lr_find *self, cJSON *root, const char *name, long step)
{
    if (step == LR_RANGE_NONE)
        cJSON_AddNullToObject(root, name);
    else
        cJSON_AddNumberToObject(root, name, self->rate[step]);
}

static ds_status lr_find_json(const lr_find *self)
{
    const lr_range *r = &self->range;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "steps", (double)r->n);
    lr_find_json_rate(self, root, "steepest", r->steepest);
    lr_find_json_rate(self, root, "minimum", r->minimum);
    lr_find_json_rate(self, root, "diverged", r->diverged);
    if (r->steepest == LR_RANGE_NONE)
        cJSON_AddNullToObject(root, "suggested");
    else
        cJSON_AddNumberToObject(root, "suggested", self->rate[r->steepest] / 10);
    cJSON_AddNumberToObject(root, "fall", r->fall);
    cJSON_AddNumberToObject(root, "noise", r->noise);
    cJSON_AddItemToObject(root, "rate", cJSON_CreateDoubleArray(self->rate, (int)r->n));
    cJSON_AddItemToObject(root, "loss", cJSON_CreateDoubleArray(self->loss, (int)r->n));
    cJSON_AddItemToObject(root, "smoothed", cJSON_CreateDoubleArray(r->smoothed, (int)r->n));
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the report");
    puts(text);
    free(text);
    return DS_OK;
}

static void lr_find_curve(curves *set, size_t run, const char *split, size_t n, const double *x,
                          const double *y)
{
    size_t c = set->n++;
    set->run[c] = run;
    set->split[c] = split;
    set->curve[c] = (textplot_curve){set->name[c], n, x, y};
}

/* Losses and their mean, up to where it diverges, and the points as curves of one point each. */
static void lr_find_curves(const lr_find *self, curves *set)
{
    static const char *const what[] = {"steepest at", "lowest at"};
    const lr_range *r = &self->range;
    size_t n = r->diverged == LR_RANGE_NONE ? r->n : (size_t)r->diverged;
    long point[] = {r->steepest, r->minimum};
    snprintf(set->name[0], sizeof set->name[0], "loss");
    lr_find_curve(set, 5, "train", n, self->rate, self->loss);
    snprintf(set->name[1], sizeof set->name[1], "smoothed");
    lr_find_curve(set, 0, "train", n, self->rate, r->smoothed);
    for (size_t k = 0; k < 2; k++) {
        if (point[k] == LR_RANGE_NONE)
            continue;
        snprintf(set->name[set->n], sizeof set->name[0], "%s %.3g", what[k], self->rate[point[k]]);
        lr_find_curve(set, 1 + k, "point", 1, self->rate + point[k], r->smoothed + point[k]);
    }
}

static ds_status lr_find_text(const lr_find *self)
{
    const lr_range *r = &self->range;
    if (r->steepest != LR_RANGE_NONE)
        printf("steepest at rate %.3g (step %ld)\n", self->rate[r->steepest], r->steepest + 1);
    if (r->minimum != LR_RANGE_NONE)
        printf("lowest smoothed loss %.6g at rate %.3g (step %ld)\n", r->smoothed[r->minimum],
               self->rate[r->minimum], r->minimum + 1);
    if (r->diverged == LR_RANGE_NONE)
        printf("no divergence up to rate %.3g\n", self->to);
    else
        printf("diverged at rate %.3g (step %ld): %s\n", self->rate[r->diverged], r->diverged + 1,
               isfinite(self->loss[r->diverged]) ? "the smoothed loss is four times the best"
                                                 : "not finite");
    if (r->steepest != LR_RANGE_NONE)
        printf("suggested: optimizer.lr=%.3g, a tenth of the steepest point's\n",
               self->rate[r->steepest] / 10);
    return DS_OK;
}

/* Rank 0. */
static ds_status lr_find_report(const lr_find *self)
{
    curves *set = calloc(1, sizeof *set);
    DS_CHECK(set != NULL, DS_ERR_NOMEM, "out of memory for the curves");
    lr_find_curves(self, set);
    ds_status st = DS_OK;
    gnuplot_panel panel = {.what = "loss", .x = "learning rate", .set = set, .log_x = true};
    for (long i = 0; i <= self->range.minimum; i++) /* the rise would dwarf the fall */
        panel.top = fmax(panel.top, 1.3 * self->range.smoothed[i]);
    if (self->out != NULL)
        st = gnuplot_draw(1, &panel, self->out);
    if (st == DS_OK && self->out == NULL && !self->json && set->curve[1].n > 0)
        st = textplot_draw(1, &set->curve[1], TEXTPLOT_LOG_X, textplot_columns(), LR_FIND_ROWS,
                           stdout);
    free(set);
    if (st == DS_OK)
        st = self->json ? lr_find_json(self) : lr_find_text(self);
    DS_TRY(st);
    DS_CHECK(self->range.steepest != LR_RANGE_NONE, DS_NO,
             "lr-find: the loss does not fall: no rate from %g to %g lowers it by more than its "
             "noise (found %.3g, expected above four times %.3g, or half of the loss); try another "
             "range (--from, --to), more --steps or a larger batch",
             self->from, self->rate[self->range.n - 1], fmax(self->range.fall, 0),
             self->range.noise);
    return DS_OK;
}

static ds_status lr_find_all(ds_world *world, lr_find *self)
{
    ds_auto(ds_trainer) trainer = NULL;
    DS_TRY(lr_find_open(world, self, &trainer));
    DS_CHECK(ds_trainer_splits(trainer)->train != NULL, DS_ERR_USAGE,
             "lr-find: the config has no training data");
    DS_TRY(lr_find_sweep(self, trainer));
    return ds_follow(world, ds_world_rank(world) == 0 ? lr_find_report(self) : DS_OK);
}

static ds_status lr_find_run(ds_world *world, int argc, char **argv)
{
    lr_find self = {
        .from_text = "1e-7", .to_text = "10", .steps_text = "100", .smooth_text = "0.9"};
    DS_TRY(lr_find_parse(&self, argc, argv));
    bool draws = self.out != NULL && ds_world_rank(world) == 0;
    DS_TRY(ds_follow(world, draws ? gnuplot_there() : DS_OK));
    double *room = calloc(3 * self.steps, sizeof *room);
    ds_status st = room != NULL ? DS_OK : DS_FAIL(DS_ERR_NOMEM, "out of memory");
    st = ds_agree(world, st);
    if (st == DS_OK) {
        self.rate = room;
        self.loss = room + self.steps;
        self.range.smoothed = room + 2 * self.steps;
        st = lr_find_all(world, &self);
    }
    free(room);
    return st;
}

extern const ds_command ds_command_lr_find;
const ds_command ds_command_lr_find = {
    .name = "lr-find",
    .usage = "lr-find CONFIG [--set KEY=VALUE]... [--from R] [--to R] [--steps N] [--smooth B]\n"
             "          [--json] [--out FILE.svg|png]",
    .help =
        "Range test (Smith, 2017): trains CONFIG for a few steps while the rate grows from a tiny\n"
        "to a huge one, and tells where the smoothed loss falls steepest, where it is lowest, "
        "where\n"
        "it diverges (four times the best, or not finite), and a rate to begin with: a tenth of "
        "the\n"
        "steepest point's. Under mpirun the same bits. No run is written.\n"
        "  --from R, --to R     the range; 1e-7 to 10\n"
        "  --steps N            100\n"
        "  --smooth B           weight of the past in the mean of the loss; 0.9\n"
        "  --json               all rates, losses and the verdict\n"
        "  --out FILE.svg|png   the curve as a picture (gnuplot), not in the terminal\n"
        "Exit code 1 where no rate lowers the loss: from the mean of the first half of the way to\n"
        "the smoothed minimum it neither halves nor falls by more than four times its noise.\n"
        "Optimizers without a rate (lbfgs, newton): exit code 2.\n",
    .computes = true,
    .run = lr_find_run,
};
