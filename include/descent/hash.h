/* XXH3-64, seed 0 (https://xxhash.com), in one call and in pieces. */
#ifndef DS_HASH_H
#define DS_HASH_H

#include <stdint.h>

#include "descent/status.h"

typedef struct ds_hash ds_hash; /* a hash under way */

DS_API uint64_t ds_hash_of(const void *bytes, size_t n);
DS_API ds_status ds_hash_create(ds_hash **out) DS_NODISCARD;
DS_API void ds_hash_destroy(ds_hash **hash);
DS_API void ds_hash_add(ds_hash *self, const void *bytes, size_t n);
DS_API uint64_t ds_hash_value(const ds_hash *self);

#endif
