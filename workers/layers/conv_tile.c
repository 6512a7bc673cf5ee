/* Sums of 16 channels and k x k taps in registers (25 of AVX-512's 32 for 5 x 5), one multiplier at
 * a time: an entry costs k k multiplications of 16 with an operand from the first-level cache. The
 * sums are named one by one, since compilers keep arrays of them in memory. */
#include "conv_tile.h"

#include "descent/simd.h"

/* Of floats, at any float's address. */
typedef float tile_vec
    __attribute__((vector_size(DS_LANES * sizeof(float)), aligned(4), may_alias));

#define SPLAT4(v) v, v, v, v
#define SPLAT(v) ((tile_vec){SPLAT4(v), SPLAT4(v), SPLAT4(v), SPLAT4(v)})

/* f(row, column) for all taps; f(row, ...) for a column's. */
#define ROW3(f, r) f(r, 0) f(r, 1) f(r, 2)
#define ROW5(f, r) f(r, 0) f(r, 1) f(r, 2) f(r, 3) f(r, 4)
#define ALL3(f) ROW3(f, 0) ROW3(f, 1) ROW3(f, 2)
#define ALL5(f) ROW5(f, 0) ROW5(f, 1) ROW5(f, 2) ROW5(f, 3) ROW5(f, 4)

#define DECLARE(r, c) tile_vec s##r##c;
#define LOAD3(r, c) s##r##c = sum[3 * r + c];
#define LOAD5(r, c) s##r##c = sum[5 * r + c];
#define STORE3(r, c) sum[3 * r + c] = s##r##c;
#define STORE5(r, c) sum[5 * r + c] = s##r##c;
#define MEET(r, c) s##r##c += v * x[r * pitch + c];

DS_SIMD static void tile_weight3(size_t n, const ds_conv_entry *list, const float *plane,
                                 size_t pitch, float *sums)
{
    tile_vec *sum = (tile_vec *)sums;
    ALL3(DECLARE)
    ALL3(LOAD3)
    for (size_t i = 0; i < n; i++) {
        const tile_vec *x = (const tile_vec *)(plane + list[i].at), v = SPLAT(list[i].value);
        ALL3(MEET)
    }
    ALL3(STORE3)
}

DS_SIMD static void tile_weight5(size_t n, const ds_conv_entry *list, const float *plane,
                                 size_t pitch, float *sums)
{
    tile_vec *sum = (tile_vec *)sums;
    ALL5(DECLARE)
    ALL5(LOAD5)
    for (size_t i = 0; i < n; i++) {
        const tile_vec *x = (const tile_vec *)(plane + list[i].at), v = SPLAT(list[i].value);
        ALL5(MEET)
    }
    ALL5(STORE5)
}

/* ---- dx ------------------------------------------------------------------------------------- */

/* The window's columns at the step with the sums' columns turned to a, b, ...: the entries, then
 * column a is done and takes the place of the one that comes in on the right. */
#define TAKE(k, r, c, t) s##r##c += v * x[k * r + t];
#define TAKE3(r, a, b, c) TAKE(3, r, a, 0) TAKE(3, r, b, 1) TAKE(3, r, c, 2)
#define TAKE5(r, a, b, c, d, e) \
    TAKE(5, r, a, 0) TAKE(5, r, b, 1) TAKE(5, r, c, 2) TAKE(5, r, d, 3) TAKE(5, r, e, 4)
#define PASS(k, r, a)           \
    pixel[r * pitch] = s##r##a; \
    s##r##a = pixel[r * pitch + k];
#define STEP3(a, b, c)                                          \
    for (; i < start[1]; i++) {                                 \
        const tile_vec *x = (const tile_vec *)(w + list[i].at); \
        const tile_vec v = SPLAT(list[i].value);                \
        TAKE3(0, a, b, c) TAKE3(1, a, b, c) TAKE3(2, a, b, c)   \
    }                                                           \
    PASS(3, 0, a) PASS(3, 1, a) PASS(3, 2, a) pixel++, start++;
#define STEP5(a, b, c, d, e)                                                    \
    for (; i < start[1]; i++) {                                                 \
        const tile_vec *x = (const tile_vec *)(w + list[i].at);                 \
        const tile_vec v = SPLAT(list[i].value);                                \
        TAKE5(0, a, b, c, d, e)                                                 \
        TAKE5(1, a, b, c, d, e)                                                 \
        TAKE5(2, a, b, c, d, e) TAKE5(3, a, b, c, d, e) TAKE5(4, a, b, c, d, e) \
    }                                                                           \
    PASS(5, 0, a) PASS(5, 1, a) PASS(5, 2, a) PASS(5, 3, a) PASS(5, 4, a) pixel++, start++;
#define ENTER(r, c) s##r##c = pixel[r * pitch + c];
#define LEAVE(r, c) pixel[r * pitch + c] = s##r##c;

DS_SIMD static void tile_input3(size_t width, const ds_conv_entry *list, const uint32_t *start,
                                const float *w, float *dx, size_t pitch)
{
    tile_vec *pixel = (tile_vec *)dx, *end = pixel + width;
    uint32_t i = *start;
    ALL3(DECLARE)
    ALL3(ENTER)
    while (pixel < end) {
        STEP3(0, 1, 2)
        STEP3(1, 2, 0)
        STEP3(2, 0, 1)
    }
    ALL3(LEAVE)
}

DS_SIMD static void tile_input5(size_t width, const ds_conv_entry *list, const uint32_t *start,
                                const float *w, float *dx, size_t pitch)
{
    tile_vec *pixel = (tile_vec *)dx, *end = pixel + width;
    uint32_t i = *start;
    ALL5(DECLARE)
    ALL5(ENTER)
    while (pixel < end) {
        STEP5(0, 1, 2, 3, 4)
        STEP5(1, 2, 3, 4, 0)
        STEP5(2, 3, 4, 0, 1)
        STEP5(3, 4, 0, 1, 2)
        STEP5(4, 0, 1, 2, 3)
    }
    ALL5(LEAVE)
}

void ds_conv_tile_weight(size_t k, size_t n, const ds_conv_entry *list, const float *x,
                         size_t pitch, float *sums)
{
    (k == 3 ? tile_weight3 : tile_weight5)(n, list, x, pitch, sums);
}

void ds_conv_tile_input(size_t k, size_t width, const ds_conv_entry *list, const uint32_t *start,
                        const float *w, float *dx, size_t pitch)
{
    (k == 3 ? tile_input3 : tile_input5)(width, list, start, w, dx, pitch);
}
