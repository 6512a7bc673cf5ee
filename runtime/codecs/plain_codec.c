/* The codec that says all: for slices of statistics, which must stay exact, among others in code.
 * Not in the list: a run without a codec has none. */
#include <string.h>

#include "descent/codec.h"

static size_t plain_bytes(const void *options, size_t n)
{
    (void)options;
    return n * sizeof(float);
}

static void plain_encode(const void *options, size_t n, const float *x, float scale, uint8_t *bytes)
{
    (void)options, (void)scale;
    memcpy(bytes, x, n * sizeof *x);
}

static void plain_decode(const void *options, size_t n, const uint8_t *bytes, float scale, float *x)
{
    (void)options, (void)scale;
    memcpy(x, bytes, n * sizeof *x);
}

const ds_codec_ops ds_codec_plain = {
    .name = "plain",
    .help = "floats as they are",
    .whole = true,
    .bytes = plain_bytes,
    .encode = plain_encode,
    .decode = plain_decode,
};
