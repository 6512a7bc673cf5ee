/* Curves on a grid of dots. With UTF-8 a cell is a Braille character of 2 x 4 dots, coloured on a
 * terminal; else, and where several curves could not be told apart, a cell shows its curve's mark.
 * Neighbouring points are joined by straight lines. */
#include "textplot.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TEXTPLOT_MARGIN = 11, TEXTPLOT_COLORS = 6 };

static const char textplot_marks[] = "*+ox#@%&";

typedef struct textplot {
    size_t columns, rows; /* cells */
    size_t wide, high;    /* dots a cell */
    double x0, x1, y0, y1;
    uint8_t *dots, *owner; /* (rows, columns) */
    bool color;
    unsigned scale;
} textplot;

size_t textplot_columns(void)
{
    struct winsize size = {0};
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

bool textplot_utf8(void)
{
    static const char *const name[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const char *value = getenv(name[i]);
        if (value == NULL || *value == '\0')
            continue;
        const char *set = strchr(value, '.');
        return set != NULL &&
               (strncasecmp(set, ".UTF-8", 6) == 0 || strncasecmp(set, ".utf8", 5) == 0);
    }
    return false;
}

void textplot_bars(size_t n, const size_t *count, FILE *file)
{
    static const char *const block[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[] = {".", ":", "-", "=", "+", "*", "#", "@"};
    const char *const *bar = textplot_utf8() ? block : ascii;
    size_t most = 1;
    for (size_t i = 0; i < n; i++)
        most = count[i] > most ? count[i] : most;
    for (size_t i = 0; i < n; i++) {
        size_t height = (size_t)ceil((double)count[i] / (double)most * 8);
        fputs(height == 0 ? " " : bar[height < 8 ? height - 1 : 7], file);
    }
}

/* A number on its axis; NaN: it has no place there. */
static double textplot_place(const textplot *p, unsigned axis, double x)
{
    return (p->scale & axis) == 0 ? x : x > 0 ? log10(x) : (double)NAN;
}

static double textplot_number(const textplot *p, unsigned axis, double place)
{
    return (p->scale & axis) == 0 ? place : pow(10, place);
}

static void textplot_range(size_t n_curves, const textplot_curve *curve, textplot *p)
{
    p->x0 = p->y0 = (double)INFINITY;
    p->x1 = p->y1 = -(double)INFINITY;
    for (size_t c = 0; c < n_curves; c++) {
        for (size_t i = 0; i < curve[c].n; i++) {
            double x = textplot_place(p, TEXTPLOT_LOG_X, curve[c].x[i]);
            double y = textplot_place(p, TEXTPLOT_LOG_Y, curve[c].y[i]);
            if (isnan(x) || isnan(y))
                continue;
            p->x0 = fmin(p->x0, x);
            p->x1 = fmax(p->x1, x);
            p->y0 = fmin(p->y0, y);
            p->y1 = fmax(p->y1, y);
        }
    }
    if (p->x0 > p->x1) /* nothing has a place */
        p->x0 = p->x1 = p->y0 = p->y1 = 0;
    if (!(p->y1 - p->y0 > 1e-290)) { /* a level line lies in the middle */
        double room = fabs(p->y0) > 0 ? fabs(p->y0) / 2 : 1;
        p->y0 -= room;
        p->y1 += room;
    }
    if (!(p->x1 - p->x0 > 1e-290))
        p->x1 = p->x0 + 1;
}

static void textplot_dot(textplot *p, double x, double y, uint8_t owner)
{
    static const uint8_t bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    size_t i = (size_t)lround(x), j = p->rows * p->high - 1 - (size_t)lround(y);
    size_t cell = j / p->high * p->columns + i / p->wide;
    p->dots[cell] |= bit[j % p->high][i % p->wide];
    p->owner[cell] = owner;
}

static void textplot_line(textplot *p, const textplot_curve *curve, uint8_t owner)
{
    double x_scale = (double)(p->columns * p->wide - 1) / (p->x1 - p->x0);
    double y_scale = (double)(p->rows * p->high - 1) / (p->y1 - p->y0);
    double x = (double)NAN, y = (double)NAN;
    for (size_t i = 0; i < curve->n; i++) {
        double u = (textplot_place(p, TEXTPLOT_LOG_X, curve->x[i]) - p->x0) * x_scale;
        double v = (textplot_place(p, TEXTPLOT_LOG_Y, curve->y[i]) - p->y0) * y_scale;
        bool gap = isnan(u) || isnan(v);
        double du = isnan(x) ? 0 : u - x, dv = isnan(y) ? 0 : v - y;
        x = gap ? (double)NAN : u;
        y = gap ? (double)NAN : v;
        if (gap)
            continue;
        size_t n = 1 + (size_t)fmax(fabs(du), fabs(dv));
        for (size_t k = 1; k <= n; k++) {
            double back = 1 - (double)k / (double)n;
            textplot_dot(p, u - back * du, v - back * dv, owner);
        }
    }
}

static void textplot_color(const textplot *p, size_t owner, FILE *file)
{
    static const int color[TEXTPLOT_COLORS] = {36, 33, 35, 32, 31, 34};
    if (p->color)
        fprintf(file, "\033[%dm", color[owner % TEXTPLOT_COLORS]);
}

static void textplot_cell(const textplot *p, size_t cell, FILE *file)
{
    uint8_t dots = p->dots[cell], owner = p->owner[cell];
    if (dots == 0) {
        fputc(' ', file);
        return;
    }
    textplot_color(p, owner, file);
    if (p->wide == 1)
        fputc(textplot_marks[owner % (sizeof textplot_marks - 1)], file);
    else /* U+2800 + dots */
        fprintf(file, "\xe2%c%c", 0xa0 + (dots >> 6), 0x80 + (dots & 0x3f));
    if (p->color)
        fputs("\033[0m", file);
}

static void textplot_frame(const textplot *p, FILE *file)
{
    size_t step = p->rows > 8 ? (p->rows - 1) / 4 : p->rows - 1;
    for (size_t r = 0; r < p->rows; r++) {
        bool number = r % step == 0 || r + 1 == p->rows;
        if (r % step == 0 && r + 1 != p->rows && p->rows - 1 - r < step)
            number = false;
        double y = p->y1 - (p->y1 - p->y0) * (double)r / (double)(p->rows - 1);
        if (number)
            fprintf(file, "%*.4g |", TEXTPLOT_MARGIN - 2, textplot_number(p, TEXTPLOT_LOG_Y, y));
        else
            fprintf(file, "%*s|", TEXTPLOT_MARGIN - 1, "");
        size_t last = p->columns;
        while (last > 0 && p->dots[r * p->columns + last - 1] == 0)
            last--;
        for (size_t c = 0; c < last; c++)
            textplot_cell(p, r * p->columns + c, file);
        fputc('\n', file);
    }
    fprintf(file, "%*s+", TEXTPLOT_MARGIN - 1, "");
    for (size_t c = 0; c < p->columns; c++)
        fputc('-', file);
    fprintf(file, "\n%*s%-*.6g%*.6g\n", TEXTPLOT_MARGIN, "", (int)(p->columns / 2),
            textplot_number(p, TEXTPLOT_LOG_X, p->x0), (int)(p->columns - p->columns / 2),
            textplot_number(p, TEXTPLOT_LOG_X, p->x1));
}

static void textplot_legend(const textplot *p, size_t n_curves, const textplot_curve *curve,
                            FILE *file)
{
    for (size_t c = 0; c < n_curves; c++) {
        if (curve[c].n == 0)
            continue;
        fprintf(file, "%*s", TEXTPLOT_MARGIN, "");
        textplot_color(p, c, file);
        if (p->wide == 1)
            fputc(textplot_marks[c % (sizeof textplot_marks - 1)], file);
        else
            fputs("⠒⠒", file);
        if (p->color)
            fputs("\033[0m", file);
        double best = curve[c].y[0];
        for (size_t i = 0; i < curve[c].n; i++)
            best = fmin(best, curve[c].y[i]);
        fprintf(file, " %s: %.6g at the end, least %.6g", curve[c].name, curve[c].y[curve[c].n - 1],
                best);
        best = curve[c].y[0];
        for (size_t i = 0; i < curve[c].n; i++)
            best = fmax(best, curve[c].y[i]);
        fprintf(file, ", largest %.6g\n", best);
    }
}

ds_status textplot_draw(size_t n_curves, const textplot_curve *curve, unsigned scale,
                        size_t columns, size_t rows, FILE *file)
{
    DS_ASSERT(rows > 1);
    columns = columns < TEXTPLOT_MARGIN + 20 ? TEXTPLOT_MARGIN + 20 : columns;
    columns = columns > 400 ? 400 : columns;
    textplot p = {.columns = columns - TEXTPLOT_MARGIN - 1,
                  .rows = rows,
                  .wide = 1,
                  .high = 1,
                  .scale = scale};
    const char *no_color = getenv("NO_COLOR"); /* https://no-color.org */
    p.color = isatty(fileno(file)) && (no_color == NULL || *no_color == '\0');
    if (textplot_utf8() && (n_curves == 1 || (p.color && n_curves <= TEXTPLOT_COLORS))) {
        p.wide = 2;
        p.high = 4;
    }
    p.dots = calloc(2 * p.rows, p.columns);
    DS_CHECK(p.dots != NULL, DS_ERR_NOMEM, "out of memory for a picture");
    p.owner = p.dots + p.rows * p.columns;
    textplot_range(n_curves, curve, &p);
    for (size_t c = 0; c < n_curves; c++)
        textplot_line(&p, &curve[c], (uint8_t)c);
    textplot_frame(&p, file);
    textplot_legend(&p, n_curves, curve, file);
    free(p.dots);
    return DS_OK;
}
