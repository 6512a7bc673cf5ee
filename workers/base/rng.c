/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 * Ten rounds of two 32x32 -> 64 bit products; the key grows by the golden ratio and sqrt(3) - 1. */
#include "descent/rng.h"

#include <math.h>
#include <string.h>

#include "descent/hash.h"
#include "descent/power.h"

ds_rng ds_rng_for(uint64_t seed, const char *purpose)
{
    uint64_t mixed[2] = {seed, ds_hash_of(purpose, strlen(purpose))};
    uint64_t key = ds_hash_of(mixed, sizeof mixed);
    return (ds_rng){{(uint32_t)key, (uint32_t)(key >> 32)}};
}

void ds_rng_block(const ds_rng *self, uint64_t hi, uint64_t lo, uint32_t out[4])
{
    uint32_t c[4] = {(uint32_t)lo, (uint32_t)(lo >> 32), (uint32_t)hi, (uint32_t)(hi >> 32)};
    uint32_t k0 = self->key[0], k1 = self->key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1,
                            (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
        memcpy(c, next, sizeof c);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

uint64_t ds_rng_bits(const ds_rng *self, uint64_t index)
{
    uint32_t word[4];
    ds_rng_block(self, 0, index, word);
    return (uint64_t)word[1] << 32 | word[0];
}

double ds_rng_uniform(const ds_rng *self, uint64_t index)
{
    return (double)(ds_rng_bits(self, index) >> 11) * 0x1p-53;
}

double ds_rng_normal(const ds_rng *self, uint64_t index)
{
    uint32_t word[4];
    ds_rng_block(self, 1, index, word);
    uint64_t a = (uint64_t)word[1] << 32 | word[0], b = (uint64_t)word[3] << 32 | word[2];
    double u = (double)((a >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double v = (double)(b >> 11) * 0x1p-53;
    return sqrt(-2.0 * ds_log(u)) * ds_cos_turns(v);
}
