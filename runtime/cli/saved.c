#include "saved.h"

#include "descent/checkpoint.h"

ds_status saved_open(ds_world *world, const char *checkpoint, const arg_list *set, bool evaluate,
                     ds_trainer **out)
{
    char path[4096];
    ds_auto(ds_checkpoint) file = NULL;
    ds_status mine = ds_checkpoint_resolve(checkpoint, sizeof path, path);
    if (mine == DS_OK)
        mine = ds_checkpoint_open(path, &file);
    const ds_attr *config = mine == DS_OK ? ds_checkpoint_attr(file, "config") : NULL;
    if (mine == DS_OK && (config == NULL || config->kind != DS_ATTR_TEXT))
        mine = DS_FAIL(DS_ERR_CHECKPOINT,
                       "%s has no /run/config: it was not written by descent train", path);
    DS_TRY(ds_agree(world, mine));
    ds_trainer_spec spec = {.config = config->text,
                            .n_set = set->n,
                            .set = set->item,
                            .checkpoint = path,
                            .inference = true,
                            .evaluate = evaluate};
    return ds_trainer_open(world, &spec, out);
}
