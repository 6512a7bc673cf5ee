/* Pictures by gnuplot, a program of its own (http://www.gnuplot.info), where it is installed. */
#ifndef DS_GNUPLOT_H
#define DS_GNUPLOT_H

#include <stdio.h>

#include "curves.h"

/* One picture below another: what is drawn, of the same runs in the same order. */
typedef struct gnuplot_panel {
    const char *what; /* "loss" */
    const char *x;    /* what it is drawn over; NULL: steps */
    const curves *set;
    bool log, log_x;
    double top; /* nothing above it is drawn; 0: all */
} gnuplot_panel;

/* Local. Whatever `script` writes for gnuplot, as OUT.svg or OUT.png, whole or not at all. Errors
 * as gnuplot_draw. */
typedef void gnuplot_writer(const void *context, bool svg, FILE *file);
ds_status gnuplot_make(gnuplot_writer *script, const void *context, const char *out) DS_NODISCARD;
/* Local. A text in gnuplot's single quotes. */
void gnuplot_quote(const char *text, FILE *file);
/* Local. Draw the panels into OUT.svg or OUT.png, whole or not at all. Errors: USAGE for another
 * extension and where gnuplot is missing; WRITE. */
ds_status gnuplot_check(const char *out) DS_NODISCARD;
/* Local. Is there a gnuplot to start? USAGE. For who would compute before drawing. */
ds_status gnuplot_there(void) DS_NODISCARD;
ds_status gnuplot_draw(size_t n_panels, const gnuplot_panel *panel, const char *out) DS_NODISCARD;

#endif
