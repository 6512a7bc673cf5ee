/* The exact sum: partials are added by the owners of slices in the order of one
 * fixed tree, so the bits do not depend on the number of ranks. Reduce-scatter by direct exchange,
 * update by the owner, then the new parameters to all: 2 (n-1)/n of the model a rank on the wire
 * for powers of two, the ring's bytes; nothing is copied between ranks of one host. Optimizer state
 * and update time divide by the ranks (ZeRO stage 1, Rajbhandari et al., SC'20). All of it is
 * exchange.h's. */
#include "exchange.h"

static ds_status exact_create(ds_sync *self)
{
    ds_exchange_spec spec = ds_exchange_spec_of(self);
    ds_exchange *x = NULL;
    spec.overlap = true;
    DS_TRY(ds_exchange_create(&spec, &x));
    self->state = x;
    self->transport = ds_exchange_transport(x);
    self->params = ds_exchange_params(x);
    for (size_t i = 0; i < self->n_partials; i++)
        self->partial[i] = ds_exchange_block(x, i);
    return DS_OK;
}

static void exact_destroy(ds_sync *self)
{
    ds_exchange *x = self->state;
    ds_exchange_destroy(&x);
}

static void exact_begin(ds_sync *self, int64_t t)
{
    (void)t;
    ds_exchange_prepare(self->state);
}

static void exact_ready(ds_sync *self, size_t samples, size_t param)
{
    ds_exchange_ready(self->state, samples, param);
}

static void exact_poll(ds_sync *self)
{
    ds_exchange_poll(self->state);
}

static ds_status exact_step(ds_sync *self, const ds_step *step, ds_outcome *out)
{
    return ds_exchange_step(self->state, step, out);
}

static void exact_tensor_norms(const ds_sync *self, double *norm)
{
    ds_exchange_tensor_norms(self->state, norm);
}

static ds_status exact_load(ds_sync *self, const float *flat)
{
    return ds_exchange_load(self->state, flat);
}

static ds_status exact_gather_slot(ds_sync *self, size_t s, float *flat)
{
    return ds_exchange_gather_slot(self->state, s, flat);
}

static ds_status exact_load_slot(ds_sync *self, size_t s, const float *flat)
{
    return ds_exchange_load_slot(self->state, s, flat);
}

static const char *exact_state_at(const ds_sync *self, size_t i)
{
    return ds_exchange_state_at(self->state, i);
}

static ds_status exact_gather_state(ds_sync *self, size_t i, float *flat)
{
    return ds_exchange_gather_state(self->state, i, flat);
}

static ds_status exact_load_state(ds_sync *self, const ds_sync_saved *saved, const float *flat,
                                  bool *used)
{
    return ds_exchange_load_state(self->state, saved->name, flat, used);
}

static bool exact_number_at(const ds_sync *self, size_t i, ds_sync_number *out)
{
    return ds_exchange_number_at(self->state, i, out);
}

static void exact_load_number(ds_sync *self, const ds_sync_number *number)
{
    ds_exchange_load_number(self->state, number);
}

extern const ds_sync_ops ds_sync_exact;
const ds_sync_ops ds_sync_exact = {
    .name = "exact",
    .help = "sum along one fixed tree: the same bits on any number of ranks (default)",
    .codecs = true,
    .create = exact_create,
    .destroy = exact_destroy,
    .begin = exact_begin,
    .ready = exact_ready,
    .poll = exact_poll,
    .step = exact_step,
    .tensor_norms = exact_tensor_norms,
    .load = exact_load,
    .gather_slot = exact_gather_slot,
    .load_slot = exact_load_slot,
    .state_at = exact_state_at,
    .gather_state = exact_gather_state,
    .load_state = exact_load_state,
    .number_at = exact_number_at,
    .load_number = exact_load_number,
};
