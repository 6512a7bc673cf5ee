/* Optimizers that drive (reach MODEL): a step asks for loss and gradient at points of its choice.
 * Each question is one pass of the engine over the same samples: the point becomes the parameters,
 * the shards' gradients go through the exchange as ever, and what its owners write and all ranks
 * receive is the mean gradient (owner.c's gather). So answers are alike on any number of ranks, and
 * so is all that every rank computes from them on whole blocks of its own. Cost: a question is a
 * step of sgd; (3 + slots) blocks a rank. */
#include <math.h>
#include <string.h>

#include "descent/clock.h"

#include "flat.h"
#include "trainer_parts.h"

struct driver {
    ds_drive drive;
    const batch_source *batch;
    const step_wish *wish;

    float *means; /* (n) statistics of the point last asked for; NULL: the model has none */
    int word;     /* rank 0's, of the step's first question */
    int asked;
    bool lost;     /* the step's first question had no finite answer */
    int bad_shard; /* then: which shard is to blame, or -1 */
    bool took;     /* the step has asked at a point whose numbers were finite: means are its own */
    bool forget;   /* the state is of another objective */
};

static double drive_dot(ds_drive *drive, const float *a, const float *b)
{
    return flat_dot(drive->n, a, b);
}

/* What the exchange left in the parameters, and the penalty's part. */
static void drive_take(const ds_trainer *self, const float *w, float *g)
{
    const ds_layout *layout = ds_model_layout(self->model);
    const float *mean = ds_trainer_params(self);
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        size_t n = ds_param_floats(param), at = param->offset;
        float l2 = self->penalty != NULL ? (float)self->penalty[p].l2 : 0;
        if (ds_param_moves(param))
            memcpy(self->driver->means + at, mean + at, n * sizeof *g);
        if (!ds_param_learns(param)) {
            memset(g + at, 0, n * sizeof *g);
            continue;
        }
        for (size_t i = at; i < at + n; i++)
            g[i] = mean[i] + l2 * w[i];
    }
}

static ds_status drive_ask(ds_drive *drive, const float *w, double *loss, float *g)
{
    ds_trainer *t = drive->context;
    driver *d = t->driver;
    ds_outcome outcome = {0};
    DS_TRY(ds_sync_load(t->sync, w));
    double penalty = step_penalty(t);
    ds_watch_note(t->world, DS_PHASE_COMPUTING, t->step);
    ds_status mine = gradient_of_batch(t, d->batch);
    if (mine != DS_OK)
        t->bad[ds_plan_shard_begin(t->plan, ds_world_rank(t->world))] = true;
    ds_step step = {.t = t->step,
                    .samples = d->batch->n,
                    .weight = class_weights_of_batch(t, d->batch),
                    .lr = 1,
                    .loss = t->loss,
                    .bad = t->bad,
                    .word = d->wish->word};
    ds_watch_note(t->world, DS_PHASE_EXCHANGE, t->step);
    DS_TRY(ds_sync_step(t->sync, &step, &outcome));
    if (d->asked++ == 0) {
        d->word = outcome.word;
        d->lost = !outcome.finite;
        d->bad_shard = outcome.bad_shard;
    }
    *loss = outcome.finite ? outcome.loss + penalty : (double)INFINITY;
    if (!outcome.finite)
        return ds_agree(t->world, mine);
    drive_take(t, w, g);
    d->took = true;
    return DS_OK;
}

/* Running means move by what the last finite point asked for had; a step without one leaves them:
 * means of an earlier step are gone in a resumed run. */
static void drive_move(const ds_trainer *self)
{
    const ds_layout *layout = ds_model_layout(self->model);
    driver *d = self->driver;
    for (size_t p = 0; d->took && p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        if (ds_param_moves(param))
            ds_param_move(param, ds_param_floats(param), 1, d->means + param->offset,
                          d->drive.w + param->offset);
    }
}

/* Optimizers give up where a step has no finite point to begin at: the culprits are named. */
static ds_status drive_gives_up(ds_trainer *self, ds_status status)
{
    const driver *d = self->driver;
    if (status != DS_ERR_DIVERGED || !d->lost)
        return status;
    DS_TRY(diagnose_step(self, d->batch, d->bad_shard, sizeof self->why, self->why));
    return DS_FAIL(DS_ERR_DIVERGED, "%s: not finite where a step begins: %s",
                   self->config->optimizer->name, self->why);
}

static void drive_ends(ds_trainer *self)
{
    const ds_drive *drive = &self->driver->drive;
    if (drive->done)
        stopping_end(&self->stopping, drive->stuck ? "line_search" : "converged");
    if (drive->stuck && ds_world_rank(self->world) == 0)
        ds_log(DS_LOG_WARN,
               "step %lld: %s finds no lower point, but the gradient is not small (norm %.3g, loss "
               "%.6g): its scale, or its gradient, does not fit the loss",
               (long long)self->step, self->config->optimizer->name, drive->norm, drive->loss);
}

ds_status drive_step(ds_trainer *self, const batch_source *batch, const step_wish *wish,
                     ds_outcome *outcome)
{
    int64_t start = ds_clock_ns(), waited = ds_world_waited_ns(self->world);
    driver *d = self->driver;
    const ds_config *config = self->config;
    ds_drive *drive = &d->drive;
    d->batch = batch;
    d->wish = wish;
    d->asked = 0;
    d->lost = false;
    d->took = false;
    d->word = wish->word;
    drive->fresh = self->step == 0 || d->forget || batch->x != NULL;
    d->forget = batch->x != NULL;
    drive->done = drive->stuck = false;
    memcpy(drive->w, ds_trainer_params(self), drive->n * sizeof *drive->w);
    DS_TRY(drive_gives_up(self, config->optimizer->drive(config->optimizer_options, drive)));
    drive_move(self);
    DS_TRY(ds_sync_load(self->sync, drive->w));
    if (d->asked == 0)
        DS_TRY(ds_world_broadcast(self->world, &d->word, sizeof d->word, 0));
    *outcome = (ds_outcome){.loss = drive->loss,
                            .grad_norm = drive->norm,
                            .finite = true,
                            .bad_shard = -1,
                            .word = d->word};
    self->stepped_ns += ds_clock_ns() - start;
    self->waited_ns += ds_world_waited_ns(self->world) - waited;
    ds_watch_note(self->world, DS_PHASE_REPORT, self->step);
    self->step++;
    history_add(&self->history, self->step, outcome->loss);
    stopping_after_step(&self->stopping, &config->stop, outcome);
    rate_after_step(self, outcome->loss);
    drive_ends(self);
    return DS_OK;
}

float *drive_slot(const ds_trainer *self, size_t s)
{
    return self->driver->drive.slot[s];
}

double *drive_numbers(const ds_trainer *self, size_t *n)
{
    *n = self->driver != NULL ? self->config->optimizer->n_numbers : 0;
    return self->driver != NULL ? self->driver->drive.number : NULL;
}

void drive_forget(ds_trainer *self)
{
    self->driver->forget = true;
}

static ds_status drive_blocks(ds_trainer *self, ds_drive *drive)
{
    const ds_optim_ops *ops = self->config->optimizer;
    const ds_layout *layout = ds_model_layout(self->model);
    ds_arena *arena = self->arena;
    bool moves = false;
    DS_TRY(ds_arena_take(arena, drive->n, sizeof(float), "the point", &drive->w));
    for (size_t p = 0; p < layout->n_params; p++)
        moves = moves || ds_param_moves(&layout->param[p]);
    if (moves)
        DS_TRY(ds_arena_take(arena, drive->n, sizeof(float), "means", &self->driver->means));
    for (size_t s = 0; s < ops->n_slots; s++) {
        bool used = drive->n_elements == 0; /* where all is frozen they ask all the same */
        for (size_t p = 0; p < layout->n_params; p++)
            used = used || ds_plan_uses_slot(self->config, &layout->param[p], s);
        if (used)
            DS_TRY(
                ds_arena_take(arena, drive->n, sizeof(float), "optimizer state", &drive->slot[s]));
    }
    for (size_t i = 0; i < ops->n_work; i++)
        DS_TRY(ds_arena_take(arena, drive->n, sizeof(float), "points", &drive->work[i]));
    DS_TRY(ds_arena_take(arena, ops->n_numbers, sizeof(double), "numbers", &drive->number));
    size_t room = ops->room != NULL ? ops->room(drive->n_elements) : 0;
    return ds_arena_take(arena, room, sizeof(double), "the Hessian", &drive->room);
}

/* Where the trainable elements lie, padding left out; only their number while at is NULL. */
static size_t drive_elements(const ds_layout *layout, size_t *at)
{
    size_t n = 0;
    for (size_t p = 0; p < layout->n_params; p++) {
        const ds_param *param = &layout->param[p];
        for (size_t r = 0; ds_param_learns(param) && r < param->rows; r++)
            for (size_t c = 0; c < param->cols; c++, n++)
                if (at != NULL)
                    at[n] = param->offset + r * param->stride + c;
    }
    return n;
}

ds_status drive_create(ds_trainer *self)
{
    const ds_optim_ops *ops = self->config->optimizer;
    const ds_layout *layout = ds_model_layout(self->model);
    size_t *at = NULL, n = drive_elements(layout, NULL);
    if (ops->reach != DS_REACH_MODEL)
        return DS_OK;
    DS_CHECK(self->plan->steps_per_epoch <= 1, DS_ERR_USAGE,
             "optimizer %s takes all samples in each step: the training data have %zu, a step %zu; "
             "set batch.size to %zu or more (batch.accumulate keeps memory low)",
             ops->name, self->plan->samples, self->plan->batch, self->plan->samples);
    DS_CHECK(ops->max_elements == 0 || n <= ops->max_elements, DS_ERR_USAGE,
             "optimizer %s is for at most %zu parameters, the model has %zu: take lbfgs", ops->name,
             ops->max_elements, n);
    DS_TRY(ds_arena_take(self->arena, 1, sizeof *self->driver, "the driver", &self->driver));
    DS_TRY(ds_arena_take(self->arena, n, sizeof *at, "elements", &at));
    drive_elements(layout, at);
    ds_drive *drive = &self->driver->drive;
    *drive = (ds_drive){.n = layout->n_floats,
                        .n_elements = n,
                        .at = at,
                        .ask = drive_ask,
                        .dot = drive_dot,
                        .context = self};
    return drive_blocks(self, drive);
}
