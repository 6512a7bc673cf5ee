/* descent plot: the curves of runs, in the terminal or as a picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "descent/value.h"

#include "args.h"
#include "command.h"
#include "gnuplot.h"

enum { PLOT_ROWS = 18, PLOT_ROWS_OF_MANY = 12, PLOT_KINDS = 8, PLOT_OF_ALL = 3 };

static const char *const plot_kind[PLOT_KINDS + 1] = {"loss",      "accuracy",    "lr",
                                                      "grad_norm", "weight_norm", "update_ratio",
                                                      "dead",      "sharpness",   "all"};

typedef struct plot {
    const char *out, *what;
    bool log;
    arg_list run;
    size_t n; /* panels */
    gnuplot_panel panel[PLOT_KINDS];
    curves *set[PLOT_KINDS];
} plot;

static ds_status plot_known(const char *what)
{
    for (size_t i = 0; i <= PLOT_KINDS; i++)
        if (strcmp(plot_kind[i], what) == 0)
            return DS_OK;
    const char *closest = ds_closest(what, PLOT_KINDS + 1, plot_kind);
    return DS_FAIL(DS_ERR_USAGE,
                   "plot: --what '%s' is none of loss, accuracy, lr, grad_norm, weight_norm, "
                   "update_ratio, dead, sharpness, all%s%s%s",
                   what, closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
                   closest == NULL ? "" : "')");
}

static const char *plot_source(const char *kind)
{
    if (strcmp(kind, "accuracy") == 0)
        return "; it comes from evaluations of classes";
    if (strcmp(kind, "sharpness") == 0)
        return "; it comes with train.sharpness_every";
    bool layers = strcmp(kind, "weight_norm") == 0 || strcmp(kind, "update_ratio") == 0 ||
                  strcmp(kind, "dead") == 0;
    return layers ? "; it comes with train.log_layers" : "";
}

/* The curves of one kind; where it alone was asked for, each run must have some. */
static ds_status plot_read(plot *self, const char *kind, bool alone)
{
    curves *set = calloc(1, sizeof *set);
    DS_CHECK(set != NULL, DS_ERR_NOMEM, "out of memory for the curves");
    self->set[self->n] = set;
    self->panel[self->n] = (gnuplot_panel){
        .what = kind, .set = set, .log = self->log && strcmp(kind, "accuracy") != 0};
    self->n++; /* freed from now on */
    for (size_t i = 0; i < self->run.n; i++) {
        size_t before = set->n;
        DS_TRY(curves_read(self->run.item[i], kind, set));
        DS_CHECK(set->n > before || !alone, DS_ERR_USAGE, "plot: %s holds no %s yet%s",
                 self->run.item[i], kind, plot_source(kind));
    }
    if (set->n == 0) {
        free(set);
        self->set[--self->n] = NULL;
    }
    return DS_OK;
}

static ds_status plot_draw(plot *self)
{
    size_t n_curves = 0;
    for (size_t i = 0; i < self->n; i++)
        n_curves += self->set[i]->n;
    if (self->out != NULL) {
        DS_TRY(gnuplot_draw(self->n, self->panel, self->out));
        printf("%s: %s, %zu curves\n", self->out, self->what, n_curves);
        return DS_OK;
    }
    for (size_t i = 0; i < self->n; i++) {
        const gnuplot_panel *p = &self->panel[i];
        printf("%s over steps%s\n", p->what, p->log ? ", logarithmic" : "");
        DS_TRY(textplot_draw(p->set->n, p->set->curve, p->log ? TEXTPLOT_LOG_Y : 0,
                             textplot_columns(), self->n > 1 ? PLOT_ROWS_OF_MANY : PLOT_ROWS,
                             stdout));
    }
    return DS_OK;
}

static ds_status plot_curves(plot *self)
{
    bool all = strcmp(self->what, "all") == 0;
    for (size_t i = 0; i < PLOT_KINDS; i++)
        if ((all && i < PLOT_OF_ALL) || strcmp(self->what, plot_kind[i]) == 0)
            DS_TRY(plot_read(self, plot_kind[i], !all));
    DS_CHECK(self->n > 0, DS_ERR_USAGE, "plot: %s holds no numbers yet", self->run.item[0]);
    return plot_draw(self);
}

static ds_status plot_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    plot self = {0};
    const arg table[] = {{"--out", ARG_VALUE, &self.out},
                         {"--what", ARG_VALUE, &self.what},
                         {"--log", ARG_FLAG, &self.log},
                         {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &self.run));
    DS_TRY(args_expect("plot", &self.run, 1, DS_ARGS_MAX, "one or more run directories"));
    if (self.what == NULL)
        self.what = self.out != NULL ? "all" : "loss";
    if (strcmp(self.what, "rate") == 0)
        self.what = "lr";
    DS_TRY(plot_known(self.what));
    if (self.out != NULL)
        DS_TRY(gnuplot_check(self.out));
    ds_status st = plot_curves(&self);
    for (size_t i = 0; i < self.n; i++) {
        curves_free(self.set[i]);
        free(self.set[i]);
    }
    return st;
}

extern const ds_command ds_command_plot;
const ds_command ds_command_plot = {
    .name = "plot",
    .usage = "plot RUN... [--what loss|accuracy|lr|all|...] [--log] [--out FILE.svg|png]",
    .help =
        "Draw the curves of one or more runs over their steps: train from the steps, the\n"
        "other splits from the evaluations. RUN is a run's directory, also of one under way.\n"
        "  --what WHAT          loss, accuracy, lr (the rate), or all that there is, one below\n"
        "                       the other; loss in the terminal and all in a picture by default\n"
        "                       Also grad_norm, weight_norm, update_ratio, dead (a curve a layer:\n"
        "                       train.log_layers) and sharpness beside 2 / lr\n"
        "  --log                all but accuracies on a logarithmic scale\n"
        "  --out FILE.svg|png   a picture by gnuplot, not characters in the terminal\n",
    .run = plot_run,
};
