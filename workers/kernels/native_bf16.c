/* Products of bfloat16: both sides are rounded (to nearest even, denormals to zero) as they are
 * packed, sums stay float32. k goes in pairs: of elements 2q and 2q + 1 the odd product is added
 * first, each addition rounded, as vdpbf16ps of AVX512_BF16 does: fused multiply-adds, below 2^-126
 * flushed to zero (Emerald Rapids: 20 million sums near that border, all the same bits). Where the
 * CPU lacks that instruction, or is no faster by it (native_race.c), the rounded floats, pairs
 * swapped, go through the float32 tiles: the same bits. */
#include <stdint.h>

#include "descent/simd.h"

#include "native_parts.h"

/* Bits of x as bfloat16, in the upper half. */
static inline uint32_t native_bf16_bits(uint32_t u)
{
    uint32_t nearest = (u + 0x7fffu + ((u >> 16) & 1u)) & 0xffff0000u;
    uint32_t size = u & 0x7fffffffu;
    uint32_t quiet = (u | 0x400000u) & 0xffff0000u, sign = u & 0x80000000u;
    uint32_t r = size > 0x7f800000u ? quiet : nearest;
    return size < 0x00800000u ? sign : r;
}

DS_SIMD
static void native_bf16_swap(size_t n, size_t width, uint32_t *restrict panel)
{
    for (size_t p = 0; p < n; p += 2) {
        uint32_t *even = panel + p * width, *odd = even + width;
        for (size_t i = 0; i < width; i++) {
            uint32_t first = native_bf16_bits(odd[i]);
            odd[i] = native_bf16_bits(even[i]);
            even[i] = first;
        }
    }
}

size_t ds_bf16_swap(size_t n, size_t width, float *panel)
{
    size_t even = ds_bf16_even(n, width, panel);
    native_bf16_swap(even, width, (uint32_t *)(void *)panel);
    return even;
}

#if defined(__x86_64__)
const ds_bf16_way ds_bf16_avx2 = {
    .name = "fp32 tiles of AVX2", .isa = &ds_native_avx2, .least = 1, .convert = ds_bf16_swap};
#endif
const ds_bf16_way ds_bf16_plain = {
    .name = "plain loops", .isa = &ds_native_plain, .convert = ds_bf16_swap};
