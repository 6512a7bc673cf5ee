/* The sections that are plain tables, with the few rules a table cannot say. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

enum { MOST_SHARDS = 1 << 20 };

/* A function of its parameters alone: samples are only positions, and few of them do as well as
 * many; an epoch is a step. */
enum { SECTIONS_POSITIONS = 8 };
static bool sections_without_data(const ds_config *self)
{
    return self->problem != NULL && self->data.train == NULL;
}

static void sections_place(ds_value *to, const ds_value *from)
{
    if (from == NULL)
        return;
    to->source = from->source;
    to->line = from->line;
    to->column = from->column;
    to->key_line = from->key_line;
    to->key_column = from->key_column;
}

ds_status ds_config_open(ds_config *self, const char *key, const ds_value *raw, ds_value *root,
                         ds_value **out)
{
    ds_value *map = NULL;
    DS_TRY(ds_value_group(self->arena, DS_VALUE_MAP, key, &map));
    sections_place(map, raw);
    DS_TRY(ds_value_add(self->arena, root, map));
    *out = map;
    return DS_OK;
}

ds_status ds_config_resolve(ds_config *self, const ds_option *table, const void *options,
                            const ds_value *raw, ds_value *out)
{
    DS_TRY(ds_options_format(table, options, self->arena, out));
    for (size_t i = 0; i < out->n; i++) {
        const ds_value *given = ds_value_find(raw, out->child[i]->key);
        if (given != out->child[i])
            sections_place(out->child[i], given);
    }
    return DS_OK;
}

ds_status ds_config_put(ds_config *self, ds_value *map, const char *key, const char *text,
                        const ds_value *raw)
{
    ds_value *v = NULL;
    DS_TRY(ds_value_scalar(self->arena, key, text, &v));
    v->quoted = raw != NULL && raw->kind == DS_VALUE_SCALAR && raw->quoted;
    sections_place(v, raw);
    return ds_value_add(self->arena, map, v);
}

ds_status ds_config_choice(ds_config *self, const ds_option *table, const char *name, int i,
                           const char **out)
{
    char *text = NULL;
    while (strcmp(table->name, name) != 0)
        table++;
    const char *p = table->choices;
    for (; i > 0; i--)
        p = strchr(p, '|') + 1;
    DS_TRY(ds_arena_printf(self->arena, &text, "%.*s", (int)strcspn(p, "|"), p));
    *out = text;
    return DS_OK;
}

/* The largest power of two <= size/32, within 8 and 1024, never above size. */
static int64_t sections_shards(int64_t size)
{
    int64_t shards = 8;
    while (shards < 1024 && shards * 2 <= size / 32)
        shards *= 2;
    return shards < size ? shards : size;
}

static ds_status sections_read_shards(ds_batch_config *batch, const ds_value *v)
{
    int64_t n = 0;
    char found[96];
    if (v == NULL) {
        batch->shards = sections_shards(batch->size);
        return DS_OK;
    }
    bool ranks = v->kind == DS_VALUE_SCALAR && !v->quoted && strcmp(v->text, "ranks") == 0;
    if (!ranks && (ds_value_int(v, "batch", "shards", &n) != DS_OK || n < 1 || n > MOST_SHARDS))
        return ds_value_fail(v, "batch: shards is %s, expected int in [1, %d], or ranks",
                             ds_value_describe(v, sizeof found, found), MOST_SHARDS);
    if (n > batch->size)
        return ds_value_fail(
            v, "batch: %" PRId64 " shards for %" PRId64 " samples, expected shards of at most size",
            n, batch->size);
    batch->shards = n;
    return DS_OK;
}

ds_status ds_config_take_batch(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_raw_batch b = {0};
    ds_value *map = NULL;
    char text[32] = "ranks";
    DS_TRY(ds_options_parse(ds_config_batch_options, raw, "batch", self->arena, &b));
    if (sections_without_data(self) && ds_value_is_null(ds_value_find(raw, "size")))
        b.size = SECTIONS_POSITIONS;
    self->batch = (ds_batch_config){.size = b.size, .accumulate = b.accumulate};
    DS_TRY(sections_read_shards(&self->batch, b.shards));
    int64_t total = self->batch.shards * b.accumulate;
    if (b.accumulate > MOST_SHARDS || total > MOST_SHARDS)
        return ds_value_fail(ds_value_find(raw, "accumulate"),
                             "batch: %" PRId64 " shards times %" PRId64 " micro-batches, expected "
                             "at most %d together",
                             self->batch.shards, b.accumulate, MOST_SHARDS);
    if (self->batch.shards > 0)
        snprintf(text, sizeof text, "%" PRId64, self->batch.shards);
    DS_TRY(ds_config_open(self, "batch", raw, root, &map));
    DS_TRY(ds_config_put(self, map, "size", "", NULL)); /* keeps the order: size, shards, ... */
    DS_TRY(ds_config_put(self, map, "shards", text, b.shards));
    b.shards = ds_value_find(map, "shards");
    return ds_config_resolve(self, ds_config_batch_options, &b, raw, map);
}

ds_status ds_config_read_replicas(ds_config *self, const ds_value **raw)
{
    const ds_value *v = *raw;
    int64_t n = 0;
    char text[96] = "ranks";
    bool ranks =
        v == NULL || (v->kind == DS_VALUE_SCALAR && !v->quoted && strcmp(v->text, "ranks") == 0);
    if (!ranks && (ds_value_int(v, "sync", "replicas", &n) != DS_OK || n < 1 || n > MOST_SHARDS))
        return ds_value_fail(v, "sync: replicas is %s, expected int in [1, %d], or ranks",
                             ds_value_describe(v, sizeof text, text), MOST_SHARDS);
    if (n > 0)
        snprintf(text, sizeof text, "%" PRId64, n);
    ds_value *resolved = NULL;
    DS_TRY(ds_value_scalar(self->arena, "replicas", text, &resolved));
    sections_place(resolved, v);
    self->sync.replicas = n;
    *raw = resolved;
    return DS_OK;
}

ds_status ds_config_take_compute(ds_config *self, const ds_value *raw, ds_value *root)
{
    const ds_option *table = ds_config_compute_options;
    ds_raw_compute c = {0};
    ds_value *map = NULL;
    DS_TRY(ds_options_parse(table, raw, "compute", self->arena, &c));
    self->compute = (ds_compute_config){.threads = c.threads, .strict = c.strict};
    DS_TRY(ds_config_choice(self, table, "kernels", c.kernels, &self->compute.kernels));
    DS_TRY(ds_config_choice(self, table, "isa", c.isa, &self->compute.isa));
    const char *precision = NULL;
    DS_TRY(ds_config_choice(self, table, "precision", c.precision, &precision));
    self->compute.bf16 = strcmp(precision, "bf16") == 0;
    DS_TRY(ds_config_open(self, "compute", raw, root, &map));
    return ds_config_resolve(self, table, &c, raw, map);
}

ds_status ds_config_count(const ds_value *v, const char *what, const char *expected, ds_count *out)
{
    static const char *const unit[] = {"", "step", "steps", "epoch", "epochs"};
    char found[96];
    size_t digits = 0, i = sizeof unit / sizeof *unit;
    if (v->kind == DS_VALUE_SCALAR) {
        digits = strspn(v->text, "0123456789");
        const char *rest = v->text + digits + strspn(v->text + digits, " ");
        for (i = v->quoted; i < sizeof unit / sizeof *unit && strcmp(rest, unit[i]) != 0;)
            i++; /* in quotes only with a unit: "5" is a text */
    }
    if (digits == 0 || digits > 18 || i == sizeof unit / sizeof *unit)
        return ds_value_fail(v, "%s is %s, expected %s", what,
                             ds_value_describe(v, sizeof found, found), expected);
    out->n = 0;
    for (size_t d = 0; d < digits; d++)
        out->n = out->n * 10 + (v->text[d] - '0');
    out->in_epochs = i >= 3 && out->n > 0;
    return DS_OK;
}

void ds_config_count_text(const ds_count *count, char text[DS_COUNT_TEXT])
{
    const char *unit = count->in_epochs ? "epoch" : "step";
    snprintf(text, DS_COUNT_TEXT, "%" PRId64 " %s%s", count->n, unit, count->n == 1 ? "" : "s");
    if (count->n == 0)
        snprintf(text, DS_COUNT_TEXT, "0");
}

static ds_status sections_eval_every(ds_train_config *train, bool data, const ds_value *v)
{
    ds_count count = {.n = data ? 1 : 0, .in_epochs = data};
    if (v != NULL)
        DS_TRY(ds_config_count(v, "train: eval_every",
                               "a count such as 1 epoch, 100 steps or 0 (only at the end)",
                               &count));
    train->eval_every = count.n;
    train->eval_in_epochs = count.in_epochs;
    return DS_OK;
}

static ds_status sections_sharpness(ds_train_config *train, const ds_value *v)
{
    train->sharpness_every = (ds_count){0};
    if (v == NULL)
        return DS_OK;
    return ds_config_count(v, "train: sharpness_every",
                           "a count such as 1 epoch, 100 steps or 0 (never)",
                           &train->sharpness_every);
}

/* No section: off. */
static ds_status sections_spike(ds_config *self, const ds_value *raw, ds_value *map)
{
    ds_raw_spike spike = {0};
    ds_value *inner = NULL;
    DS_TRY(ds_options_parse(ds_config_spike_options, raw, "train.spike", self->arena, &spike));
    if (ds_value_is_null(raw))
        spike.z = 0;
    self->train.spike_window = spike.window;
    self->train.spike_z = spike.z;
    DS_TRY(ds_config_open(self, "spike", raw, map, &inner));
    return ds_config_resolve(self, ds_config_spike_options, &spike, raw, inner);
}

ds_status ds_config_take_train(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_raw_train t = {0};
    ds_value *map = NULL;
    ds_train_config *train = &self->train;
    char text[DS_COUNT_TEXT];
    DS_TRY(ds_options_parse(ds_config_train_options, raw, "train", self->arena, &t));
    *train = (ds_train_config){.epochs = t.epochs,
                               .max_steps = t.max_steps,
                               .log_every = t.log_every,
                               .skip_nan = t.on_nan == 1,
                               .max_skips = t.max_skips,
                               .log_layers = t.log_layers,
                               .sharpness_iterations = t.sharpness_iterations};
    if (t.epochs == 0 && t.max_steps == 0)
        return ds_value_fail(raw, "train: no end: epochs and max_steps are both 0 or missing, "
                                  "expected one of them, as epochs: 5 or max_steps: 1000");
    DS_TRY(sections_eval_every(train, !sections_without_data(self), t.eval_every));
    ds_config_count_text(&(ds_count){train->eval_every, train->eval_in_epochs}, text);
    DS_TRY(ds_config_open(self, "train", raw, root, &map));
    DS_TRY(ds_config_put(self, map, "epochs", "", NULL)); /* keeps the order */
    DS_TRY(ds_config_put(self, map, "max_steps", "", NULL));
    DS_TRY(ds_config_put(self, map, "eval_every", text, t.eval_every));
    DS_TRY(sections_sharpness(train, t.sharpness_every));
    ds_config_count_text(&train->sharpness_every, text);
    DS_TRY(ds_config_put(self, map, "sharpness_every", text, t.sharpness_every));
    DS_TRY(sections_spike(self, t.spike, map));
    t.eval_every = ds_value_find(map, "eval_every");
    t.sharpness_every = ds_value_find(map, "sharpness_every");
    t.spike = ds_value_find(map, "spike");
    return ds_config_resolve(self, ds_config_train_options, &t, raw, map);
}

ds_status ds_config_take_eval(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_raw_eval e = {0};
    ds_value *map = NULL;
    DS_TRY(ds_options_parse(ds_config_eval_options, raw, "eval", self->arena, &e));
    self->eval_batch = e.batch;
    DS_TRY(ds_config_open(self, "eval", raw, root, &map));
    return ds_config_resolve(self, ds_config_eval_options, &e, raw, map);
}

static ds_status sections_patience(ds_config *self, const char *key, const ds_value *raw,
                                   ds_value *map, ds_raw_patience *out)
{
    char what[32];
    ds_value *inner = NULL;
    snprintf(what, sizeof what, "stop.%s", key);
    DS_TRY(ds_options_parse(ds_config_patience_options, raw, what, self->arena, out));
    DS_TRY(ds_config_open(self, key, raw, map, &inner));
    return ds_config_resolve(self, ds_config_patience_options, out, raw, inner);
}

/* After the data section: early stopping needs a validation split. */
ds_status ds_config_take_stop(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_raw_stop s = {0};
    ds_raw_patience plateau = {0}, early = {0};
    ds_value *map = NULL;
    char norm[32];
    DS_TRY(ds_options_parse(ds_config_stop_options, raw, "stop", self->arena, &s));
    DS_TRY(ds_config_open(self, "stop", raw, root, &map));
    ds_real_text(s.grad_norm, norm);
    DS_TRY(ds_config_put(self, map, "grad_norm", norm, ds_value_find(raw, "grad_norm")));
    DS_TRY(sections_patience(self, "plateau", s.plateau, map, &plateau));
    DS_TRY(sections_patience(self, "early", s.early, map, &early));
    bool validated = self->data.validation != NULL || self->data.validation_fraction > 0.0 ||
                     self->data.folds > 0;
    if (early.patience > 0 && !validated)
        return ds_value_fail(ds_value_find(s.early, "patience"),
                             "stop.early: early stopping needs a validation set, found none: add "
                             "data.validation, as {fraction: 0.1}");
    if (early.patience > 0 && self->train.eval_every == 0)
        return ds_value_fail(ds_value_find(s.early, "patience"),
                             "stop.early: early stopping judges evaluations, but train.eval_every "
                             "is 0: expected a count such as 1 epoch");
    self->stop = (ds_stop_config){.grad_norm = s.grad_norm,
                                  .plateau_patience = plateau.patience,
                                  .plateau_min_delta = plateau.min_delta,
                                  .early_patience = early.patience,
                                  .early_min_delta = early.min_delta};
    return DS_OK;
}

ds_status ds_config_take_checkpoint(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_value *map = NULL;
    DS_TRY(ds_options_parse(ds_config_checkpoint_options, raw, "checkpoint", self->arena,
                            &self->checkpoint));
    DS_TRY(ds_config_open(self, "checkpoint", raw, root, &map));
    return ds_config_resolve(self, ds_config_checkpoint_options, &self->checkpoint, raw, map);
}

ds_status ds_config_take_watch(ds_config *self, const ds_value *raw, ds_value *root)
{
    ds_value *map = NULL;
    DS_TRY(ds_options_parse(ds_config_watch_options, raw, "watch", self->arena, &self->watch));
    if (self->watch.timeout > 0 && self->watch.timeout < 1)
        return ds_value_fail(ds_value_find(raw, "timeout"),
                             "watch: timeout is %g, expected at least 1 second, or 0 for none",
                             self->watch.timeout);
    DS_TRY(ds_config_open(self, "watch", raw, root, &map));
    return ds_config_resolve(self, ds_config_watch_options, &self->watch, raw, map);
}
