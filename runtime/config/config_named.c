/* Sections that name a member of a registry: loss, optimizer, lr; sync names a codec. `optimizer:
 * adamw` is short for {name: adamw}. The member's own options stand beside the common ones. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

enum { MOST_MEMBERS = 64 };

/* What the three kinds of ops have in common. */
typedef struct named_member {
    const char *name;
    const ds_option *options;
    size_t options_size;
} named_member;

typedef struct named_kind {
    const char *section; /* the key in the config */
    const char *key;     /* of the name inside the map */
    const char *word;    /* in messages */
    const char *what;    /* owns the options in messages; NULL: word and member */
    const char *fallback;
    const ds_option *common;
    const ds_option *besides; /* allowed too, somebody else fills them; may be NULL */
    bool (*at)(size_t i, named_member *out);
} named_kind;

static bool named_loss_at(size_t i, named_member *out)
{
    const ds_loss_ops *ops = ds_loss_at(i);
    if (ops != NULL)
        *out = (named_member){ops->name, ops->options, ops->options_size};
    return ops != NULL;
}

static bool named_optim_at(size_t i, named_member *out)
{
    const ds_optim_ops *ops = ds_optim_at(i);
    if (ops != NULL)
        *out = (named_member){ops->name, ops->options, ops->options_size};
    return ops != NULL;
}

static bool named_lr_at(size_t i, named_member *out)
{
    const ds_lr_ops *ops = ds_lr_at(i);
    if (ops != NULL)
        *out = (named_member){ops->name, ops->options, ops->options_size};
    return ops != NULL;
}

/* Index 0 is `none`. */
static bool named_codec_at(size_t i, named_member *out)
{
    const ds_codec_ops *ops = i == 0 ? NULL : ds_codec_at(i - 1);
    *out = (named_member){.name = "none"};
    if (ops != NULL)
        *out = (named_member){ops->name, ops->options, ops->options_size};
    return i == 0 || ops != NULL;
}

/* The long form of the section: {key: name} for a bare name or for nothing. */
static ds_status named_lengthen(ds_config *self, const named_kind *kind, const ds_value *raw,
                                const ds_value **out)
{
    ds_value *map = NULL, *name = NULL;
    if (raw != NULL && raw->kind == DS_VALUE_MAP) {
        *out = raw;
        return DS_OK;
    }
    if (raw != NULL && raw->kind == DS_VALUE_LIST)
        return ds_value_fail(raw, "%s is a list, expected a name or a map with '%s'", kind->section,
                             kind->key);
    DS_TRY(ds_value_group(self->arena, DS_VALUE_MAP, kind->section, &map));
    if (!ds_value_is_null(raw)) {
        DS_TRY(ds_value_copy(self->arena, kind->key, raw, &name));
        DS_TRY(ds_value_add(self->arena, map, name));
    }
    *out = map;
    return DS_OK;
}

static ds_status named_unknown(const named_kind *kind, const ds_value *name)
{
    const char *names[MOST_MEMBERS];
    char list[512] = "none";
    size_t n = 0, used = 0;
    named_member m;
    for (; n < MOST_MEMBERS && kind->at(n, &m); n++)
        names[n] = m.name;
    for (size_t i = 0; i < n && used < sizeof list; i++)
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", names[i]);
    const char *nearest = ds_closest(name->text, n, names);
    if (nearest != NULL)
        return ds_value_fail(name, "unknown %s '%.60s' (closest: '%s'; known: %s)", kind->word,
                             name->text, nearest, list);
    return ds_value_fail(name, "unknown %s '%.60s' (known: %s)", kind->word, name->text, list);
}

static ds_status named_find(const named_kind *kind, const ds_value *map, size_t *index,
                            named_member *out)
{
    char found[96];
    const ds_value *name = ds_value_find(map, kind->key);
    ds_value absent = {.kind = DS_VALUE_SCALAR, .text = kind->fallback, .source = "default"};
    if (ds_value_is_null(name) && kind->fallback == NULL)
        return ds_value_fail(map,
                             "%s: '%s' is missing, expected the name of one (see descent list)",
                             kind->section, kind->key);
    if (ds_value_is_null(name))
        name = &absent;
    if (name->kind != DS_VALUE_SCALAR)
        return ds_value_fail(name, "%s: %s is %s, expected the name of one", kind->section,
                             kind->key, ds_value_describe(name, sizeof found, found));
    for (*index = 0; kind->at(*index, out); ++*index)
        if (strcmp(out->name, name->text) == 0)
            return DS_OK;
    return named_unknown(kind, name);
}

/* The name as the map has it, even where it was left out. */
static ds_status named_complete(ds_config *self, const named_kind *kind, const char *name,
                                const ds_value **map)
{
    ds_value *copy = NULL, *child = NULL;
    if (!ds_value_is_null(ds_value_find(*map, kind->key)))
        return DS_OK;
    DS_TRY(ds_value_copy(self->arena, kind->section, *map, &copy));
    DS_TRY(ds_value_scalar(self->arena, kind->key, name, &child));
    DS_TRY(ds_value_add(self->arena, copy, child));
    *map = copy;
    return DS_OK;
}

/* What a section gives. */
typedef struct named_found {
    size_t index; /* in the registry */
    void *options;
    const ds_value *map; /* long form */
    named_member member;
} named_found;

/* `common` is the struct that kind->common fills. */
static ds_status named_read(ds_config *self, const named_kind *kind, const ds_value *raw,
                            void *common, named_found *out)
{
    char what[96];
    DS_TRY(named_lengthen(self, kind, raw, &out->map));
    DS_TRY(named_find(kind, out->map, &out->index, &out->member));
    DS_TRY(named_complete(self, kind, out->member.name, &out->map));
    if (kind->what != NULL)
        snprintf(what, sizeof what, "%s", kind->what);
    else
        snprintf(what, sizeof what, "%s %s", kind->word, out->member.name);
    const ds_option *tables[] = {kind->common, out->member.options, kind->besides};
    DS_TRY(ds_options_check(kind->besides != NULL ? 3 : 2, tables, out->map, what));
    DS_TRY(ds_options_fill(kind->common, out->map, what, self->arena, common));
    DS_TRY(ds_arena_take(self->arena, 1, out->member.options_size, what, &out->options));
    return ds_options_fill(out->member.options, out->map, what, self->arena, out->options);
}

static ds_status named_resolve(ds_config *self, const named_kind *kind, const ds_value *raw,
                               const void *common, const named_found *found, ds_value *root)
{
    ds_value *map = NULL;
    DS_TRY(ds_config_open(self, kind->section, raw, root, &map));
    DS_TRY(ds_config_resolve(self, kind->common, common, found->map, map));
    return ds_config_resolve(self, found->member.options, found->options, found->map, map);
}

static ds_status named_weight(const ds_value *at, float *out)
{
    double x = 0;
    if (at->kind != DS_VALUE_SCALAR)
        return ds_value_fail(at, "loss.class_weights: expected numbers, one a class");
    DS_TRY(ds_value_real(at, "loss", "class_weights", &x));
    if (x < 0 || x > 1e30)
        return ds_value_fail(at, "loss.class_weights: found %s, expected a number from 0 to 1e30",
                             at->text);
    *out = (float)x;
    return DS_OK;
}

/* None are `none` in the resolved tree. */
static ds_status named_class_weights(ds_config *self, const ds_value **given)
{
    const ds_value *raw = *given;
    ds_value *none = NULL;
    char found[96];
    float *weight = NULL, most = 0;
    if (ds_value_is_null(raw)) {
        DS_TRY(ds_value_scalar(self->arena, "class_weights", "none", &none));
        *given = none;
    }
    if (none != NULL || (raw->text != NULL && strcmp(raw->text, "none") == 0))
        return DS_OK;
    if (self->loss->target != DS_TARGET_CLASS)
        return ds_value_fail(raw,
                             "loss.class_weights: loss %s has no classes; leave it out, or "
                             "take a loss of classes such as cross_entropy",
                             self->loss->name);
    self->balanced = raw->kind == DS_VALUE_SCALAR && strcmp(raw->text, "balanced") == 0;
    if (self->balanced)
        return DS_OK;
    if (raw->kind != DS_VALUE_LIST || raw->n == 0)
        return ds_value_fail(
            raw,
            "loss.class_weights is %s, expected a list of numbers, one a "
            "class, or balanced",
            raw->kind == DS_VALUE_LIST ? "empty" : ds_value_describe(raw, sizeof found, found));
    DS_TRY(ds_arena_take(self->arena, raw->n, sizeof *weight, "class weights", &weight));
    for (size_t i = 0; i < raw->n; i++) {
        DS_TRY(named_weight(raw->child[i], &weight[i]));
        most = weight[i] > most ? weight[i] : most;
    }
    if (most <= 0)
        return ds_value_fail(raw, "loss.class_weights are all 0: expected one above it");
    self->n_class_weights = raw->n;
    self->class_weight = weight;
    return DS_OK;
}

ds_status ds_config_take_loss(ds_config *self, const ds_value *raw, ds_value *root)
{
    static const named_kind kind = {.section = "loss",
                                    .key = "name",
                                    .word = "loss",
                                    .common = ds_config_loss_options,
                                    .at = named_loss_at};
    ds_raw_named common = {0};
    named_found found = {0};
    DS_TRY(named_read(self, &kind, raw, &common, &found));
    self->loss = ds_loss_at(found.index);
    self->loss_options = found.options;
    DS_TRY(named_class_weights(self, &common.class_weights));
    return named_resolve(self, &kind, raw, &common, &found, root);
}

ds_status ds_config_take_optimizer(ds_config *self, const ds_value *raw, ds_value *root)
{
    static const named_kind kind = {.section = "optimizer",
                                    .key = "name",
                                    .word = "optimizer",
                                    .fallback = "adamw",
                                    .common = ds_config_optimizer_options,
                                    .at = named_optim_at};
    ds_raw_optimizer common = {0};
    named_found found = {0};
    DS_TRY(named_read(self, &kind, raw, &common, &found));
    self->optimizer = ds_optim_at(found.index);
    if (self->optimizer->check != NULL)
        DS_TRY(self->optimizer->check(found.options));
    self->optimizer_options = found.options;
    self->lr = common.lr;
    self->clip_norm = common.clip_norm;
    self->l1 = common.l1;
    self->l2 = common.l2;
    self->ema = common.ema;
    DS_TRY(ds_config_take_groups(self, found.options, &common));
    DS_TRY(named_resolve(self, &kind, raw, &common, &found, root));
    ds_config_drop_rate(self, found.map, root);
    return DS_OK;
}

/* The rate grows with the batch: linearly (Goyal et al., 2017) or as its root (Krizhevsky, 2014).
 */
static ds_status named_scale(ds_config *self, const ds_raw_named *lr)
{
    char *note = NULL, was[32], now[32];
    int64_t batch = self->batch.size * self->batch.accumulate;
    double times = (double)batch / (double)lr->scale_batch, given = self->lr;
    self->lr_note = "";
    if (lr->scale == 0 || self->optimizer->reach == DS_REACH_MODEL)
        return DS_OK;
    self->lr = given * (lr->scale == 1 ? times : sqrt(times));
    DS_TRY(ds_arena_printf(self->arena, &note,
                           "optimizer.lr %s for a batch of %lld samples becomes %s for %lld "
                           "(lr.scale: %s)",
                           ds_real_text(given, was), (long long)lr->scale_batch,
                           ds_real_text(self->lr, now), (long long)batch,
                           lr->scale == 1 ? "linear" : "sqrt"));
    self->lr_note = note;
    return DS_OK;
}

ds_status ds_config_take_lr(ds_config *self, const ds_value *raw, ds_value *root)
{
    static const named_kind kind = {.section = "lr",
                                    .key = "schedule",
                                    .word = "schedule",
                                    .fallback = "constant",
                                    .common = ds_config_lr_options,
                                    .at = named_lr_at};
    ds_raw_named common = {0};
    named_found found = {0};
    double rate = 0.0;
    if (raw != NULL && raw->kind == DS_VALUE_SCALAR && !ds_value_is_null(raw) &&
        ds_value_real(raw, "lr", "", &rate) == DS_OK)
        return ds_value_fail(raw,
                             "lr is '%.60s', expected a schedule such as constant or cosine; the "
                             "rate itself is optimizer.lr",
                             raw->text);
    DS_TRY(named_read(self, &kind, raw, &common, &found));
    self->schedule = ds_lr_at(found.index);
    self->schedule_options = found.options;
    self->warmup_steps = common.warmup_steps;
    DS_TRY(named_scale(self, &common));
    DS_TRY(named_resolve(self, &kind, raw, &common, &found, root));
    const ds_value *given = raw != NULL && raw->kind == DS_VALUE_MAP ? raw : found.map;
    ds_config_drop_rate(self, ds_value_is_null(raw) ? NULL : given, root);
    return DS_OK;
}

ds_status ds_config_take_sync(ds_config *self, const ds_value *raw, ds_value *root)
{
    named_kind kind = {.section = "sync",
                       .key = "compress",
                       .word = "codec",
                       .what = "sync",
                       .fallback = "none",
                       .common = ds_config_sync_options,
                       .at = named_codec_at};
    ds_raw_sync common = {0};
    named_found found = {0};
    char text[96];
    if (raw != NULL && raw->kind == DS_VALUE_SCALAR && !ds_value_is_null(raw))
        return ds_value_fail(raw, "sync is %s, expected a map of options",
                             ds_value_describe(raw, sizeof text, text));
    const ds_value *named = ds_value_find(raw, "strategy");
    const char *strategy = "exact";
    if (named != NULL && !ds_value_is_null(named) && named->text != NULL)
        strategy = named->text;
    DS_TRY(ds_config_sync_foreign(raw, strategy));
    kind.besides = ds_config_strategy_options(strategy);
    if (strcmp(strategy, "diloco") == 0) /* its movements travel in 16 bits */
        kind.fallback = "bf16";
    DS_TRY(named_read(self, &kind, raw, &common, &found));
    self->sync = (ds_sync_config){.strategy = common.strategy, .bucket = common.bucket};
    self->sync.compress = found.member.name;
    self->sync.codec = (ds_codec){NULL, found.options, 1.0f};
    if (found.index > 0)
        self->sync.codec.ops = ds_codec_at(found.index - 1);
    DS_TRY(ds_config_read_replicas(self, &common.replicas));
    DS_TRY(ds_config_choice(self, ds_config_sync_options, "transport", common.transport,
                            &self->sync.transport));
    DS_TRY(ds_config_choice(self, ds_config_sync_options, "overlap", common.overlap,
                            &self->sync.overlap));
    DS_TRY(named_resolve(self, &kind, raw, &common, &found, root));
    return ds_config_sync_own(self, raw, root->child[root->n - 1]);
}
