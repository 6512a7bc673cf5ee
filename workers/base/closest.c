/* "Did you mean": edit distance with neighbours swapped (Damerau 1964, optimal string alignment),
 * case ignored; a name that begins or ends with the wrong one is near as well. Three rows of at
 * most 64 cells, no memory. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "descent/value.h"

enum { LONGEST = 63 };

static bool closest_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t closest_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t closest_distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = closest_min(above[j], row[j - 1]) + 1;
            row[j] = closest_min(row[j], above[j - 1] + !closest_same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && closest_same(a[i - 1], b[j - 2]) &&
                closest_same(a[i - 2], b[j - 1]))
                row[j] = closest_min(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[m];
}

/* "warmup" for "warmup_steps", "batch_size" for "size": as far as the longest near miss. A short
 * end must be a word of its own: "eps" is none of "steps". */
static bool closest_part(const char *a, size_t n, const char *b, size_t m)
{
    if (n > m)
        return closest_part(b, m, a, n);
    if (n < 3 || strncasecmp(a, b, n) == 0)
        return n >= 3;
    bool word = m == n || !isalnum((unsigned char)b[m - n - 1]);
    return (word || n > 3) && strcasecmp(a, b + (m - n)) == 0;
}

const char *ds_closest(const char *wrong, size_t n, const char *const *names)
{
    size_t length = strlen(wrong), best = LONGEST + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < n && length > 0 && length <= LONGEST; i++) {
        size_t m = strlen(names[i]), longer = m > length ? m : length;
        if (m > LONGEST)
            continue;
        size_t limit = (longer + 1) / 3, d = closest_distance(wrong, length, names[i], m);
        if (d > limit && closest_part(wrong, length, names[i], m))
            d = limit;
        if (d <= limit && d < longer && d < best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
