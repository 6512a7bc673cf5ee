/* The plan's hash: ranks that hold the same one do the same work. Numbers are hashed by value,
 * never structs (padding) or pointers. Paths stay out: hosts may keep data in different places. */
#include <string.h>

#include "descent/hash.h"

#include "plan_parts.h"

static void plan_hash_number(ds_hash *hash, int64_t x)
{
    ds_hash_add(hash, &x, sizeof x);
}

static void plan_hash_text(ds_hash *hash, const char *text)
{
    if (text != NULL)
        ds_hash_add(hash, text, strlen(text) + 1);
}

static void plan_hash_value(ds_hash *hash, const ds_value *value)
{
    if (value == NULL)
        return;
    plan_hash_text(hash, value->key);
    plan_hash_text(hash, value->text);
    plan_hash_number(hash, (int64_t)value->n);
    for (size_t i = 0; i < value->n; i++)
        plan_hash_value(hash, value->child[i]);
}

static void plan_hash_config(ds_hash *hash, const ds_config *config)
{
    static const char *const part[] = {"model", "loss", "batch",   "optimizer", "lr",
                                       "sync",  "stop", "compute", "train",     "eval"};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        plan_hash_value(hash, ds_value_find(config->root, part[i]));
    plan_hash_number(hash, (int64_t)config->seed);
    ds_hash_add(hash, &config->lr, sizeof config->lr);
    ds_hash_add(hash, &config->clip_norm, sizeof config->clip_norm);
    plan_hash_text(hash, config->optimizer != NULL ? config->optimizer->name : NULL);
    plan_hash_number(hash, config->data.normalize);
}

static void plan_hash_layout(ds_hash *hash, const ds_layout *layout)
{
    for (size_t i = 0; i < layout->n_params; i++) {
        const ds_param *p = &layout->param[i];
        plan_hash_text(hash, p->name);
        plan_hash_number(hash, p->trainable + 2 * (int64_t)p->kind);
        ds_hash_add(hash, &p->pace, sizeof p->pace);
        for (size_t d = 0; d < p->shape.n; d++)
            plan_hash_number(hash, (int64_t)p->shape.dim[d]);
        plan_hash_number(hash, (int64_t)p->offset);
        plan_hash_number(hash, (int64_t)p->stride);
    }
}

ds_status ds_plan_make_hash(ds_plan *self, const ds_config *config, const ds_layout *layout)
{
    ds_auto(ds_hash) hash = NULL;
    DS_TRY(ds_hash_create(&hash));
    plan_hash_config(hash, config);
    plan_hash_layout(hash, layout);
    plan_hash_number(hash, self->ranks);
    plan_hash_number(hash, self->replicas);
    plan_hash_number(hash, self->shards);
    plan_hash_number(hash, self->pass_shards);
    plan_hash_number(hash, (int64_t)self->batch);
    plan_hash_number(hash, (int64_t)self->samples);
    plan_hash_number(hash, self->total_steps);
    for (size_t i = 0; i < self->n_slices; i++) {
        plan_hash_number(hash, (int64_t)self->slice[i].param);
        plan_hash_number(hash, (int64_t)self->slice[i].first);
        plan_hash_number(hash, (int64_t)self->slice[i].count);
    }
    self->hash = ds_hash_value(hash);
    return DS_OK;
}
