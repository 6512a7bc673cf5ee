/* How the optimizer treats each tensor: groups by name, what biases and gains are spared, and how
 * the tensor lies. A pure function of config and tensor; asked at set-up, never in a step. */
#include <fnmatch.h>

#include "descent/plan.h"

#include "plan_parts.h"

static const ds_optim_group *rules_group(const ds_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_groups; i++)
        if (fnmatch(config->group[i].match, name, 0) == 0)
            return &config->group[i];
    return NULL;
}

ds_rule ds_plan_rule(const ds_config *config, const ds_param *param)
{
    const ds_optim_group *group = rules_group(config, param->name);
    ds_rule rule = {
        .options = config->optimizer_options,
        .lr_scale = 1,
        .l1 = config->l1,
        .l2 = config->l2,
        .matrix = {param->rows, param->cols, param->stride, param->transposed, param->shape.n}};
    if (!ds_param_learns(param)) {
        rule.l1 = rule.l2 = 0;
        return rule;
    }
    if (config->bias_options != NULL && param->shape.n < 2) {
        rule.options = config->bias_options;
        rule.l1 = rule.l2 = 0;
    }
    if (group != NULL) {
        rule.options = group->options != NULL ? group->options : rule.options;
        rule.lr_scale = group->lr_scale;
        rule.l1 = group->l1 >= 0 ? group->l1 : rule.l1;
        rule.l2 = group->l2 >= 0 ? group->l2 : rule.l2;
        rule.matrix.dims = group->as_vector ? 1 : rule.matrix.dims;
    }
    return rule;
}

bool ds_plan_uses_slot(const ds_config *config, const ds_param *param, size_t slot)
{
    const ds_rule rule = ds_plan_rule(config, param);
    const ds_optim_ops *ops = config->optimizer;
    return ds_param_learns(param) && (slot >= ops->n_slots || ops->uses == NULL ||
                                      ops->uses(rule.options, slot, &rule.matrix));
}

bool ds_plan_penalised(const ds_config *config)
{
    bool any = config->l1 > 0 || config->l2 > 0;
    for (size_t i = 0; i < config->n_groups; i++)
        any = any || config->group[i].l1 > 0 || config->group[i].l2 > 0;
    return any;
}

ds_status ds_plan_check_groups(const ds_config *config, const ds_layout *layout)
{
    for (size_t i = 0; i < config->n_groups; i++) {
        const ds_optim_group *group = &config->group[i];
        bool met = false;
        for (size_t p = 0; p < layout->n_params && !met; p++)
            met = fnmatch(group->match, layout->param[p].name, 0) == 0;
        if (!met)
            return ds_value_fail(group->at,
                                 "optimizer.groups: no tensor of the model is called '%.60s'; they "
                                 "are called as '%s' (* stands for anything)",
                                 group->match,
                                 layout->n_params > 0 ? layout->param[0].name : "dense1/weight");
    }
    return DS_OK;
}
