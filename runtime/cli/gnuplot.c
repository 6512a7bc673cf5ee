/* gnuplot reads a script with the numbers in it from a file without a name and writes the picture
 * to its standard output. No shell, no file name inside the script, none of the user's gnuplot
 * settings. */
#include "gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
             "plot: --out '%s' is neither .svg nor .png", out);
    return DS_OK;
}

/* A text in gnuplot's single quotes. */
static void gnuplot_quote(const char *text, FILE *file)
{
    fputc('\'', file);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputc('\'', file);
        fputc(*text, file);
    }
    fputc('\'', file);
}

static void gnuplot_script(const curves *set, const char *what, bool svg, FILE *file)
{
    fprintf(file, "set encoding utf8\nset terminal %s noenhanced size 900,540\n",
            svg ? "svg background 'white' font 'sans,14'" : "pngcairo font 'sans,11'");
    fprintf(file,
            "set xlabel 'step'\nset ylabel '%s'\nset grid lt 1 lw 0.5 lc rgb '#dddddd'\n"
            "set key outside below maxcols 3\nset tics nomirror\nset border 3\n",
            what);
    for (size_t c = 0; c < set->n; c++) {
        fprintf(file, "$c%zu << END\n", c);
        for (size_t i = 0; i < set->curve[c].n; i++)
            fprintf(file, "%.17g %.17g\n", set->curve[c].x[i], set->curve[c].y[i]);
        fprintf(file, "END\n");
    }
    for (size_t c = 0; c < set->n; c++) {
        fprintf(file, "%s$c%zu using 1:2 with lines lw 1.5 title ", c == 0 ? "plot " : ", \\\n", c);
        gnuplot_quote(set->curve[c].name, file);
    }
    fprintf(file, "\n");
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
    DS_CHECK(why == 0, DS_ERR_USAGE,
             "plot: --out needs gnuplot, which does not start here: %s; install it (Debian: "
             "gnuplot-nox) or leave out --out for a plot in the terminal",
             strerror(why));
    while (waitpid(child, &state, 0) < 0)
        DS_CHECK(errno == EINTR, DS_ERR_INTERNAL, "plot: waiting for gnuplot: %s", strerror(errno));
    struct stat st;
    DS_CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0 && fstat(out, &st) == 0 && st.st_size > 0,
             DS_ERR_WRITE, "plot: gnuplot failed with state %d; is the disk full?", state);
    return DS_OK;
}

static ds_status gnuplot_picture(const curves *set, const char *what, bool svg, FILE *file)
{
    FILE *script = tmpfile();
    DS_CHECK(script != NULL, DS_ERR_WRITE, "plot: no temporary file: %s", strerror(errno));
    gnuplot_script(set, what, svg, script);
    ds_status st = DS_OK;
    if (fflush(script) != 0 || ferror(script))
        st = DS_FAIL(DS_ERR_WRITE, "plot: no room for gnuplot's script: %s", strerror(errno));
    rewind(script);
    if (st == DS_OK)
        st = gnuplot_run(fileno(script), fileno(file));
    fclose(script);
    return st;
}

ds_status gnuplot_draw(const curves *set, const char *what, const char *out)
{
    outfile picture;
    DS_TRY(gnuplot_check(out));
    DS_TRY(outfile_open(out, &picture));
    return outfile_close(&picture,
                         gnuplot_picture(set, what, gnuplot_ends(out, ".svg"), picture.file));
}
