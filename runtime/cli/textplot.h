/* Small pictures made of characters. */
#ifndef DS_TEXTPLOT_H
#define DS_TEXTPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "descent/status.h"

/* Local. Columns of the terminal that stdout is, or 80. */
size_t textplot_columns(void);
/* Local. Do the locale's variables name UTF-8? Else pictures are made of ASCII. */
bool textplot_utf8(void);

/* Local. One character a bin, its height by the count; an empty bin is blank. */
void textplot_bars(size_t n, const size_t *count, FILE *file);

typedef struct textplot_curve {
    const char *name;
    size_t n;
    const double *x, *y; /* at most 1e300, or the differences overflow */
} textplot_curve;

enum { TEXTPLOT_LOG_X = 1, TEXTPLOT_LOG_Y = 2 };

/* Local. The curves in one frame with both axes' numbers, logarithmic where `scale` says (values
 * that are not above 0 leave gaps then), `columns` wide and `rows` high, and a
 * line a curve below that names its mark. At least one curve has a point. */
ds_status textplot_draw(size_t n_curves, const textplot_curve *curve, unsigned scale,
                        size_t columns, size_t rows, FILE *file) DS_NODISCARD;

#endif
