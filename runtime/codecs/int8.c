/* Signed bytes with one scale a block (as Dettmers, ICLR 2016, and bitsandbytes do): code = x /
 * scale to the nearest even integer, scale = largest |x| / 127. The scale is cut to 17 significant
 * bits, so that code * scale is exact in float32: encoding what was decoded gives the same bytes,
 * and the error is at most 1/254 of the block's largest (1 + 2^-15). It is at least 2^-126, which
 * also stands for a block of zeros. A unit of 4096 floats is its scales, then its codes: 1 + 4/256
 * bytes a float; x is read twice, the second time from L1. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "descent/codec.h"
#include "descent/simd.h"

typedef struct int8_options {
    int block; /* 16 << block floats */
} int8_options;

static const ds_option int8_table[] = {
    {.name = "block",
     .type = DS_OPTION_CHOICE,
     .offset = offsetof(int8_options, block),
     .fallback = "256",
     .choices = "16|32|64|128|256|512|1024|2048|4096",
     .help = "floats that share one scale"},
    {0},
};

enum { INT8_INF = 0x7f800000, INT8_LEAST = 0x00800000 };

static size_t int8_blocks(const int8_options *o, size_t n)
{
    return (n + ((size_t)16 << o->block) - 1) >> (o->block + 4);
}

static size_t int8_bytes(const void *options, size_t n)
{
    return n + sizeof(float) * int8_blocks(options, n);
}

/* The nearest 17 bits: code 127 * scale then has at most 24. */
static inline float int8_scale(int32_t peak)
{
    float scale;
    int32_t bits;
    memcpy(&scale, &peak, sizeof scale);
    scale /= 127.0f;
    memcpy(&bits, &scale, sizeof bits);
    bits = (bits + 0x40) & ~0x7f;
    bits = bits > INT8_LEAST ? bits : INT8_LEAST;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* One block. As integers |x| sort as the numbers do, NaN above Inf above all others. The adder
 * rounds: x / scale + 1.5 * 2^23 has the integer in its last bits. */
DS_SIMD static float int8_pack(size_t n, const float *restrict x, uint8_t *restrict code)
{
    int32_t peak = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        peak = bits > peak ? bits : peak;
    }
    if (peak >= INT8_INF) {
        memset(code, 0, n);
        return NAN;
    }
    const float scale = int8_scale(peak), inverse = 1.0f / scale;
    for (size_t i = 0; i < n; i++) {
        float y = x[i] * inverse + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &y, sizeof bits);
        code[i] = (uint8_t)bits;
    }
    return scale;
}

DS_SIMD static void int8_unpack(size_t n, const uint8_t *restrict code, float scale,
                                float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(int8_t)code[i] * scale;
}

/* A unit: its scales, then its codes. */
static void int8_encode_unit(const int8_options *o, size_t n, const float *x, uint8_t *bytes)
{
    const size_t block = (size_t)16 << o->block;
    uint8_t *code = bytes + sizeof(float) * int8_blocks(o, n);
    for (size_t at = 0; at < n; at += block, bytes += sizeof(float)) {
        float scale = int8_pack(n - at < block ? n - at : block, x + at, code + at);
        memcpy(bytes, &scale, sizeof scale);
    }
}

static void int8_decode_unit(const int8_options *o, size_t n, const uint8_t *bytes, float *x)
{
    const size_t block = (size_t)16 << o->block;
    const uint8_t *code = bytes + sizeof(float) * int8_blocks(o, n);
    for (size_t at = 0; at < n; at += block, bytes += sizeof(float)) {
        float scale;
        memcpy(&scale, bytes, sizeof scale);
        int8_unpack(n - at < block ? n - at : block, code + at, scale, x + at);
    }
}

static void int8_encode(const void *options, size_t n, const float *x, float scale, uint8_t *bytes)
{
    const size_t unit = int8_bytes(options, DS_CODEC_UNIT);
    (void)scale;
    for (size_t at = 0; at < n; at += DS_CODEC_UNIT, bytes += unit)
        int8_encode_unit(options, n - at < DS_CODEC_UNIT ? n - at : DS_CODEC_UNIT, x + at, bytes);
}

static void int8_decode(const void *options, size_t n, const uint8_t *bytes, float scale, float *x)
{
    const size_t unit = int8_bytes(options, DS_CODEC_UNIT);
    (void)scale;
    for (size_t at = 0; at < n; at += DS_CODEC_UNIT, bytes += unit)
        int8_decode_unit(options, n - at < DS_CODEC_UNIT ? n - at : DS_CODEC_UNIT, bytes, x + at);
}

extern const ds_codec_ops ds_codec_int8;
const ds_codec_ops ds_codec_int8 = {
    .name = "int8",
    .help = "a byte and a share of its block's scale: errors up to 1/254 of the block's largest",
    .options = int8_table,
    .options_size = sizeof(int8_options),
    .bytes = int8_bytes,
    .encode = int8_encode,
    .decode = int8_decode,
};
