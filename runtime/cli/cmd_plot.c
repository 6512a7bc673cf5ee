/* descent plot: the curves of runs, in the terminal or as a picture. */
#include <stdlib.h>
#include <string.h>

#include "descent/value.h"

#include "args.h"
#include "command.h"
#include "gnuplot.h"

enum { PLOT_ROWS = 18 };

static ds_status plot_known(const char *what)
{
    static const char *const name[] = {"loss", "lr", "accuracy"};
    size_t n = sizeof name / sizeof *name;
    for (size_t i = 0; i < n; i++)
        if (strcmp(name[i], what) == 0)
            return DS_OK;
    const char *closest = ds_closest(what, n, name);
    return DS_FAIL(DS_ERR_USAGE, "plot: --what '%s' is none of loss, lr, accuracy%s%s%s", what,
                   closest == NULL ? "" : " (closest: '", closest == NULL ? "" : closest,
                   closest == NULL ? "" : "')");
}

static ds_status plot_curves(const arg_list *run, const char *what, const char *out, curves *set)
{
    for (size_t i = 0; i < run->n; i++) {
        size_t before = set->n;
        DS_TRY(curves_read(run->item[i], what, set));
        DS_CHECK(set->n > before, DS_ERR_USAGE, "plot: %s holds no %s yet%s", run->item[i], what,
                 strcmp(what, "accuracy") == 0 ? "; it comes from evaluations of classes" : "");
    }
    if (out != NULL) {
        DS_TRY(gnuplot_draw(set, what, out));
        printf("%s: %s, %zu curves\n", out, what, set->n);
        return DS_OK;
    }
    printf("%s over steps\n", what);
    return textplot_draw(set->n, set->curve, textplot_columns(), PLOT_ROWS, stdout);
}

static ds_status plot_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    const char *out = NULL, *what = "loss";
    arg_list run;
    const arg table[] = {
        {"--out", ARG_VALUE, &out}, {"--what", ARG_VALUE, &what}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &run));
    DS_TRY(args_expect("plot", &run, 1, DS_ARGS_MAX, "one or more run directories"));
    DS_TRY(plot_known(what));
    if (out != NULL)
        DS_TRY(gnuplot_check(out));
    curves *set = calloc(1, sizeof *set);
    DS_CHECK(set != NULL, DS_ERR_NOMEM, "out of memory for the curves");
    ds_status st = plot_curves(&run, what, out, set);
    curves_free(set);
    free(set);
    return st;
}

extern const ds_command ds_command_plot;
const ds_command ds_command_plot = {
    .name = "plot",
    .usage = "plot RUN... [--what loss|lr|accuracy] [--out FILE.svg|png]",
    .help = "Draw the curves of one or more runs over their steps: train from the steps, the\n"
            "other splits from the evaluations. RUN is a run's directory, also of one under way.\n"
            "  --what loss|lr|accuracy   what to draw; loss by default\n"
            "  --out FILE.svg|png        a picture by gnuplot, not characters in the terminal\n",
    .run = plot_run,
};
