/* Max pooling by 2 x 2 windows side by side, the common case: 16 columns of two rows at a time,
 * whose 8 outputs are the larger of neighbouring lanes. Rows are shorter than vectors more often
 * than not, so the last vector of a row runs on into the next row, whose own vectors put that right
 * afterwards; only where it would leave the sample do single windows take over. */
#include <string.h>

#include "descent/simd.h"

#include "pool.h"

enum { PAIRS_IN = 16, PAIRS_OUT = 8 };

typedef float pairs_in __attribute__((vector_size(64), aligned(4), may_alias));
typedef float pairs_out __attribute__((vector_size(32), aligned(4), may_alias));
typedef int pairs_mask __attribute__((vector_size(64), aligned(4), may_alias));

#define TWICE 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#define SWAP 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14

bool ds_pool_pairs_fit(const ds_window *w)
{
    return w->kh == 2 && w->kw == 2 && w->sh == 2 && w->sw == 2 && w->ph + w->pw == 0 &&
           w->w == 2 * w->ow;
}

/* NaN wins. */
static float pairs_larger(float a, float b)
{
    return b > a || b != b ? b : a;
}

static void pairs_forward_one(const float *x, size_t width, float *y)
{
    *y = pairs_larger(pairs_larger(x[0], x[1]), pairs_larger(x[width], x[width + 1]));
}

/* The first of equals; NaN as y gives nobody anything, as everywhere. */
static void pairs_backward_one(const float *x, size_t width, float y, float dy, float *dx)
{
    size_t at[4] = {0, 1, width, width + 1};
    bool given = false;
    for (int e = 0; e < 4; e++) {
        bool wins = !given && x[at[e]] >= y;
        dx[at[e]] = wins ? dy : 0.0f;
        given = given || wins;
    }
}

/* Row pairs from r on whose vectors stay inside `rows` of them. */
static bool pairs_inside(size_t r, size_t rows, size_t width)
{
    size_t run = (width + PAIRS_IN - 1) / PAIRS_IN * PAIRS_IN - width;
    return (rows - r - 1) * (width / 2) >= run / 2;
}

/* rows: of outputs, over all planes of a sample; width: of x's rows. */
DS_SIMD static void pairs_forward(size_t rows, size_t width, const float *x, float *y)
{
    for (size_t r = 0; r < rows; r++, x += 2 * width, y += width / 2) {
        bool inside = pairs_inside(r, rows, width);
        for (size_t q = 0; q < width && !inside; q += 2)
            pairs_forward_one(x + q, width, y + q / 2);
        for (size_t q = 0; q < width && inside; q += PAIRS_IN) {
            const float *a = x + q, *b = x + width + q;
            float t[PAIRS_IN];
            for (size_t l = 0; l < PAIRS_IN; l++)
                t[l] = ((b[l] > a[l]) | (b[l] != b[l])) ? b[l] : a[l];
            for (size_t l = 0; l < PAIRS_OUT; l++)
                y[q / 2 + l] = ((t[2 * l + 1] > t[2 * l]) | (t[2 * l + 1] != t[2 * l + 1]))
                                   ? t[2 * l + 1]
                                   : t[2 * l];
        }
    }
}

/* The upper row is whole before the lower one, which it runs into. */
DS_SIMD static void pairs_backward_row(size_t width, const float *x, const float *y,
                                       const float *dy, float *dx)
{
    static const pairs_mask left = {-1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0};
    for (size_t lower = 0; lower < 2; lower++)
        for (size_t q = 0; q < width; q += PAIRS_IN) {
            pairs_out most = *(const pairs_out *)(y + q / 2);
            pairs_out give = *(const pairs_out *)(dy + q / 2);
            pairs_in most2 = __builtin_shufflevector(most, most, TWICE);
            pairs_mask won = (pairs_mask)__builtin_shufflevector(give, give, TWICE);
            pairs_mask a = *(const pairs_in *)(x + q) >= most2;
            pairs_mask beside = __builtin_shufflevector(a, a, SWAP);
            if (lower) {
                won &= ~(a | beside);
                a = *(const pairs_in *)(x + width + q) >= most2;
                beside = __builtin_shufflevector(a, a, SWAP);
            }
            *(pairs_mask *)(dx + lower * width + q) = won & a & (left | ~beside);
        }
}

void ds_pool_pairs_forward(const ds_window *w, const float *x, float *y)
{
    bool whole = w->h == 2 * w->oh; /* then all planes are one */
    for (size_t c = 0; c < (whole ? 1 : w->c); c++)
        pairs_forward((whole ? w->c : 1) * w->oh, w->w, x + c * w->h * w->w, y + c * w->oh * w->ow);
}

void ds_pool_pairs_backward(const ds_window *w, const float *x, const float *y, const float *dy,
                            float *dx)
{
    size_t rows = w->c * w->oh, skip = (w->h - 2 * w->oh) * w->w;
    for (size_t r = 0; r < rows; r++) {
        if (pairs_inside(r, rows, w->w))
            pairs_backward_row(w->w, x, y, dy, dx);
        else
            for (size_t q = 0; q < w->w; q += 2)
                pairs_backward_one(x + q, w->w, y[q / 2], dy[q / 2], dx + q);
        size_t down = 2 * w->w + ((r + 1) % w->oh == 0 ? skip : 0);
        if (down > 2 * w->w)
            memset(dx + 2 * w->w, 0, skip * sizeof *dx);
        x += down, dx += down, y += w->ow, dy += w->ow;
    }
}
