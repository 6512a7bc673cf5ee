/* The order of an epoch as a bijection of [0, n): a Feistel network on the least power of two >= n
 * (and 256), walked until the value falls below n (Black and Rogaway, "Ciphers with arbitrary
 * finite domains", CT-RSA 2002). Rounds use a 32-bit mixer keyed by Philox; small domains need more
 * of them to look random. A position costs at most two walks on average (from n = 128 on), about 40
 * ns each; nothing is stored, so a resume costs nothing. */
#include "descent/dataset.h"
#include "descent/rng.h"

enum { ORDER_MOST_ROUNDS = 12, ORDER_ROUNDS = 8, ORDER_SMALL_BITS = 14, ORDER_LEAST_BITS = 8 };

ds_order ds_order_for(uint64_t seed, uint64_t epoch, uint64_t n)
{
    unsigned bits = ORDER_LEAST_BITS;
    while (bits < 62 && n > (uint64_t)1 << bits)
        bits++;
    ds_order self = {.n = n, .low_bits = bits / 2, .high_bits = bits - bits / 2};
    self.rounds = bits < ORDER_SMALL_BITS ? ORDER_MOST_ROUNDS : ORDER_ROUNDS;
    ds_rng rng = ds_rng_for(seed, "order");
    for (uint64_t i = 0; i < ORDER_MOST_ROUNDS / 4; i++)
        ds_rng_block(&rng, epoch, i, self.key + 4 * i);
    return self;
}

/* A bijective 32-bit mixer (two multiplications, three shifts: Wellons' search, 2018). */
static inline uint32_t order_mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x;
}

/* Two parts of `low` and `high` bits, each in turn mixed into the other: every round can be undone,
 * so the whole is a bijection of 2^(low + high) numbers, at most twice n. */
uint64_t ds_order_at(const ds_order *self, uint64_t position)
{
    const unsigned low = self->low_bits, high = self->high_bits;
    const uint32_t low_mask = (uint32_t)(((uint64_t)1 << low) - 1),
                   high_mask = (uint32_t)(((uint64_t)1 << high) - 1);
    uint64_t x = position;
    do {
        uint32_t right = (uint32_t)x & low_mask, left = (uint32_t)(x >> low) & high_mask;
        for (unsigned i = 0; i < self->rounds; i += 2) {
            left ^= order_mix(right + self->key[i]) >> (32 - high) & high_mask;
            right ^= order_mix(left + self->key[i + 1]) >> (32 - low) & low_mask;
        }
        x = (uint64_t)left << low | right;
    } while (x >= self->n);
    return x;
}
