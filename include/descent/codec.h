/* Codecs: floats in fewer bits, for the wire. One file and one line in codecs.list add one; `none`
 * is the absence of a codec. A codec is deterministic (round to nearest even, no dice) and works on
 * pieces of the flat block that start where a tensor starts or a multiple of DS_CODEC_UNIT floats
 * from there: the bytes of such pieces laid end to end are the bytes of the whole, so nothing
 * depends on how ranks, buckets or slices cut a tensor.
 *
 * Error feedback (Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019): what a code does
 * not say stays with the sender and is added to the next thing said, so that over all steps nothing
 * is lost but the last residual.
 *
 * Not finite: fp16 and bf16 keep Inf and NaN (a quiet one); in int8 the block that holds one
 * decodes to NaN. Finite values never become Inf: what is too large for the format becomes its
 * largest, and the cut-off part stays in the residual. Unsigned -0 may decode as +0. */
#ifndef DS_CODEC_H
#define DS_CODEC_H

#include <stdint.h>

#include "descent/option.h"

enum { DS_CODEC_UNIT = 4096 }; /* floats; equals DS_BLOCK of the exact sum */

typedef struct ds_codec_ops {
    const char *name;
    const char *help;
    const ds_option *options; /* stand beside `compress` in the sync section; NULL: none */
    size_t options_size;
    /* Largest |x * scale| that is kept; above it is cut off. 0: all of float32's range, and then
     * `scale` does not matter. */
    float limit;
    bool whole; /* exact: what follows says values, not what to add to the last ones */
    /* Local. Bytes of n floats, at most 4 n + 4. */
    size_t (*bytes)(const void *options, size_t n);
    /* Local. x (n) -> bytes (any alignment), of x * scale. */
    void (*encode)(const void *options, size_t n, const float *x, float scale, uint8_t *bytes);
    /* Local. bytes -> x (n), divided by scale. */
    void (*decode)(const void *options, size_t n, const uint8_t *bytes, float scale, float *x);
} ds_codec_ops;

/* A codec ready for use. scale: a power of two in [2^-64, 2^64], equal on both sides; only a codec
 * with a limit heeds it. */
typedef struct ds_codec {
    const ds_codec_ops *ops; /* NULL: none */
    const void *options;
    float scale;
} ds_codec;

DS_API const ds_codec_ops *ds_codec_at(size_t i); /* NULL past the end */
DS_API const ds_codec_ops *ds_codec_find(const char *name);

/* Floats as they are, for what no codec may touch. Not in the list. */
DS_API extern const ds_codec_ops ds_codec_plain;

/* All below: Local, allocate nothing, need 50 KiB of stack. n floats are one piece as above. The
 * returned peak is the largest |v| that was to be encoded (before scale), INFINITY where one was
 * not finite, 0 for n = 0: peak * scale > limit says that something was cut off. */
DS_API size_t ds_codec_bytes(const ds_codec *self, size_t n);
DS_API void ds_codec_encode(const ds_codec *self, size_t n, const float *x, uint8_t *bytes);
DS_API void ds_codec_decode(const ds_codec *self, size_t n, const uint8_t *bytes, float *x);
/* x (n) hears what ds_codec_follow said: x += decoded; of a whole codec x = decoded. */
DS_API void ds_codec_heed(const ds_codec *self, size_t n, const uint8_t *bytes, float *x);
/* Forward, with error feedback: v = x + residual; code v; residual = v - decoded; x = decoded.
 * bytes NULL: the round trip alone (what others would decode), for those who share memory. x and
 * residual never overlap. */
DS_API float ds_codec_send(const ds_codec *self, size_t n, float *x, float *residual,
                           uint8_t *bytes);
/* The way back: code v = w - p; p += decoded. Where all hold the same p and heed, all p stay the
 * same, and w - p is the residual. A whole codec codes w, and p is w: p + (w - p) could be off by a
 * rounding, and a step later not. bytes may be NULL. */
DS_API float ds_codec_follow(const ds_codec *self, size_t n, const float *w, float *p,
                             uint8_t *bytes);

#endif
