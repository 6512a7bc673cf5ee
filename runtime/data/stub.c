#include "descent/dataset.h"
ds_status ds_dataset_read_file(const char *path, const ds_read_request *r, ds_dataset **out)
{
    (void)path;
    (void)r;
    (void)out;
    return DS_FAIL(DS_ERR_DATA, "stub");
}
ds_status ds_splits_read(ds_world *world, const ds_config *config, const ds_shape *input,
                         const ds_kept_data *kept, ds_splits **out)
{
    (void)world;
    (void)config;
    (void)input;
    (void)kept;
    (void)out;
    return DS_FAIL(DS_ERR_DATA, "stub");
}
void ds_dataset_destroy(ds_dataset **d)
{
    if (!*d)
        return;
    ds_arena *a = (*d)->arena;
    ds_arena_destroy(&a);
    *d = NULL;
}
void ds_splits_destroy(ds_splits **d)
{
    if (!*d)
        return;
    ds_dataset_destroy(&(*d)->train);
    ds_dataset_destroy(&(*d)->test);
    ds_arena *a = (*d)->arena;
    ds_arena_destroy(&a);
    *d = NULL;
}
const ds_format_ops *ds_format_at(size_t i)
{
    (void)i;
    return NULL;
}
const ds_format_ops *ds_format_find(const char *n)
{
    (void)n;
    return NULL;
}
