/* placeholder */
#include "rank.h"
ds_status ds_model_diagnose(ds_workspace *self, const float *params, int64_t step, ds_shard *shard,
                            size_t room, char *text)
{
    (void)self, (void)params, (void)step, (void)shard;
    if (room > 0)
        text[0] = '\0';
    return DS_OK;
}
ds_status ds_model_gradcheck(ds_workspace *self, const float *params, ds_shard *shard,
                             int directions, uint64_t seed, ds_gradcheck *out)
{
    (void)self, (void)params, (void)shard, (void)directions, (void)seed, (void)out;
    return DS_FAIL(DS_ERR_INTERNAL, "gradcheck is not there yet");
}
