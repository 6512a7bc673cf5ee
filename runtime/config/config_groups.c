/* Parameter groups: tensors that the optimizer treats otherwise than all others. A group's options
 * are a copy of the optimizer's with another weight_decay, so that no optimizer knows of groups. */
#include <string.h>

#include "config_parts.h"

/* A copy of the optimizer's options with that weight decay. False in *there: it has none. */
static ds_status groups_options(ds_config *self, const void *options, double decay, bool *there,
                                const void **out)
{
    char *copy = NULL;
    const ds_option *o = self->optimizer->options;
    while (o->name != NULL && strcmp(o->name, "weight_decay") != 0)
        o++;
    *there = o->name != NULL && o->type == DS_OPTION_REAL;
    DS_TRY(
        ds_arena_take(self->arena, self->optimizer->options_size, 1, "optimizer options", &copy));
    memcpy(copy, options, self->optimizer->options_size);
    if (*there)
        memcpy(copy + o->offset, &decay, sizeof decay);
    *out = copy;
    return DS_OK;
}

static ds_status groups_decay(ds_config *self, const ds_value *at, const void *options,
                              ds_optim_group *out)
{
    double decay = 0;
    bool there = false;
    char found[96];
    if (ds_value_real(at, "optimizer.groups", "weight_decay", &decay) != DS_OK || decay < 0)
        return ds_value_fail(at, "optimizer.groups: weight_decay is %s, expected a number >= 0",
                             ds_value_describe(at, sizeof found, found));
    DS_TRY(groups_options(self, options, decay, &there, &out->options));
    if (!there)
        return ds_value_fail(at, "optimizer.groups: optimizer %s has no weight_decay",
                             self->optimizer->name);
    return DS_OK;
}

static ds_status groups_one(ds_config *self, const ds_value *map, const void *options,
                            ds_optim_group *out)
{
    ds_raw_group raw = {0};
    char found[96];
    if (map->kind != DS_VALUE_MAP)
        return ds_value_fail(map, "optimizer.groups has %s, expected maps with 'match'",
                             ds_value_describe(map, sizeof found, found));
    DS_TRY(ds_options_parse(ds_config_group_options, map, "optimizer.groups", self->arena, &raw));
    *out = (ds_optim_group){.match = raw.match,
                            .at = ds_value_find(map, "match"),
                            .lr_scale = raw.lr_scale,
                            .l1 = ds_value_is_null(ds_value_find(map, "l1")) ? -1 : raw.l1,
                            .l2 = ds_value_is_null(ds_value_find(map, "l2")) ? -1 : raw.l2,
                            .as_vector = raw.as_vector};
    if (ds_value_is_null(raw.weight_decay))
        return DS_OK;
    return groups_decay(self, raw.weight_decay, options, out);
}

ds_status ds_config_take_groups(ds_config *self, const void *options, ds_raw_optimizer *raw)
{
    const ds_value *list = raw->groups;
    ds_optim_group *group = NULL;
    bool there = false;
    char found[96];
    if (!raw->decay_bias)
        DS_TRY(groups_options(self, options, 0, &there, &self->bias_options));
    if (ds_value_is_null(list)) { /* the resolved config says so */
        ds_value *none = NULL;
        DS_TRY(ds_value_group(self->arena, DS_VALUE_LIST, "groups", &none));
        raw->groups = none;
        return DS_OK;
    }
    if (list->kind != DS_VALUE_LIST)
        return ds_value_fail(list, "optimizer.groups is %s, expected a list of maps",
                             ds_value_describe(list, sizeof found, found));
    DS_TRY(ds_arena_take(self->arena, list->n, sizeof *group, "parameter groups", &group));
    for (size_t i = 0; i < list->n; i++)
        DS_TRY(groups_one(self, list->child[i], options, &group[i]));
    self->n_groups = list->n;
    self->group = group;
    return DS_OK;
}
