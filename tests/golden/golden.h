/* Reads what tests/golden/make_golden.py wrote with PyTorch: lines `name count value...`. */
#ifndef DS_TEST_GOLDEN_H
#define DS_TEST_GOLDEN_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The values of `name` in the file at `path` into out (at most `room`); their number, 0 if absent.
 */
static inline size_t golden_read(const char *path, const char *name, size_t room, double *out)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t n = 0, size = 0, length = strlen(name);
    while (file && n == 0 && getline(&line, &size, file) > 0) {
        if (strncmp(line, name, length) != 0 || line[length] != ' ')
            continue;
        char *p = line + length;
        const size_t count = strtoul(p, &p, 10);
        for (; n < count && n < room; n++)
            out[n] = strtod(p, &p);
    }
    free(line);
    if (file)
        fclose(file);
    return n;
}

/* max|a - b| / max|b|, NaN if one is NaN. */
static inline double golden_distance(size_t n, const float *a, const double *b)
{
    double most = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - b[i]);
        if (isnan(d))
            return d;
        most = d > most ? d : most;
        scale = fabs(b[i]) > scale ? fabs(b[i]) : scale;
    }
    return scale > 0 ? most / scale : most;
}

#endif
