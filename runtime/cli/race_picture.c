/* A race as a picture: where there are two parameters, contours of the loss with the paths of the
 * runs; beside it, or alone, the loss over steps. */
#include <math.h>
#include <stdio.h>

#include "gnuplot.h"
#include "race.h"

enum { PICTURE_COLORS = 12, PICTURE_LEVELS = 14 };

/* Colours the colour-blind can tell apart (Okabe and Ito's, and some between). */
static const char *const picture_color[PICTURE_COLORS] = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
    "#5b4b8a", "#000000", "#8c564b", "#7f9c00", "#b2182b", "#666666"};

typedef struct picture {
    const race *race;
    const race_surface *surface; /* NULL: curves only */
} picture;

static void picture_grid(const race_surface *s, FILE *file)
{
    fprintf(file, "$grid << END\n");
    for (size_t j = 0; j < s->rows; j++) {
        for (size_t i = 0; i < s->columns; i++)
            fprintf(file, "%.9g %.9g %.5f\n",
                    s->x0 + (s->x1 - s->x0) * (double)i / (double)(s->columns - 1),
                    s->y0 + (s->y1 - s->y0) * (double)j / (double)(s->rows - 1),
                    s->level[j * s->columns + i]);
        fprintf(file, "\n");
    }
    fprintf(file,
            "END\nset contour base\nunset surface\nset cntrparam levels incremental %.5f,%.5f,1\n"
            "set table $lines\nsplot $grid using 1:2:3\nunset table\nunset contour\n",
            1.0 / PICTURE_LEVELS, 1.0 / PICTURE_LEVELS);
}

static void picture_data(const race *self, FILE *file)
{
    for (size_t r = 0; r < self->n; r++) {
        const race_run *run = &self->run[r];
        fprintf(file, "$run%zu << END\n", r);
        for (size_t k = 0; k < run->n; k++)
            fprintf(file, "%lld %.17g %.9g %.9g\n", (long long)run->step[k], run->loss[k],
                    run->w[k][0], run->w[k][1]);
        fprintf(file, "END\n");
    }
}

static void picture_plane(const picture *self, FILE *file)
{
    const race *of = self->race;
    const race_surface *s = self->surface;
    fprintf(file, "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\nunset logscale\n", s->x0, s->x1,
            s->y0, s->y1);
    fprintf(file, "set xlabel ");
    gnuplot_quote(of->axis[0], file);
    fprintf(file, "\nset ylabel ");
    gnuplot_quote(of->axis[1], file);
    fprintf(file,
            "\nset palette defined (0 '#f7fbff', 0.5 '#d6e6f4', 1 '#9db8d2')\nunset colorbox\n"
            "unset grid\nset key off\nplot $grid using 1:2:3 with image notitle, \\\n"
            "$lines using 1:2 with lines lw 0.6 lc rgb '#7a93ad' notitle");
    for (size_t r = 0; r < of->n; r++) {
        const char *color = picture_color[r % PICTURE_COLORS];
        const race_run *run = &of->run[r];
        const char *dash = run->diverged ? " dt 3" : "";
        fprintf(file, ", \\\n$run%zu using 3:4 with linespoints pt 7 ps 0.25 lw 1.5%s lc rgb '%s'",
                r, dash, color);
        if (run->n > 0 && !run->diverged)
            fprintf(file,
                    ", \\\n'+' using (%.9g):(%.9g) every ::0::0 with points pt 7 ps 1 lc rgb '%s'",
                    run->w[run->n - 1][0], run->w[run->n - 1][1], color);
    }
    fprintf(file,
            ", \\\n'+' using (%.9g):(%.9g) every ::0::0 with points pt 6 ps 1.6 lw 2 lc rgb "
            "'#000000'\n",
            of->run[0].w[0][0], of->run[0].w[0][1]);
}

/* Losses up to where it began, or the highest of those that did not diverge: others would dwarf
 * them. */
static void picture_curves(const race *self, FILE *file)
{
    double low = (double)INFINITY, high = -(double)INFINITY, end = 1;
    for (size_t r = 0; r < self->n; r++)
        for (size_t k = 0; k < self->run[r].n; k++) {
            double loss = self->run[r].loss[k];
            low = fmin(low, loss);
            high = k == 0 || !self->run[r].diverged ? fmax(high, loss) : high;
            end = fmax(end, (double)self->run[r].step[k]);
        }
    bool log = low > 0 || (low >= 0 && high > 0);
    fprintf(file,
            "set xrange [0:%.9g]\nset yrange [%s:%.9g]\n%s logscale y\nset xlabel 'step'\n"
            "set ylabel 'loss'\nset grid lt 1 lw 0.5 lc rgb '#dddddd'\n"
            "set key outside above maxcols 3 left Left reverse samplen 2\nplot ",
            end, log && low < 1e-14 ? "1e-14" : "*", high > low ? high : low + 1,
            log ? "set" : "unset");
    for (size_t r = 0; r < self->n; r++) {
        const race_run *run = &self->run[r];
        fprintf(file, "%s$run%zu using 1:2 with lines lw 1.6%s lc rgb '%s' title ",
                r == 0 ? "" : ", \\\n", r, run->diverged ? " dt 3" : "",
                picture_color[r % PICTURE_COLORS]);
        char title[RACE_NAME + 24];
        snprintf(title, sizeof title, "%s%s", run->name, run->diverged ? " (diverged)" : "");
        gnuplot_quote(title, file);
    }
    fprintf(file, "\n");
}

static void picture_script(const void *context, bool svg, FILE *file)
{
    const picture *self = context;
    size_t rows = (self->race->n + 2) / 3;
    picture_data(self->race, file);
    if (self->surface != NULL)
        picture_grid(self->surface, file);
    fprintf(file, "set encoding utf8\nset terminal %s noenhanced size %d,%zu\n",
            svg ? "svg background 'white' font 'sans,13'" : "pngcairo font 'sans,10'",
            self->surface != NULL ? 1280 : 800, 560 + 18 * rows);
    fprintf(file, "set tics nomirror out\nset border 3\nset format '%%g'\n");
    if (self->surface != NULL) {
        fprintf(file, "set multiplot layout 1,2\n");
        picture_plane(self, file);
    }
    picture_curves(self->race, file);
}

ds_status race_picture(const race *self, const race_surface *surface, const char *out)
{
    return gnuplot_make(picture_script, &(picture){self, surface}, out);
}
