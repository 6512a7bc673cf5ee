/* The keys of a learning rate. An optimizer that drives has none: where they are given they stay in
 * the resolved tree, to be refused; where not, nothing is filled in. Checkpoints of before wrote
 * them all: what a checkpoint's config has may stand in the config that resumes it. */
#include <string.h>

#include "config_parts.h"

/* A resolved map keeps what the section gave. */
static void rate_keep_given(ds_value *map, const ds_value *raw, const char *only)
{
    size_t n = 0;
    for (size_t i = 0; i < map->n; i++) {
        const char *key = map->child[i]->key;
        if ((only == NULL || strcmp(key, only) == 0) && ds_value_is_null(ds_value_find(raw, key)))
            continue;
        map->child[n++] = map->child[i];
    }
    map->n = n;
}

void ds_config_drop_rate(const ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_value *map = root->child[root->n - 1];
    if (self->optimizer->reach != DS_REACH_MODEL)
        return;
    bool optimizer = strcmp(map->key, "optimizer") == 0;
    rate_keep_given(map, raw, optimizer ? "lr" : NULL);
    if (map->n == 0)
        root->n--;
}

static ds_status rate_refuse(const ds_config *self, const ds_config *then, const char *section,
                             const char *key)
{
    const ds_value *at = ds_value_find(ds_value_find(self->root, section), key);
    if (at == NULL || (then != NULL && then->optimizer->reach == DS_REACH_MODEL &&
                       ds_value_find(ds_value_find(then->root, section), key) != NULL))
        return DS_OK;
    return ds_value_fail(at,
                         "%s.%s does not go with optimizer %s, which has no learning rate: it "
                         "searches its steps; leave it out",
                         section, key, self->optimizer->name);
}

ds_status ds_config_check_rate(const ds_config *self, const ds_config *then)
{
    if (self->optimizer->reach != DS_REACH_MODEL)
        return DS_OK;
    DS_TRY(rate_refuse(self, then, "optimizer", "lr"));
    const ds_value *lr = ds_value_find(self->root, "lr");
    for (size_t i = 0; lr != NULL && i < lr->n; i++)
        DS_TRY(rate_refuse(self, then, "lr", lr->child[i]->key));
    return DS_OK;
}
