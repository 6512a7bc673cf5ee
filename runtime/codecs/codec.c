/* The registry, and error feedback around any codec. A piece goes through in units of 4096 floats,
 * whose sums, codes and decoded values stay in the first caches: memory sees x and the residual
 * read and written once and the bytes written once (16 + bits/8 bytes a float). */
#include "descent/codec.h"

#include <math.h>
#include <string.h>

#include "descent/simd.h"

#define X(name) extern const ds_codec_ops ds_codec_##name;
#include "codecs.list"
#undef X

static const ds_codec_ops *const codec_table[] = {
#define X(name) &ds_codec_##name,
#include "codecs.list"
#undef X
};

enum { CODEC_MOST_BYTES = 4 }; /* of a float: the room for a unit that nobody wants to see */

const ds_codec_ops *ds_codec_at(size_t i)
{
    return i < sizeof codec_table / sizeof *codec_table ? codec_table[i] : NULL;
}

const ds_codec_ops *ds_codec_find(const char *name)
{
    for (size_t i = 0; ds_codec_at(i) != NULL; i++)
        if (strcmp(codec_table[i]->name, name) == 0)
            return codec_table[i];
    return NULL;
}

/* The larger of a peak and |v|, both as integers: these sort as the numbers do, NaN above Inf above
 * all others. */
static inline int32_t codec_larger(int32_t peak, float v)
{
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits &= 0x7fffffff;
    return bits > peak ? bits : peak;
}

static float codec_peak_value(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return bits >= 0x7f800000 ? INFINITY : x;
}

DS_SIMD static int32_t codec_sum(size_t n, float *restrict v, const float *restrict a,
                                 const float *restrict b, int32_t peak)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = a[i] + b[i];
        peak = codec_larger(peak, v[i]);
    }
    return peak;
}

DS_SIMD static int32_t codec_difference(size_t n, float *restrict v, const float *restrict a,
                                        const float *restrict b, int32_t peak)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = a[i] - b[i];
        peak = codec_larger(peak, v[i]);
    }
    return peak;
}

DS_SIMD static void codec_accumulate(size_t n, float *restrict x, const float *restrict d)
{
    for (size_t i = 0; i < n; i++)
        x[i] += d[i];
}

/* What was decoded, heard by those who hold x. */
static void codec_hear(const ds_codec *self, size_t n, float *x, const float *d)
{
    if (self->ops->whole)
        memcpy(x, d, n * sizeof *x);
    else
        codec_accumulate(n, x, d);
}

size_t ds_codec_bytes(const ds_codec *self, size_t n)
{
    return self->ops->bytes(self->options, n);
}

void ds_codec_encode(const ds_codec *self, size_t n, const float *x, uint8_t *bytes)
{
    self->ops->encode(self->options, n, x, self->scale, bytes);
}

void ds_codec_decode(const ds_codec *self, size_t n, const uint8_t *bytes, float *x)
{
    self->ops->decode(self->options, n, bytes, self->scale, x);
}

void ds_codec_heed(const ds_codec *self, size_t n, const uint8_t *bytes, float *x)
{
    float d[DS_CODEC_UNIT];
    for (size_t at = 0; at < n; at += DS_CODEC_UNIT) {
        size_t some = n - at < DS_CODEC_UNIT ? n - at : DS_CODEC_UNIT;
        ds_codec_decode(self, some, bytes, d);
        codec_hear(self, some, x + at, d);
        bytes += ds_codec_bytes(self, some);
    }
}

/* v -> bytes -> d; returns the bytes' end. */
static uint8_t *codec_trip(const ds_codec *self, size_t n, const float *v, float *d, uint8_t *bytes)
{
    uint8_t room[DS_CODEC_UNIT * CODEC_MOST_BYTES], *to = bytes == NULL ? room : bytes;
    ds_codec_encode(self, n, v, to);
    ds_codec_decode(self, n, to, d);
    return bytes == NULL ? NULL : bytes + ds_codec_bytes(self, n);
}

float ds_codec_send(const ds_codec *self, size_t n, float *x, float *residual, uint8_t *bytes)
{
    float v[DS_CODEC_UNIT];
    int32_t peak = 0;
    for (size_t at = 0; at < n; at += DS_CODEC_UNIT) {
        size_t some = n - at < DS_CODEC_UNIT ? n - at : DS_CODEC_UNIT;
        peak = codec_sum(some, v, x + at, residual + at, peak);
        bytes = codec_trip(self, some, v, x + at, bytes);
        (void)codec_difference(some, residual + at, v, x + at, 0);
    }
    return codec_peak_value(peak);
}

float ds_codec_follow(const ds_codec *self, size_t n, const float *w, float *p, uint8_t *bytes)
{
    static const float none[DS_CODEC_UNIT];
    float v[DS_CODEC_UNIT], d[DS_CODEC_UNIT];
    int32_t peak = 0;
    for (size_t at = 0; at < n; at += DS_CODEC_UNIT) {
        size_t some = n - at < DS_CODEC_UNIT ? n - at : DS_CODEC_UNIT;
        peak = codec_difference(some, v, w + at, self->ops->whole ? none : p + at, peak);
        bytes = codec_trip(self, some, v, d, bytes);
        codec_hear(self, some, p + at, d);
    }
    return codec_peak_value(peak);
}
