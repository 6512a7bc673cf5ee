/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11). A number is a pure function
 * of (seed, purpose, counter); no state, no history, so rank counts and restarts cannot change it.
 */
#ifndef DS_RNG_H
#define DS_RNG_H

#include <stdint.h>

#include "descent/status.h"

typedef struct ds_rng {
    uint32_t key[2];
} ds_rng;

/* Local. The stream of `seed` for one purpose, a text such as "init/dense1/weight" or "order". */
DS_API ds_rng ds_rng_for(uint64_t seed, const char *purpose);
/* Local. The four 32-bit words at counter (hi, lo). */
DS_API void ds_rng_block(const ds_rng *self, uint64_t hi, uint64_t lo, uint32_t out[4]);
/* Local. Number `index` of the stream: 64 random bits; uniform in [0, 1) with 53 bits; standard
 * normal (Box-Muller in double). */
DS_API uint64_t ds_rng_bits(const ds_rng *self, uint64_t index);
DS_API double ds_rng_uniform(const ds_rng *self, uint64_t index);
DS_API double ds_rng_normal(const ds_rng *self, uint64_t index);

#endif
