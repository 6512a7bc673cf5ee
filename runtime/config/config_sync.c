/* The sync section: what all strategies share, and the options of the one that was chosen. An
 * option of another strategy is refused: it would look as if it did something. */
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

const ds_option *ds_config_strategy_options(const char *strategy)
{
    for (size_t i = 0; ds_config_strategies[i].name != NULL; i++)
        if (strcmp(ds_config_strategies[i].name, strategy) == 0)
            return ds_config_strategies[i].options;
    return NULL;
}

static bool config_sync_has(const ds_option *table, const char *key)
{
    for (; table != NULL && table->name != NULL; table++)
        if (strcmp(table->name, key) == 0)
            return true;
    return false;
}

/* A strategy with options whose name is nearly this one. */
static const char *config_sync_near(const char *strategy)
{
    const char *names[16];
    size_t n = 0;
    for (; n < 16 && ds_config_strategies[n].name != NULL; n++)
        names[n] = ds_config_strategies[n].name;
    return ds_closest(strategy, n, names);
}

ds_status ds_config_sync_foreign(const ds_value *raw, const char *strategy)
{
    const ds_option *own = ds_config_strategy_options(strategy);
    const char *near = own == NULL ? config_sync_near(strategy) : NULL;
    for (size_t i = 0; raw != NULL && raw->kind == DS_VALUE_MAP && i < raw->n; i++) {
        const char *key = raw->child[i]->key;
        char owners[128] = "";
        if (config_sync_has(ds_config_sync_options, key) || config_sync_has(own, key))
            continue;
        for (size_t s = 0; ds_config_strategies[s].name != NULL; s++) {
            if (!config_sync_has(ds_config_strategies[s].options, key))
                continue;
            size_t used = strlen(owners);
            snprintf(owners + used, sizeof owners - used, "%s%s", used > 0 ? ", " : "",
                     ds_config_strategies[s].name);
        }
        if (owners[0] != '\0' && near != NULL)
            return ds_value_fail(ds_value_find(raw, "strategy"),
                                 "sync: there is no strategy '%.60s' with %s; did you mean '%s'?",
                                 strategy, key, near);
        if (owners[0] != '\0')
            return ds_value_fail_key(raw->child[i],
                                     "sync: %s is an option of %s, and the strategy is %s: leave "
                                     "it out, or choose another sync.strategy",
                                     key, owners, strategy);
    }
    return DS_OK;
}

ds_status ds_config_sync_own(ds_config *self, const ds_value *raw, ds_value *map)
{
    const ds_option *table = ds_config_strategy_options(self->sync.strategy);
    ds_raw_local l = {0};
    ds_count after = {0};
    char text[DS_COUNT_TEXT];
    if (table == NULL)
        return DS_OK;
    DS_TRY(ds_options_fill(table, raw, "sync", self->arena, &l));
    if (l.local_after != NULL) {
        DS_TRY(ds_config_count(l.local_after, "sync: local_after",
                               "a count such as 500 steps or 1 epoch", &after));
        ds_config_count_text(&after, text);
        DS_TRY(ds_config_put(self, map, "local_after", text, l.local_after));
        l.local_after = ds_value_find(map, "local_after");
    }
    self->sync.local_steps = l.local_steps;
    self->sync.local_after = after;
    self->sync.optimizer_state = (ds_optimizer_state)l.optimizer_state;
    self->sync.outer_lr = l.outer_lr;
    self->sync.outer_momentum = l.outer_momentum;
    return ds_config_resolve(self, table, &l, raw, map);
}
