/* Which keys shape the numbers and differ. Two resolved trees are walked together; a subtree that
 * only one has counts as one difference. */
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

typedef struct compare_state {
    bool steer;    /* evaluation steers: a run stops early, or its rate watches the loss */
    bool extend;   /* the run's length shapes no number: it may grow or shrink */
    bool drives;   /* there is no learning rate, in one of them at least */
    bool numerics; /* asked for the keys of numerics instead */
    bool batch;    /* a step has the same samples in the same shards: accumulated or not is one */
    size_t n_set;
    const char *const *set;
    size_t room, used;
    char *text;
    size_t n;
    ds_config_change *change; /* told of every difference instead of `text`; may be NULL */
    void *context;
} compare_state;

/* True when `path` is one of these keys or lies below one. */
static bool compare_among(const char *const *key, const char *path)
{
    for (; *key != NULL; key++)
        if (strncmp(path, *key, strlen(*key)) == 0 && strchr(".", path[strlen(*key)]) != NULL)
            return true;
    return false;
}

/* What a run computes with. Whether bits move is told by the checkpoint's numerics, not by these.
 */
static bool compare_numerics(const char *path)
{
    static const char *const keys[] = {"compute.isa", "compute.threads", NULL};
    return compare_among(keys, path);
}

/* Keys that may differ: "x" and all below it. Data itself is compared by its content. */
static bool compare_neutral(const compare_state *s, const char *path)
{
    static const char *const always[] = {"name",
                                         "train.log_every",
                                         "train.log_layers",
                                         "train.sharpness_every",
                                         "train.sharpness_iterations",
                                         "checkpoint",
                                         "sync.bucket",
                                         "sync.transport",
                                         "sync.overlap",
                                         "data.test",
                                         "compute.strict",
                                         "watch",
                                         "problem.record_every",
                                         "problem.plugin",
                                         NULL};
    static const char *const unless_steering[] = {"train.eval_every", "eval", NULL};
    static const char *const length[] = {"train.max_steps", "train.epochs", NULL};
    static const char *const batch[] = {"batch", NULL};
    static const char *const rate[] = {"optimizer.lr", "lr", NULL};
    static const char *const paths[] = {".path", ".images", ".labels", ".inputs", ".targets", NULL};
    if (compare_among(always, path) || (!s->steer && compare_among(unless_steering, path)) ||
        (s->extend && compare_among(length, path)) || (s->batch && compare_among(batch, path)) ||
        (s->drives && compare_among(rate, path)))
        return true;
    const char *last = strrchr(path, '.');
    for (size_t i = 0; paths[i] != NULL && last != NULL && strncmp(path, "data.", 5) == 0; i++)
        if (strcmp(last, paths[i]) == 0)
            return true;
    return false;
}

/* An option that only one of the two has, of a plug-in that --set exchanges for another. */
static bool compare_exchanged(const compare_state *s, const char *path)
{
    static const char *const chooser[] = {"optimizer.name", "lr.schedule", "sync.compress",
                                          "sync.strategy", NULL};
    static const char *const common[] = {"optimizer.groups", "sync.replicas", NULL};
    for (size_t k = 0; chooser[k] != NULL; k++) {
        size_t map = strcspn(chooser[k], ".") + 1;
        for (size_t i = 0; i < s->n_set && strncmp(path, chooser[k], map) == 0; i++)
            if (ds_config_edit_covers(s->set[i], chooser[k]))
                return !compare_among(common, path);
    }
    return false;
}

/* Does the edit say so? One of a preset's option changes the layers that it writes. */
static bool compare_edited(const char *edit, const char *path)
{
    static const char model[] = "model.";
    size_t n = sizeof model - 1;
    bool preset = strncmp(edit, model, n) == 0 && strncmp(path, model, n) == 0 &&
                  strncmp(edit + n, "layers.", 7) != 0 && strncmp(edit + n, "input.", 6) != 0;
    return preset || ds_config_edit_covers(edit, path);
}

static void compare_note(compare_state *s, const char *path, const ds_value *a, const ds_value *b)
{
    if (s->change != NULL) {
        s->change(s->context, path, a, b, !compare_neutral(s, path) && !compare_numerics(path));
        return;
    }
    if (compare_numerics(path) != s->numerics)
        return;
    for (size_t i = 0; i < s->n_set; i++)
        if (compare_edited(s->set[i], path))
            return;
    if ((a == NULL || b == NULL) && compare_exchanged(s, path))
        return;
    const char *comma = s->n == 0 ? "" : ", ";
    if (s->used < s->room)
        s->used += (size_t)snprintf(s->text + s->used, s->room - s->used, "%s%s", comma, path);
    s->n++;
}

/* 0.1 and 0.10 are the same where an owner keeps the text. */
static bool compare_scalars(const ds_value *a, const ds_value *b)
{
    double x = 0.0, y = 1.0;
    if (strcmp(a->text, b->text) == 0)
        return true;
    return ds_value_real(a, "", "", &x) == DS_OK && ds_value_real(b, "", "", &y) == DS_OK && x == y;
}

static void compare_walk(compare_state *s, const char *path, const ds_value *a, const ds_value *b)
{
    char below[256];
    if (path[0] != '\0' && s->change == NULL && compare_neutral(s, path))
        return;
    if (ds_value_is_null(a) && ds_value_is_null(b))
        return;
    if (a == NULL || b == NULL || a->kind != b->kind ||
        (a->kind == DS_VALUE_LIST && a->n != b->n)) {
        compare_note(s, path, a, b);
        return;
    }
    if (a->kind == DS_VALUE_SCALAR) {
        if (!compare_scalars(a, b))
            compare_note(s, path, a, b);
        return;
    }
    const char *dot = path[0] == '\0' ? "" : ".";
    for (size_t i = 0; i < a->n; i++) {
        const char *key = a->child[i]->key;
        if (a->kind == DS_VALUE_LIST)
            snprintf(below, sizeof below, "%.200s%s%zu", path, dot, i);
        else
            snprintf(below, sizeof below, "%.200s%s%.50s", path, dot, key);
        const ds_value *other = a->kind == DS_VALUE_LIST ? b->child[i] : ds_value_find(b, key);
        compare_walk(s, below, a->child[i], other);
    }
    for (size_t i = 0; i < b->n && b->kind == DS_VALUE_MAP; i++) {
        snprintf(below, sizeof below, "%.200s%s%.50s", path, dot, b->child[i]->key);
        if (ds_value_find(a, b->child[i]->key) == NULL)
            compare_walk(s, below, NULL, b->child[i]);
    }
}

/* The number at "stop.early.patience", `otherwise` where there is none. */
static double compare_number(const ds_value *root, const char *path, double otherwise)
{
    char key[32];
    double x = otherwise;
    while (root != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        root = ds_value_find(root, key);
        path += n + (path[n] == '.');
    }
    return root != NULL && root->kind == DS_VALUE_SCALAR && ds_value_real(root, "", "", &x) == DS_OK
               ? x
               : otherwise;
}

static const ds_lr_ops *compare_schedule(const ds_value *root)
{
    const ds_value *name = ds_value_find(ds_value_find(root, "lr"), "schedule");
    return name == NULL || name->text == NULL ? NULL : ds_lr_find(name->text);
}

static bool compare_drives(const ds_value *root)
{
    const ds_value *name = ds_value_find(ds_value_find(root, "optimizer"), "name");
    const ds_optim_ops *ops = name == NULL || name->text == NULL ? NULL : ds_optim_find(name->text);
    return ops != NULL && ops->reach == DS_REACH_MODEL;
}

/* Of two resolved trees. */
static compare_state compare_begin(const ds_value *a, const ds_value *b)
{
    const ds_value *root[] = {a, b};
    double early = 0, samples[2], shards[2];
    bool endless = true, watches = false, local = false, drives = false;
    for (int i = 0; i < 2; i++) {
        const ds_lr_ops *schedule = compare_schedule(root[i]);
        const bool rateless = compare_drives(root[i]);
        drives = drives || rateless;
        endless = endless && (rateless || (schedule != NULL && !schedule->needs_total));
        watches = watches || (schedule != NULL && schedule->observe != NULL);
        local =
            local || compare_number(root[i], "sync.local_steps", 0) > 0; /* the last step meets */
        double times = compare_number(root[i], "batch.accumulate", 1);
        early += compare_number(root[i], "stop.early.patience", 0);
        samples[i] = compare_number(root[i], "batch.size", -1 - i) * times;
        shards[i] = compare_number(root[i], "batch.shards", -1 - i) * times;
    }
    return (compare_state){
        .steer = early > 0 || watches,
        .extend = !(early > 0) && endless && !local,
        .drives = drives,
        .batch = !(samples[0] < samples[1]) && !(samples[0] > samples[1]) &&
                 !(shards[0] < shards[1]) && !(shards[0] > shards[1]),
    };
}

static size_t compare_list(compare_state *s, const ds_config *a, const ds_config *b, size_t room,
                           char *text)
{
    s->room = room;
    s->text = text;
    if (room > 0)
        text[0] = '\0';
    compare_walk(s, "", a->root, b->root);
    return s->n;
}

ds_status ds_config_compare(const ds_config *a, const ds_config *b, size_t n_set,
                            const char *const *set, size_t room, char *text, size_t *n)
{
    compare_state s = compare_begin(a->root, b->root);
    s.n_set = n_set;
    s.set = set;
    *n = compare_list(&s, a, b, room, text);
    return DS_OK;
}

ds_status ds_config_compare_numerics(const ds_config *a, const ds_config *b, size_t n_set,
                                     const char *const *set, size_t room, char *text, size_t *n)
{
    compare_state s = {.numerics = true, .n_set = n_set, .set = set};
    *n = compare_list(&s, a, b, room, text);
    return DS_OK;
}

void ds_config_changes(const ds_value *a, const ds_value *b, ds_config_change *each, void *context)
{
    compare_state s = compare_begin(a, b);
    s.change = each;
    s.context = context;
    compare_walk(&s, "", a, b);
}
