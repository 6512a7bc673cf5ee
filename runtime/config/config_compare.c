/* Which keys shape the numbers and differ. Two resolved trees are walked together; a subtree that
 * only one has counts as one difference. */
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

typedef struct compare_state {
    bool early;  /* either run stops early: then evaluation steers */
    bool extend; /* the run's length shapes no number: it may grow or shrink */
    size_t n_set;
    const char *const *set;
    size_t room, used;
    char *text;
    size_t n;
} compare_state;

/* Keys that may differ: "x" and all below it. Data itself is compared by its content. */
static bool compare_neutral(const compare_state *s, const char *path)
{
    static const char *const always[] = {"name",           "train.log_every", "checkpoint",
                                         "sync.bucket",    "sync.transport",  "data.test",
                                         "compute.strict", "watch",           NULL};
    static const char *const unless_early[] = {"train.eval_every", "eval", NULL};
    static const char *const length[] = {"train.max_steps", "train.epochs", NULL};
    static const char *const paths[] = {".path", ".images", ".labels", NULL};
    for (size_t i = 0; always[i] != NULL; i++)
        if (strncmp(path, always[i], strlen(always[i])) == 0 &&
            strchr(".", path[strlen(always[i])]) != NULL)
            return true;
    for (size_t i = 0; unless_early[i] != NULL && !s->early; i++)
        if (strncmp(path, unless_early[i], strlen(unless_early[i])) == 0 &&
            strchr(".", path[strlen(unless_early[i])]) != NULL)
            return true;
    for (size_t i = 0; length[i] != NULL && s->extend; i++)
        if (strcmp(path, length[i]) == 0)
            return true;
    const char *last = strrchr(path, '.');
    for (size_t i = 0; paths[i] != NULL && last != NULL && strncmp(path, "data.", 5) == 0; i++)
        if (strcmp(last, paths[i]) == 0)
            return true;
    return false;
}

static void compare_note(compare_state *s, const char *path)
{
    for (size_t i = 0; i < s->n_set; i++)
        if (ds_config_edit_covers(s->set[i], path))
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
    if (path[0] != '\0' && compare_neutral(s, path))
        return;
    if (ds_value_is_null(a) && ds_value_is_null(b))
        return;
    if (a == NULL || b == NULL || a->kind != b->kind ||
        (a->kind == DS_VALUE_LIST && a->n != b->n)) {
        compare_note(s, path);
        return;
    }
    if (a->kind == DS_VALUE_SCALAR) {
        if (!compare_scalars(a, b))
            compare_note(s, path);
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

ds_status ds_config_compare(const ds_config *a, const ds_config *b, size_t n_set,
                            const char *const *set, size_t room, char *text, size_t *n)
{
    bool early = a->stop.early_patience > 0 || b->stop.early_patience > 0;
    compare_state s = {.early = early,
                       .extend = !early && !a->schedule->needs_total && !b->schedule->needs_total,
                       .n_set = n_set,
                       .set = set,
                       .room = room,
                       .text = text};
    if (room > 0)
        text[0] = '\0';
    compare_walk(&s, "", a->root, b->root);
    *n = s.n;
    return DS_OK;
}
