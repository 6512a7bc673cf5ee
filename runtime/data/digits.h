/* Drawn digits: a small font, moved, turned, stretched and smeared, 28 x 28 bytes. */
#ifndef DS_DIGITS_H
#define DS_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#include "descent/rng.h"

enum { DIGITS_SIDE = 28 };

/* Local. Image `index` of a digit into out (28, 28): a pure function of its arguments. noise is a
 * pixel's deviation, of 1. */
void digits_draw(int digit, const ds_rng *rng, uint64_t index, double noise, uint8_t *out);

#endif
