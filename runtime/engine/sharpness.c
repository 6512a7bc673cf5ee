/* Sharpness: the largest eigenvalue of the Hessian H of the training loss over the samples of the
 * run's first step, by power iteration from a fixed start. A product with H is a central difference
 * of two gradients, H v = (g(w + e v) - g(w - e v)) / 2e (Pearlmutter 1994 has the exact operator;
 * e = 1e-3 (1 + |w|) keeps both errors below a percent in float). Where an eigenvalue as large is
 * negative, it starts again with H + |H v| I, whose largest is that of H.
 * Gradients go through an exact exchange of its own, which updates nothing, so that the run's state
 * is never touched and the bits depend on no rank count. Cohen et al. (ICLR 2021) have what the
 * number says: plain gradient descent settles where it is 2 / lr. Cost: two gradients a product,
 * four flat blocks and the exchange's a rank. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "descent/rng.h"

#include "flat.h"
#include "trainer_parts.h"

static const double sharpness_settled = 1e-5; /* relative change of the eigenvalue */
/* A quotient below that part of |H v| hides an eigenvalue as large and negative. */
static const double sharpness_clear = 0.9;

struct sharpness {
    ds_config config; /* the run's, but for how gradients meet: they are given to all, not used */
    ds_sync *sync;
    size_t n;                        /* floats of a flat block */
    float *start, *v, *w, *at, *low; /* (n) each */
};

/* Owners write the mean gradient where parameters would stand (owner.c's gather). */
static const ds_optim_ops sharpness_gather = {.name = "sharpness", .reach = DS_REACH_MODEL};

static void sharpness_start(const ds_trainer *self, float *v)
{
    const ds_layout *layout = ds_model_layout(self->model);
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        char purpose[300];
        snprintf(purpose, sizeof purpose, "sharpness/%s", param->name);
        const ds_rng rng = ds_rng_for(self->config->seed, purpose);
        for (size_t r = 0; ds_param_learns(param) && r < param->rows; r++)
            for (size_t c = 0; c < param->cols; c++)
                v[param->offset + r * param->stride + c] =
                    (float)(2 * ds_rng_uniform(&rng, r * param->cols + c) - 1);
    }
}

static ds_status sharpness_take(ds_trainer *self, sharpness **out)
{
    sharpness *s = NULL;
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *s, "sharpness", &s));
    s->config = *self->config;
    s->config.optimizer = &sharpness_gather;
    s->config.clip_norm = s->config.l1 = s->config.l2 = s->config.ema = 0;
    s->config.n_groups = 0;
    s->config.train.skip_nan = false;
    s->config.train.spike_z = 0;
    s->config.sync.strategy = "exact";
    s->config.sync.codec = (ds_codec){0};
    s->n = ds_model_layout(self->model)->n_floats;
    float **block[] = {&s->start, &s->v, &s->w, &s->at, &s->low};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        DS_TRY(ds_arena_take(self->arena, s->n, sizeof(float), "sharpness", block[i]));
    sharpness_start(self, s->start);
    *out = s;
    return DS_OK;
}

ds_status sharpness_create(ds_trainer *self)
{
    sharpness *s = NULL;
    if (self->config->train.sharpness_every.n == 0)
        return DS_OK;
    DS_TRY(ds_agree(self->world, sharpness_take(self, &s)));
    self->sharpness = s;
    ds_sync_spec spec = {.world = self->world,
                         .plan = self->plan,
                         .layout = ds_model_layout(self->model),
                         .config = &s->config,
                         .kernels = self->kernels};
    return ds_sync_create(&spec, &s->sync);
}

void sharpness_destroy(ds_trainer *self)
{
    if (self->sharpness != NULL)
        ds_sync_destroy(&self->sharpness->sync);
}

bool sharpness_due(const ds_trainer *self)
{
    int64_t every = self->config->train.sharpness_every.n;
    if (self->config->train.sharpness_every.in_epochs &&
        __builtin_mul_overflow(every, (int64_t)self->plan->steps_per_epoch, &every))
        return false;
    return every > 0 && self->step % every == 0;
}

/* The mean gradient at s->at into out, without the penalties' part; *finite false where there is
 * none. */
static ds_status sharpness_gradient(ds_trainer *self, bool *finite, float *out)
{
    sharpness *s = self->sharpness;
    ds_sync *own = self->sync;
    ds_outcome outcome = {0};
    batch_source batch = {0};
    batch.n = ds_plan_batch(self->plan, 0, &batch.position);
    batch.order = ds_order_for(self->config->seed, 0, self->splits->train->n);
    DS_TRY(ds_sync_load(s->sync, s->at));
    self->sync = s->sync; /* whose blocks the gradients go to */
    ds_status mine = gradient_of_batch(self, &batch);
    self->sync = own;
    if (mine != DS_OK)
        self->bad[ds_plan_shard_begin(self->plan, ds_world_rank(self->world))] = true;
    ds_step step = {.t = 0,
                    .samples = batch.n,
                    .weight = class_weights_of_batch(self, &batch),
                    .lr = 1,
                    .loss = self->loss,
                    .bad = self->bad};
    DS_TRY(ds_sync_step(s->sync, &step, &outcome));
    DS_TRY(ds_agree(self->world, mine));
    *finite = outcome.finite;
    memcpy(out, ds_sync_params(s->sync), s->n * sizeof *out);
    return DS_OK;
}

static void sharpness_step_to(const sharpness *s, double by)
{
    for (size_t i = 0; i < s->n; i++)
        s->at[i] = (float)((double)s->w[i] + by * (double)s->v[i]);
}

/* s->low = H v, the penalties' part included. What does not learn stays out: v is 0 there. */
static ds_status sharpness_product(ds_trainer *self, double e, bool *finite)
{
    sharpness *s = self->sharpness;
    const ds_layout *layout = ds_model_layout(self->model);
    bool low = false;
    sharpness_step_to(s, -e);
    DS_TRY(sharpness_gradient(self, &low, s->low));
    sharpness_step_to(s, e);
    DS_TRY(sharpness_gradient(self, finite, s->at));
    *finite = *finite && low;
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        size_t n = ds_param_floats(param), at = param->offset;
        double l2 = self->penalty != NULL ? self->penalty[p].l2 : 0;
        for (size_t i = at; i < at + n; i++) {
            double slope = ((double)s->at[i] - (double)s->low[i]) / (2 * e);
            s->low[i] = ds_param_learns(param) ? (float)(slope + l2 * (double)s->v[i]) : 0.0f;
        }
    }
    return DS_OK;
}

/* v = x / |x|; false where there is no direction. */
static bool sharpness_turn(sharpness *s, const float *x)
{
    double norm = sqrt(flat_dot(s->n, x, x));
    if (!(norm > 0) || !isfinite(norm))
        return false;
    for (size_t i = 0; i < s->n; i++)
        s->v[i] = (float)((double)x[i] / norm);
    return true;
}

/* One round of power iteration with H + shift I: the Rayleigh quotient of H where it is above what
 * was found, and |H v|. */
static ds_status sharpness_round(ds_trainer *self, double e, double shift, double *radius,
                                 ds_sharpness_facts *out)
{
    sharpness *s = self->sharpness;
    double before = (double)NAN, found = (double)NAN;
    bool going = sharpness_turn(s, s->start), finite = false;
    for (int64_t i = 0; going && i < self->config->train.sharpness_iterations; i++) {
        DS_TRY(sharpness_product(self, e, &finite));
        out->iterations++;
        found = finite ? flat_dot(s->n, s->v, s->low) : (double)NAN;
        *radius = sqrt(flat_dot(s->n, s->low, s->low));
        going = finite && !(fabs(found - before) <= sharpness_settled * fabs(found));
        before = found;
        for (size_t k = 0; k < s->n; k++)
            s->low[k] = (float)((double)s->low[k] + shift * (double)s->v[k]);
        going = going && sharpness_turn(s, s->low);
    }
    if (!(found <= out->sharpness)) /* a lower bound of the largest, as all of them are */
        out->sharpness = found;
    return DS_OK;
}

ds_status sharpness_measure(ds_trainer *self, ds_sharpness_facts *out)
{
    sharpness *s = self->sharpness;
    double radius = 0;
    *out = (ds_sharpness_facts){.bound = 2 / step_rate(self), .sharpness = -(double)INFINITY};
    ds_watch_note(self->world, DS_PHASE_EVALUATION, self->step);
    memcpy(s->w, ds_trainer_params(self), s->n * sizeof *s->w);
    double e = 1e-3 * (1 + sqrt(flat_dot(s->n, s->w, s->w)));
    DS_TRY(sharpness_round(self, e, 0, &radius, out));
    if (out->sharpness < sharpness_clear * radius)
        DS_TRY(sharpness_round(self, e, radius, &radius, out));
    return DS_OK;
}
