/* Eight by eight elements of 32 bits turned in registers, for whatever instruction set includes it.
 */
#ifndef DS_NATIVE_TURN_H
#define DS_NATIVE_TURN_H

#include <string.h>

typedef float native_v8 __attribute__((vector_size(32), aligned(4)));

#define PAIRS(x, y, a, b, c, d) \
    __builtin_shufflevector(x, y, a, b, c, d, (a) + 4, (b) + 4, (c) + 4, (d) + 4)

/* dst[q * width + i] = row[i][p + q] for 8 x 8 elements. */
__attribute__((always_inline)) static inline void
native_turn_block(const float *const *row, size_t p, float *dst, size_t width)
{
    native_v8 r[8], s[8];
    for (int i = 0; i < 8; i++)
        memcpy(&r[i], row[i] + p, sizeof r[i]);
    for (int i = 0; i < 8; i += 2) {
        s[i] = PAIRS(r[i], r[i + 1], 0, 8, 1, 9);
        s[i + 1] = PAIRS(r[i], r[i + 1], 2, 10, 3, 11);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = PAIRS(s[i], s[i + 2], 0, 1, 8, 9);
        r[i + 1] = PAIRS(s[i], s[i + 2], 2, 3, 10, 11);
        r[i + 2] = PAIRS(s[i + 1], s[i + 3], 0, 1, 8, 9);
        r[i + 3] = PAIRS(s[i + 1], s[i + 3], 2, 3, 10, 11);
    }
    for (int i = 0; i < 4; i++) {
        s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; i++)
        memcpy(dst + (size_t)i * width, &s[i], sizeof s[i]);
}

#undef PAIRS

#endif
