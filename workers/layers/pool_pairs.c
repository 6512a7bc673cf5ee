/* Max pooling by 2 x 2 windows side by side, the common case: 16 columns of two rows at a time,
 * whose 8 outputs are the larger of neighbouring lanes. Rows are shorter than vectors more often
 * than not, so the last vector of a row runs on into the next row, whose own vectors put that right
 * afterwards; only where it would leave the sample do single windows take over. */
#include <string.h>

#include "descent/simd.h"

#include "pool.h"

enum { PAIRS_IN = 16, PAIRS_OUT = 8 };

/* Of AVX's width: gcc computes compares of wider vectors one by one where registers are narrower.
 */
typedef float pairs_vec __attribute__((vector_size(32), aligned(4), may_alias));
typedef int pairs_mask __attribute__((vector_size(32), aligned(4), may_alias));

#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#define TWICE(i) (i), (i), (i) + 1, (i) + 1, (i) + 2, (i) + 2, (i) + 3, (i) + 3
#define SWAP 1, 0, 3, 2, 5, 4, 7, 6

/* The larger of a and b, NaN before all: b where a >= b does not hold, but a where it is no number.
 */
#define LARGER(out, a, b)                                          \
    {                                                              \
        pairs_mask stay_ = (a) >= (b), number_ = (a) == (a);       \
        pairs_mask as_ = (pairs_mask)(a), bs_ = (pairs_mask)(b);   \
        pairs_mask most_ = (as_ & stay_) | (bs_ & ~stay_);         \
        (out) = (pairs_vec)((most_ & number_) | (as_ & ~number_)); \
    }

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
    for (size_t row = 0; row < rows; row++, x += 2 * width, y += width / 2) {
        bool inside = pairs_inside(row, rows, width);
        for (size_t q = 0; q < width && !inside; q += 2)
            pairs_forward_one(x + q, width, y + q / 2);
        for (size_t q = 0; q < width && inside; q += PAIRS_IN) {
            const float *top = x + q, *low = x + width + q;
            pairs_vec t0, t1, most;
            LARGER(t0, *(const pairs_vec *)top, *(const pairs_vec *)low)
            LARGER(t1, *(const pairs_vec *)(top + 8), *(const pairs_vec *)(low + 8))
            pairs_vec even = __builtin_shufflevector(t0, t1, EVEN);
            pairs_vec odd = __builtin_shufflevector(t0, t1, ODD);
            LARGER(most, even, odd)
            *(pairs_vec *)(y + q / 2) = most;
        }
    }
}

/* dx of 8 columns of a row: `won` goes to the first of a pair that is not below `most`; `above`:
 * the row over it, whose winners were first. */
#define GIVE(to, x, most, won, above)                                  \
    {                                                                  \
        pairs_mask a_ = *(const pairs_vec *)(x) >= (most);             \
        pairs_mask beside_ = __builtin_shufflevector(a_, a_, SWAP);    \
        *(pairs_mask *)(to) = (won) & ~(above)&a_ & (left | ~beside_); \
        (above) = a_ | beside_;                                        \
    }

/* The upper row is whole before the lower one, which it runs into. */
DS_SIMD static void pairs_backward_row(size_t width, const float *x, const float *y,
                                       const float *dy, float *dx)
{
    static const pairs_mask left = {-1, 0, -1, 0, -1, 0, -1, 0};
    float spill[PAIRS_IN];
    for (size_t lower = 0; lower < 2; lower++)
        for (size_t q = 0; q < width; q += PAIRS_IN) {
            pairs_vec y8 = *(const pairs_vec *)(y + q / 2), dy8 = *(const pairs_vec *)(dy + q / 2);
            pairs_vec m0 = __builtin_shufflevector(y8, y8, TWICE(0));
            pairs_vec m1 = __builtin_shufflevector(y8, y8, TWICE(4));
            pairs_mask d0 = (pairs_mask)__builtin_shufflevector(dy8, dy8, TWICE(0));
            pairs_mask d1 = (pairs_mask)__builtin_shufflevector(dy8, dy8, TWICE(4));
            pairs_mask above0 = {0}, above1 = {0};
            float *to = lower ? spill : dx + q;
            GIVE(to, x + q, m0, d0, above0)
            GIVE(to + 8, x + q + 8, m1, d1, above1)
            if (lower) {
                GIVE(dx + width + q, x + width + q, m0, d0, above0)
                GIVE(dx + width + q + 8, x + width + q + 8, m1, d1, above1)
            }
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
