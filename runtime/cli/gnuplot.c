/* gnuplot reads a script with the numbers in it from a file without a name and writes the picture
 * to its standard output, memory without a name: its png terminal says nothing when a disk is full,
 * so this program does the writing. No shell, no file name inside the script, none of the user's
 * gnuplot settings. */
#include "gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "outfile.h"

extern char **environ;

static bool gnuplot_ends(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

ds_status gnuplot_check(const char *out)
{
    DS_CHECK(gnuplot_ends(out, ".svg") || gnuplot_ends(out, ".png"), DS_ERR_USAGE,
             "--out '%s' is neither .svg nor .png", out);
    return DS_OK;
}

static ds_status gnuplot_missing(int why)
{
    return DS_FAIL(DS_ERR_USAGE,
                   "--out needs gnuplot, which does not start here: %s; install it (Debian: "
                   "gnuplot-nox) or leave out --out for a plot in the terminal",
                   strerror(why));
}

ds_status gnuplot_there(void)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        char file[4096];
        size_t n = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/gnuplot", (int)n, path);
        if (access(file, X_OK) == 0)
            return DS_OK;
        path += n + (path[n] == ':');
    }
    return gnuplot_missing(ENOENT);
}

void gnuplot_quote(const char *text, FILE *file)
{
    fputc('\'', file);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputc('\'', file);
        fputc(*text, file);
    }
    fputc('\'', file);
}

/* A colour a run (Okabe and Ito's, which the colour-blind can tell apart); training is a line,
 * evaluations are dashes with a point each; where the colours are used up, lines have other dashes.
 */
static void gnuplot_style(const curves *set, size_t c, size_t *splits, FILE *file)
{
    static const char *const color[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                        "#e69f00", "#56b4e9", "#5b4b8a", "#666666"};
    enum { COLORS = sizeof color / sizeof *color, DASHES = 3 };
    static const int dash[DASHES] = {1, 4, 3};
    const char *paint = color[set->run[c] % COLORS];
    if (set->curve[c].n == 1)
        fprintf(file, " with points pt 7 ps 1.2 lc rgb '%s'", paint);
    else if (strcmp(set->split[c], "train") == 0)
        fprintf(file, " with lines lw 1.6 dt %d lc rgb '%s'", dash[set->run[c] / COLORS % DASHES],
                paint);
    else
        fprintf(file, " with linespoints lw 1.6 dt 2 pt %d ps 0.6 lc rgb '%s'",
                *splits == 0 ? 7 : 5, paint);
    *splits = strcmp(set->split[c], "train") == 0 ? 0 : *splits + 1;
}

static void gnuplot_data(size_t p, const curves *set, FILE *file)
{
    for (size_t c = 0; c < set->n; c++) {
        fprintf(file, "$p%zuc%zu << END\n", p, c);
        for (size_t i = 0; i < set->curve[c].n; i++)
            fprintf(file, "%.17g %.17g\n", set->curve[c].x[i], set->curve[c].y[i]);
        fprintf(file, "END\n");
    }
}

/* The legend stands in the first panel: the others show the same runs in the same colours. */
static void gnuplot_plot(size_t p, const gnuplot_panel *panel, bool last, FILE *file)
{
    const curves *set = panel->set;
    size_t splits = 0;
    fprintf(file, "set ylabel '%s'\n%s logscale y\n%s logscale x\n", panel->what,
            panel->log ? "set" : "unset", panel->log_x ? "set" : "unset");
    if (panel->top > 0)
        fprintf(file, "set yrange [*:%.17g]\n", panel->top);
    fprintf(file, "set xlabel '%s'\nset key %s\n",
            !last              ? ""
            : panel->x == NULL ? "step"
                               : panel->x,
            p > 0 ? "off" : "outside above maxcols 3 left Left reverse samplen 2");
    for (size_t c = 0; c < set->n; c++) {
        fprintf(file, "%s$p%zuc%zu using 1:2", c == 0 ? "plot " : ", \\\n", p, c);
        gnuplot_style(set, c, &splits, file);
        fprintf(file, " title ");
        gnuplot_quote(set->name[c], file);
    }
    fprintf(file, "\n");
}

typedef struct gnuplot_panels {
    size_t n;
    const gnuplot_panel *panel;
} gnuplot_panels;

static void gnuplot_script(const void *context, bool svg, FILE *file)
{
    const gnuplot_panels *panels = context;
    const gnuplot_panel *panel = panels->panel;
    const size_t n = panels->n;
    size_t height = n == 1 ? 540 : 120 + 280 * n;
    double first = (double)INFINITY, last = -(double)INFINITY;
    for (size_t p = 0; p < n; p++) {
        gnuplot_data(p, panel[p].set, file);
        for (size_t c = 0; c < panel[p].set->n; c++) {
            const textplot_curve *curve = &panel[p].set->curve[c];
            first = curve->n > 0 ? fmin(first, curve->x[0]) : first;
            last = curve->n > 0 ? fmax(last, curve->x[curve->n - 1]) : last;
        }
    }
    fprintf(file, "set encoding utf8\nset terminal %s noenhanced size 960,%zu\n",
            svg ? "svg background 'white' font 'sans,14'" : "pngcairo font 'sans,11'", height);
    fprintf(file, "set grid lt 1 lw 0.5 lc rgb '#dddddd'\nset tics nomirror out\nset border 3\n"
                  "set lmargin 12\nset rmargin 3\nset format '%%g'\n");
    if (last > first)
        fprintf(file, "set xrange [%.17g:%.17g]\n", first > last / 4 || panel[0].log_x ? first : 0,
                last);
    if (n > 1)
        fprintf(file, "set multiplot layout %zu,1\n", n);
    for (size_t p = 0; p < n; p++)
        gnuplot_plot(p, &panel[p], p + 1 == n, file);
}

static ds_status gnuplot_run(int in, int out)
{
    char name[] = "gnuplot", bare[] = "-d", script[] = "-";
    char *argv[] = {name, bare, script, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int state = 0;
    DS_CHECK(posix_spawn_file_actions_init(&actions) == 0, DS_ERR_NOMEM, "no memory for gnuplot");
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int why = posix_spawnp(&child, name, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (why != 0)
        return gnuplot_missing(why);
    while (waitpid(child, &state, 0) < 0)
        DS_CHECK(errno == EINTR, DS_ERR_INTERNAL, "waiting for gnuplot: %s", strerror(errno));
    struct stat st;
    DS_CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0 && fstat(out, &st) == 0 && st.st_size > 0,
             DS_ERR_INTERNAL,
             "gnuplot made no picture (wait status %d); leave out --out for a plot in the terminal",
             state);
    return DS_OK;
}

static ds_status gnuplot_copy(int from, FILE *to)
{
    char piece[1 << 14];
    ssize_t n = 0;
    DS_CHECK(lseek(from, 0, SEEK_SET) == 0, DS_ERR_INTERNAL, "gnuplot's picture: %s",
             strerror(errno));
    while ((n = read(from, piece, sizeof piece)) > 0)
        if (fwrite(piece, 1, (size_t)n, to) != (size_t)n)
            return DS_OK; /* outfile_close says so */
    DS_CHECK(n == 0, DS_ERR_INTERNAL, "gnuplot's picture: %s", strerror(errno));
    return DS_OK;
}

static ds_status gnuplot_picture(gnuplot_writer *write, const void *context, bool svg, FILE *file)
{
    FILE *script = tmpfile();
    DS_CHECK(script != NULL, DS_ERR_WRITE, "gnuplot: no temporary file: %s", strerror(errno));
    write(context, svg, script);
    ds_status st = DS_OK;
    if (fflush(script) != 0 || ferror(script))
        st = DS_FAIL(DS_ERR_WRITE, "gnuplot: no room for gnuplot's script: %s", strerror(errno));
    rewind(script);
    int picture = memfd_create("descent-picture", MFD_CLOEXEC);
    if (st == DS_OK && picture < 0)
        st = DS_FAIL(DS_ERR_NOMEM, "gnuplot: no memory for the picture: %s", strerror(errno));
    if (st == DS_OK)
        st = gnuplot_run(fileno(script), picture);
    if (st == DS_OK)
        st = gnuplot_copy(picture, file);
    if (picture >= 0)
        close(picture);
    fclose(script);
    return st;
}

ds_status gnuplot_make(gnuplot_writer *script, const void *context, const char *out)
{
    outfile picture;
    DS_TRY(gnuplot_check(out));
    DS_TRY(outfile_open(out, &picture));
    bool svg = gnuplot_ends(out, ".svg");
    return outfile_close(&picture, gnuplot_picture(script, context, svg, picture.file));
}

ds_status gnuplot_draw(size_t n_panels, const gnuplot_panel *panel, const char *out)
{
    return gnuplot_make(gnuplot_script, &(gnuplot_panels){n_panels, panel}, out);
}
