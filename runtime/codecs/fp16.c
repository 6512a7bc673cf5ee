/* IEEE 754 binary16: 11 significant bits, 2^-24 to 65504, round to nearest even. |x * scale| + M is
 * rounded by the adder itself, where M = 2^(e + 13) has the last place of a binary16 with x's
 * exponent e (at least -14: subnormals need no case of their own); what M's mantissa then holds is
 * the code's. No branch, only normal numbers: 16 floats at once. Moves 6 bytes a float. */
#include <string.h>

#include "descent/codec.h"
#include "descent/simd.h"

enum {
    FP16_BIAS = 113 << 23,  /* 2^-14, the smallest normal */
    FP16_SHIFT = 13 << 23,  /* bits of M over those of 2^e */
    FP16_MOST = 0x477fe000, /* 65504 */
    FP16_INF = 0x7f800000
};

static size_t fp16_bytes(const void *options, size_t n)
{
    (void)options;
    return 2 * n;
}

static inline float fp16_float(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline int32_t fp16_bits(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* By masks: behind a branch the additions would stay scalar, for they might trap. */
static inline int32_t fp16_select(bool first, int32_t a, int32_t b)
{
    int32_t mask = -(int32_t)first;
    return (a & mask) | (b & ~mask);
}

static inline uint16_t fp16_code(float x, float scale)
{
    int32_t given = fp16_bits(x), size = given & 0x7fffffff;
    int32_t a = fp16_bits(x * scale) & 0x7fffffff;
    a = a < FP16_MOST ? a : FP16_MOST;
    int32_t e = a & FP16_INF;
    e = e > FP16_BIAS ? e : FP16_BIAS;
    int32_t m = e + FP16_SHIFT;
    int32_t code = fp16_bits(fp16_float(a) + fp16_float(m)) - m + ((e - FP16_BIAS) >> 13);
    int32_t odd = size > FP16_INF ? 0x7e00 : 0x7c00;
    code = fp16_select(size < FP16_INF, code, odd);
    return (uint16_t)(code | ((given >> 16) & 0x8000));
}

static inline float fp16_value(uint16_t given, float unscale)
{
    int32_t a = given & 0x7fff, sign = (int32_t)((uint32_t)(given & 0x8000) << 16);
    int32_t e = (a & 0x7c00) > 0x400 ? a & 0x7c00 : 0x400;
    int32_t m = ((e - 0x400) << 13) + FP16_BIAS + FP16_SHIFT;
    float x = fp16_float(m + a - (e - 0x400)) - fp16_float(m);
    int32_t bits = fp16_select(a < 0x7c00, fp16_bits(x * unscale), FP16_INF | a << 13);
    return fp16_float(bits | sign);
}

DS_SIMD static void fp16_pack(size_t n, const float *restrict x, float scale,
                              uint8_t *restrict bytes)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t code = fp16_code(x[i], scale);
        memcpy(bytes + 2 * i, &code, sizeof code);
    }
}

DS_SIMD static void fp16_unpack(size_t n, const uint8_t *restrict bytes, float unscale,
                                float *restrict x)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t code;
        memcpy(&code, bytes + 2 * i, sizeof code);
        x[i] = fp16_value(code, unscale);
    }
}

static void fp16_encode(const void *options, size_t n, const float *x, float scale, uint8_t *bytes)
{
    (void)options;
    fp16_pack(n, x, scale, bytes);
}

static void fp16_decode(const void *options, size_t n, const uint8_t *bytes, float scale, float *x)
{
    (void)options;
    fp16_unpack(n, bytes, 1.0f / scale, x);
}

extern const ds_codec_ops ds_codec_fp16;
const ds_codec_ops ds_codec_fp16 = {
    .name = "fp16",
    .help = "IEEE half precision, 2 bytes: 11 significant bits, one scale for all that follows the "
            "gradients",
    .limit = 65504.0f,
    .bytes = fp16_bytes,
    .encode = fp16_encode,
    .decode = fp16_decode,
};
