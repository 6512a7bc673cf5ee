/* Pictures by gnuplot, a program of its own (http://www.gnuplot.info), where it is installed. */
#ifndef DS_GNUPLOT_H
#define DS_GNUPLOT_H

#include "curves.h"

/* Local. Draw the curves into OUT.svg or OUT.png, whole or not at all. Errors: USAGE for another
 * extension and where gnuplot is missing; WRITE. */
ds_status gnuplot_check(const char *out) DS_NODISCARD;
ds_status gnuplot_draw(const curves *set, const char *what, const char *out) DS_NODISCARD;

#endif
