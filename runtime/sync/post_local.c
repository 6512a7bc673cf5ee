/* Post-local SGD (Lin et al., ICLR 2020): the exact strategy for the first sync.local_after steps,
 * where gradients are large and replicas would part, then local SGD. Both live side by side; at the
 * change every replica takes over parameters and optimizer state. Memory: the exact strategy's
 * beside local SGD's. */
#include <string.h>

#include "local.h"

/* The first phase, and what the engine is shown of the second. */
typedef struct post_local {
    ds_exchange *exact;
    bool over;
    int64_t after;
    float **partial, **node_params, *params, *staging;
} post_local;

static post_local *post_local_of(const ds_sync *self)
{
    const ds_local *local = self->state;
    return local != NULL ? local->first : NULL;
}

static void post_local_show(ds_sync *self, bool second)
{
    post_local *first = post_local_of(self);
    first->over = second;
    self->params = second ? first->params : ds_exchange_params(first->exact);
    self->node_params = second ? first->node_params : NULL;
    for (size_t j = 0; j < self->n_partials; j++)
        self->partial[j] = second ? first->partial[j] : ds_exchange_block(first->exact, j);
}

static int64_t post_local_after(const ds_sync *self)
{
    const ds_count *after = &self->spec.config->sync.local_after;
    int64_t steps = after->n;
    if (after->in_epochs &&
        __builtin_mul_overflow(after->n, (int64_t)self->spec.plan->steps_per_epoch, &steps))
        steps = INT64_MAX;
    return steps;
}

static ds_status post_local_keep(ds_sync *self)
{
    ds_local *local = self->state;
    post_local *first = NULL;
    size_t n = self->n_partials;
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *first, "sync", &first));
    local->first = first;
    first->after = post_local_after(self);
    first->params = self->params;
    first->node_params = self->node_params;
    DS_TRY(ds_sync_flat(self, "optimizer state at the change", &first->staging));
    DS_TRY(ds_arena_take(self->arena, n, sizeof *first->partial, "sync", &first->partial));
    memcpy(first->partial, self->partial, n * sizeof *first->partial);
    return DS_OK;
}

static ds_status post_local_create(ds_sync *self)
{
    const ds_local_outer mean = {.optimizer = "sgd", .lr = 1, .first = post_local_after(self)};
    const ds_exchange_spec exact = ds_exchange_spec_of(self);
    DS_TRY(ds_local_create(self, &mean));
    DS_TRY(ds_agree(self->spec.world, post_local_keep(self)));
    post_local *first = post_local_of(self);
    DS_TRY(ds_exchange_create(&exact, &first->exact));
    post_local_show(self, first->after <= 0);
    return DS_OK;
}

static void post_local_destroy(ds_sync *self)
{
    post_local *first = post_local_of(self);
    if (first != NULL)
        ds_exchange_destroy(&first->exact);
    ds_local_destroy(self);
}

/* Every replica goes on from what the exact steps have come to. */
static ds_status post_local_change(ds_sync *self)
{
    post_local *first = post_local_of(self);
    for (size_t s = 0; s < self->spec.config->optimizer->n_slots; s++) {
        DS_TRY(ds_exchange_gather_slot(first->exact, s, first->staging));
        DS_TRY(ds_local_load_slot(self, s, first->staging));
    }
    post_local_show(self, true);
    return ds_local_load(self, ds_exchange_params(first->exact));
}

/* The change comes at the end of the last exact step: the next one's gradients are made with the
 * replicas' parameters. */
static ds_status post_local_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    const post_local *first = post_local_of(self);
    if (first->over)
        return ds_local_step(self, step, out);
    DS_TRY(ds_exchange_step(first->exact, step, out));
    return step->t + 1 >= first->after ? post_local_change(self) : DS_OK;
}

static void post_local_tensor_norms(const ds_sync *self, double *norm)
{
    const post_local *first = post_local_of(self);
    if (first->over)
        ds_local_tensor_norms(self, norm);
    else
        ds_exchange_tensor_norms(first->exact, norm);
}

static ds_status post_local_load(ds_sync *self, const float *flat)
{
    DS_TRY(ds_exchange_load(post_local_of(self)->exact, flat));
    return ds_local_load(self, flat);
}

static ds_status post_local_meet(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    return post_local_of(self)->over ? ds_local_meet(self, step, out) : DS_OK;
}

static ds_status post_local_skipped(ds_sync *self, const ds_step *step)
{
    return post_local_of(self)->over ? ds_local_skipped(self, step) : DS_OK;
}

static ds_status post_local_gather_slot(ds_sync *self, size_t s, float *flat)
{
    const post_local *first = post_local_of(self);
    return first->over ? ds_local_gather_slot(self, s, flat)
                       : ds_exchange_gather_slot(first->exact, s, flat);
}

static ds_status post_local_load_slot(ds_sync *self, size_t s, const float *flat)
{
    DS_TRY(ds_exchange_load_slot(post_local_of(self)->exact, s, flat));
    return ds_local_load_slot(self, s, flat);
}

static const char *post_local_state_at(const ds_sync *self, size_t i)
{
    const post_local *first = post_local_of(self);
    return first->over ? ds_local_state_at(self, i) : ds_exchange_state_at(first->exact, i);
}

static ds_status post_local_gather_state(ds_sync *self, size_t i, float *flat)
{
    const post_local *first = post_local_of(self);
    return first->over ? ds_local_gather_state(self, i, flat)
                       : ds_exchange_gather_state(first->exact, i, flat);
}

/* Numbers come before blocks: the phase is known. */
static ds_status post_local_load_state(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                                       bool *used)
{
    const post_local *first = post_local_of(self);
    if (first->over)
        return ds_local_load_state(self, saved, flat, used);
    return ds_exchange_load_state(first->exact, saved->name, flat, used);
}

static bool post_local_number_at(const ds_sync *self, size_t i, ds_sync_number *out)
{
    const post_local *first = post_local_of(self);
    *out = (ds_sync_number){"local", first->over};
    if (i == 0)
        return true;
    return first->over ? ds_local_number_at(self, i - 1, out)
                       : ds_exchange_number_at(first->exact, i - 1, out);
}

/* Each phase's numbers have names of their own. */
static void post_local_load_number(ds_sync *self, const ds_sync_number *number)
{
    if (strcmp(number->name, "local") == 0)
        post_local_show(self, number->value != 0);
    ds_local_load_number(self, number);
    ds_exchange_load_number(post_local_of(self)->exact, number);
}

extern const ds_sync_ops ds_sync_post_local;
const ds_sync_ops ds_sync_post_local = {
    .name = "post-local",
    .help = "exact for the first sync.local_after steps, then local-sgd",
    .codecs = true,
    .create = post_local_create,
    .destroy = post_local_destroy,
    .step = post_local_step,
    .tensor_norms = post_local_tensor_norms,
    .load = post_local_load,
    .meet = post_local_meet,
    .skipped = post_local_skipped,
    .gather_slot = post_local_gather_slot,
    .load_slot = post_local_load_slot,
    .state_at = post_local_state_at,
    .gather_state = post_local_gather_state,
    .load_state = post_local_load_state,
    .number_at = post_local_number_at,
    .load_number = post_local_load_number,
};
