/* bfloat16: the upper half of a float, rounded to nearest even; float32's range with 8 significant
 * bits, so it needs no scale. Half the last place and the tie's bit are added as integers. Moves 6
 * bytes a float. */
#include <string.h>

#include "descent/codec.h"
#include "descent/simd.h"

enum { BF16_INF = 0x7f800000, BF16_MOST = 0x7f7f0000 };

static size_t bf16_bytes(const void *options, size_t n)
{
    (void)options;
    return 2 * n;
}

static inline uint16_t bf16_code(float x)
{
    int32_t given, a;
    memcpy(&given, &x, sizeof given);
    a = given & 0x7fffffff;
    int32_t up = a + 0x7fff + ((a >> 16) & 1);
    up = up < BF16_MOST ? up : BF16_MOST;
    int32_t odd = a > BF16_INF ? a | 0x400000 : a;
    return (uint16_t)((a < BF16_INF ? up : odd) >> 16 | ((given >> 16) & 0x8000));
}

DS_SIMD static void bf16_pack(size_t n, const float *restrict x, uint8_t *restrict bytes)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t code = bf16_code(x[i]);
        memcpy(bytes + 2 * i, &code, sizeof code);
    }
}

DS_SIMD static void bf16_unpack(size_t n, const uint8_t *restrict bytes, float *restrict x)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t code;
        memcpy(&code, bytes + 2 * i, sizeof code);
        uint32_t bits = (uint32_t)code << 16;
        memcpy(x + i, &bits, sizeof bits);
    }
}

static void bf16_encode(const void *options, size_t n, const float *x, float scale, uint8_t *bytes)
{
    (void)options;
    (void)scale;
    bf16_pack(n, x, bytes);
}

static void bf16_decode(const void *options, size_t n, const uint8_t *bytes, float scale, float *x)
{
    (void)options;
    (void)scale;
    bf16_unpack(n, bytes, x);
}

extern const ds_codec_ops ds_codec_bf16;
const ds_codec_ops ds_codec_bf16 = {
    .name = "bf16",
    .help = "the upper half of a float, 2 bytes: 8 significant bits, any size",
    .bytes = bf16_bytes,
    .encode = bf16_encode,
    .decode = bf16_decode,
};
