/* The keys of a learning rate. An optimizer that drives has none: where they are given they stay in
 * the resolved tree, and are said to be idle; where not, nothing is filled in. */
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

const char *ds_config_idle_rate(const ds_config *self)
{
    if (self->optimizer->reach != DS_REACH_MODEL)
        return NULL;
    if (ds_value_find(ds_value_find(self->root, "optimizer"), "lr") != NULL)
        return "optimizer.lr";
    return ds_value_find(self->root, "lr") != NULL ? "lr" : NULL;
}
