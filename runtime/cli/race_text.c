/* A race in the terminal: the table, and where there are two parameters a map: shades change from
 * one contour to the next, letters are the paths of the runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "race.h"
#include "textplot.h"

enum { TEXT_MAP_COLUMNS = 76, TEXT_MAP_ROWS = 22, TEXT_BANDS = 14, TEXT_ROWS = 14 };

/* a to z, then A to Z, and so on. */
static char text_letter(size_t r)
{
    return r % 52 < 26 ? (char)('a' + r % 52) : (char)('A' + r % 52 - 26);
}

static void text_line(const race *self, size_t i)
{
    const race_run *r = &self->run[i];
    char lr[32] = "-", target[32] = "-", best[32];
    if (r->lr > 0)
        snprintf(lr, sizeof lr, "%.6g", r->lr);
    if (r->reached >= 0)
        snprintf(target, sizeof target, "%lld", (long long)r->reached);
    snprintf(best, sizeof best, "%.6g", ds_shown(r->best));
    printf("%c %c %-12s %9s %7lld %8lld %10lld %13.6g %13s %8lld %9s%s%s\n",
           i == self->best ? '*' : ' ', text_letter(i), r->optimizer, lr, (long long)r->batch,
           (long long)r->steps, (long long)r->samples, ds_shown(r->last), best,
           (long long)r->best_step, target, r->diverged ? "  " : "", r->diverged ? r->why : "");
}

static void text_table(const race *self)
{
    const race_run *first = &self->run[0];
    printf("%s: %zu run%s from loss %.6g\n", self->subject, self->n, self->n == 1 ? "" : "s",
           first->first);
    printf("    %-12s %9s %7s %8s %10s %13s %13s %8s %9s\n", "optimizer", "lr", "batch", "steps",
           "samples", "final loss", "best loss", "at step", "target at");
    for (size_t i = 0; i < self->n; i++)
        text_line(self, i);
    if (self->best < self->n)
        printf("best: %s, loss %.6g; target: loss %.6g%s\n", self->run[self->best].name,
               self->run[self->best].last, self->target,
               self->target_text == NULL ? ", 99 % of the way to the lowest" : "");
    else
        printf("all runs diverged: lower the rates (--lr)\n");
}

/* ---- the map -------------------------------------------------------------------------------- */

static void text_cell(const race_surface *s, char *map, double x, double y, char letter)
{
    double u = (x - s->x0) / (s->x1 - s->x0) * (double)(s->columns - 1);
    double v = (y - s->y0) / (s->y1 - s->y0) * (double)(s->rows - 1);
    if (u >= -0.5 && v >= -0.5 && u < (double)s->columns - 0.5 && v < (double)s->rows - 0.5)
        map[(size_t)(v + 0.5) * s->columns + (size_t)(u + 0.5)] = letter;
}

static void text_path(const race_surface *s, const race_run *run, char letter, char *map)
{
    for (size_t k = 1; k < run->n; k++)
        for (int part = 0; part <= 16; part++) {
            double t = part / 16.0;
            text_cell(s, map, run->w[k - 1][0] + t * (run->w[k][0] - run->w[k - 1][0]),
                      run->w[k - 1][1] + t * (run->w[k][1] - run->w[k - 1][1]), letter);
        }
}

static ds_status text_map(const race *self, const race_surface *s)
{
    char *map = malloc(s->columns * s->rows);
    DS_CHECK(map != NULL, DS_ERR_NOMEM, "out of memory for a picture");
    for (size_t i = 0; i < s->columns * s->rows; i++)
        map[i] = (size_t)(s->level[i] * TEXT_BANDS) % 2 == 0 ? ' ' : '.';
    for (size_t r = self->n; r-- > 0;)
        text_path(s, &self->run[r], text_letter(r), map);
    text_cell(s, map, self->run[0].w[0][0], self->run[0].w[0][1], '@');
    printf("%s upwards, %s to the right; @ is the start, shades change with the loss\n",
           self->axis[1], self->axis[0]);
    for (size_t j = s->rows; j-- > 0;) {
        double y = s->y0 + (s->y1 - s->y0) * (double)j / (double)(s->rows - 1);
        if (j % 7 == 0)
            printf("%9.3g |", y);
        else
            printf("%9s |", "");
        printf("%.*s\n", (int)s->columns, map + j * s->columns);
    }
    printf("%10s+", "");
    for (size_t i = 0; i < s->columns; i++)
        putchar('-');
    printf("\n%11s%-*.3g%*.3g\n", "", (int)s->columns / 2, s->x0,
           (int)(s->columns - s->columns / 2), s->x1);
    free(map);
    return DS_OK;
}

/* Of runs that did not diverge; on a logarithmic scale where that shows more. */
static ds_status text_curves(const race *self)
{
    textplot_curve curve[RACE_MOST];
    char name[RACE_MOST][RACE_NAME + 4];
    double(*x)[RACE_POINTS] = calloc(self->n, sizeof *x), low = (double)INFINITY, high = 0;
    size_t n = 0;
    DS_CHECK(x != NULL, DS_ERR_NOMEM, "out of memory for the curves");
    for (size_t r = 0; r < self->n; r++) {
        const race_run *run = &self->run[r];
        if (run->diverged || run->n == 0)
            continue;
        for (size_t k = 0; k < run->n; k++) {
            x[n][k] = (double)run->step[k];
            low = fmin(low, run->loss[k]);
            high = fmax(high, run->loss[k]);
        }
        snprintf(name[n], sizeof name[n], "%c %s", text_letter(r), run->name);
        curve[n] = (textplot_curve){name[n], run->n, x[n], run->loss};
        n++;
    }
    ds_status st = DS_OK;
    bool log = low >= 0 && high > 20 * low && high > 0;
    if (n > 0) {
        printf("loss over steps%s\n", log ? ", logarithmic" : "");
        st = textplot_draw(n, curve, log ? TEXTPLOT_LOG_Y : 0, textplot_columns(), TEXT_ROWS,
                           stdout);
    }
    free(x);
    return st;
}

ds_status race_print(const race *self, const race_surface *surface)
{
    if (surface != NULL)
        DS_TRY(text_map(self, surface));
    DS_TRY(text_curves(self));
    text_table(self);
    return DS_OK;
}
