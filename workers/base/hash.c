#include "descent/hash.h"

#include <xxhash.h>

uint64_t ds_hash_of(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

ds_status ds_hash_create(ds_hash **out)
{
    XXH3_state_t *state = XXH3_createState();
    DS_CHECK(state != NULL, DS_ERR_NOMEM, "out of memory for a hash");
    XXH3_64bits_reset(state);
    *out = (ds_hash *)state;
    return DS_OK;
}

void ds_hash_destroy(ds_hash **hash)
{
    XXH3_freeState((XXH3_state_t *)*hash);
    *hash = NULL;
}

void ds_hash_add(ds_hash *self, const void *bytes, size_t n)
{
    XXH3_64bits_update((XXH3_state_t *)self, bytes, n);
}

uint64_t ds_hash_value(const ds_hash *self)
{
    return XXH3_64bits_digest((const XXH3_state_t *)self);
}
