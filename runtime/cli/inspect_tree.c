/* A checkpoint as a tree. First what the run was, a line a section of its config; then /run's
 * attributes and the groups of tensors, each tensor with its numbers and a small histogram. The
 * tensors are read twice, about 0.2 s for 100 MB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/config.h"

#include "inspect.h"
#include "textplot.h"

enum { TREE_TEXT = 60, TREE_DEPTH = 32, TREE_NONE = -1 };

/* A group or a tensor; children in the order of the file. */
typedef struct tree_node {
    const char *name;
    size_t length;
    long child, last, next; /* indices, TREE_NONE */
    long tensor;            /* index, TREE_NONE for a group */
    size_t tensors, elements, bytes;
} tree_node;

typedef struct tree {
    const ds_checkpoint *c;
    bool histogram, utf8;
    tree_node *node; /* [0] is the root */
    size_t n;
    int width; /* of the branches and names */
    int shape; /* of the shapes */
    char prefix[8 * TREE_DEPTH];
} tree;

static long tree_child(tree *self, long parent, const char *name, size_t length)
{
    for (long k = self->node[parent].child; k != TREE_NONE; k = self->node[k].next)
        if (self->node[k].length == length && memcmp(self->node[k].name, name, length) == 0)
            return k;
    long k = (long)self->n++;
    self->node[k] = (tree_node){.name = name,
                                .length = length,
                                .child = TREE_NONE,
                                .last = TREE_NONE,
                                .next = TREE_NONE,
                                .tensor = TREE_NONE};
    if (self->node[parent].child == TREE_NONE)
        self->node[parent].child = k;
    else
        self->node[self->node[parent].last].next = k;
    self->node[parent].last = k;
    return k;
}

static void tree_add(tree *self, size_t i)
{
    ds_tensor_info info = ds_checkpoint_tensor(self->c, i);
    size_t elements = ds_shape_elements(&info.shape);
    char shape[DS_SHAPE_TEXT];
    const char *p = info.path;
    long at = 0;
    for (int depth = 0; at >= 0; depth++) {
        self->node[at].tensors++;
        self->node[at].elements += elements;
        self->node[at].bytes += elements * ds_dtype_bytes(info.type);
        if (*p == '\0')
            break;
        p++; /* the slash */
        size_t length = depth + 2 < TREE_DEPTH ? strcspn(p, "/") : strlen(p);
        at = tree_child(self, at, p, length);
        p += length;
        int width = 3 * (depth + 1) + (int)length;
        self->width = width > self->width ? width : self->width;
    }
    self->node[at].tensor = (long)i;
    int width = (int)strlen(ds_shape_text(&info.shape, shape));
    self->shape = width > self->shape ? width : self->shape;
}

static ds_status tree_build(tree *self)
{
    size_t n = ds_checkpoint_n(self->c), parts = 1;
    for (size_t i = 0; i < n; i++)
        for (const char *p = ds_checkpoint_tensor(self->c, i).path; *p != '\0'; p++)
            parts += *p == '/';
    self->node = calloc(parts + 1, sizeof *self->node);
    DS_CHECK(self->node != NULL, DS_ERR_NOMEM, "out of memory for a tree of %zu tensors", n);
    self->node[0] =
        (tree_node){.child = TREE_NONE, .last = TREE_NONE, .next = TREE_NONE, .tensor = TREE_NONE};
    self->n = 1;
    self->width = 8;
    self->shape = 5;
    for (size_t i = 0; i < n; i++)
        tree_add(self, i);
    return DS_OK;
}

static ds_status tree_small_histogram(const tree *self, size_t i, const ds_tensor_stats *s)
{
    size_t count[INSPECT_SMALL_BINS];
    DS_TRY(ds_checkpoint_histogram(self->c, i, s->min, s->max, INSPECT_SMALL_BINS, count));
    printf("  ");
    textplot_bars(INSPECT_SMALL_BINS, count, stdout);
    return DS_OK;
}

static ds_status tree_tensor(const tree *self, size_t i, int used)
{
    ds_tensor_info info = ds_checkpoint_tensor(self->c, i);
    char shape[DS_SHAPE_TEXT];
    printf("%*s  %-*s  %-7s", self->width - used, "", self->shape,
           ds_shape_text(&info.shape, shape), ds_dtype_name(info.type));
    if (!info.good) {
        printf("  DAMAGED\n");
        return DS_OK;
    }
    ds_tensor_stats s;
    DS_TRY(ds_checkpoint_stats(self->c, i, &s));
    if (s.n > s.non_finite) {
        printf("  %9.4g  %10.4g  %10.4g  %10.4g", s.norm, s.min, s.max, s.mean);
        if (!self->histogram)
            DS_TRY(tree_small_histogram(self, i, &s));
    }
    if (s.non_finite > 0)
        printf("  %zu NOT FINITE", s.non_finite);
    putchar('\n');
    return self->histogram ? inspect_histogram(self->c, i, &s) : DS_OK;
}

static const char *tree_size(size_t bytes, char text[32])
{
    if (bytes < 1000)
        snprintf(text, 32, "%zu bytes", bytes);
    else if (bytes < 1000000)
        snprintf(text, 32, "%.*f kB", bytes < 10000 ? 1 : 0, (double)bytes / 1e3);
    else
        snprintf(text, 32, "%.*f MB", bytes < 10000000 ? 1 : 0, (double)bytes / 1e6);
    return text;
}

static ds_status tree_print(tree *self, long at)
{
    const char *const branch[] = {self->utf8 ? "├─ " : "|- ", self->utf8 ? "└─ " : "`- "};
    const char *const below[] = {self->utf8 ? "│  " : "|  ", "   "};
    size_t length = strlen(self->prefix);
    int used = 3; /* columns: a character of UTF-8 has one first byte */
    for (const char *p = self->prefix; *p != '\0'; p++)
        used += ((unsigned char)*p & 0xc0) != 0x80;
    for (long k = self->node[at].child; k != TREE_NONE; k = self->node[k].next) {
        const tree_node *node = &self->node[k];
        bool last = node->next == TREE_NONE;
        printf("%s%s%.*s", self->prefix, branch[last], (int)node->length, node->name);
        if (node->tensor != TREE_NONE) {
            DS_TRY(tree_tensor(self, (size_t)node->tensor, used + (int)node->length));
            continue;
        }
        char size[32];
        printf("  (%zu tensor%s, %zu elements, %s)\n", node->tensors, node->tensors == 1 ? "" : "s",
               node->elements, tree_size(node->bytes, size));
        snprintf(self->prefix + length, sizeof self->prefix - length, "%s", below[last]);
        DS_TRY(tree_print(self, k));
        self->prefix[length] = '\0';
    }
    return DS_OK;
}

static void tree_attr(const ds_attr *attr)
{
    if (attr->kind == DS_ATTR_INT) {
        printf("  %-16s %lld\n", attr->name, (long long)attr->integer);
    } else if (attr->kind == DS_ATTR_REAL) {
        printf("  %-16s %.9g\n", attr->name, ds_shown(attr->real));
    } else {
        size_t all = strlen(attr->text), line = strcspn(attr->text, "\n");
        size_t some = line < TREE_TEXT ? line : TREE_TEXT;
        printf("  %-16s %.*s", attr->name, (int)some, attr->text);
        if (some < all)
            printf("... (%zu characters; --json shows all)", all);
        putchar('\n');
    }
}

/* "optimizer        adamw, lr 0.001, weight_decay 0.01": the scalars of a section; its `name` first
 * and bare. */
static void tree_section(const ds_value *config, const char *key, const char *bare)
{
    const ds_value *section = ds_value_find(config, key), *name = ds_value_find(section, bare);
    if (section == NULL || (section->kind == DS_VALUE_SCALAR && ds_value_is_null(section)))
        return;
    printf("  %-16s ", key);
    const char *between = "";
    if (section->kind == DS_VALUE_SCALAR)
        printf("%s", section->text);
    if (name != NULL && name->kind == DS_VALUE_SCALAR) {
        printf("%s", name->text);
        between = ", ";
    }
    for (size_t i = 0; i < section->n && section->kind == DS_VALUE_MAP; i++) {
        const ds_value *v = section->child[i];
        if (v == name || v->kind != DS_VALUE_SCALAR)
            continue;
        printf("%s%s %s", between, v->key, v->text);
        between = ", ";
    }
    putchar('\n');
}

static ds_status tree_config(const ds_checkpoint *c)
{
    static const struct {
        const char *key, *bare;
    } section[] = {{"problem", "name"}, {"loss", "name"}, {"optimizer", "name"},
                   {"lr", "schedule"},  {"batch", ""},    {"sync", "strategy"},
                   {"compute", ""},     {"train", ""}};
    const ds_attr *text = ds_checkpoint_attr(c, "config");
    ds_value *config = NULL;
    ds_auto(ds_arena) arena = NULL;
    DS_TRY(ds_arena_create("a config", &arena));
    if (text == NULL || text->kind != DS_ATTR_TEXT ||
        ds_config_tree(arena, text->text, &config) != DS_OK || config == NULL ||
        config->kind != DS_VALUE_MAP)
        return DS_OK;
    printf("config\n");
    for (size_t i = 0; i < sizeof section / sizeof *section; i++)
        tree_section(config, section[i].key, section[i].bare);
    return DS_OK;
}

static ds_status tree_tensors(const inspect_subject *self)
{
    tree t = {.c = self->file, .histogram = self->histogram, .utf8 = textplot_utf8()};
    ds_status st = tree_build(&t);
    if (st == DS_OK && ds_checkpoint_n(t.c) > 0)
        printf("%-*s  %-*s  %-7s  %9s  %10s  %10s  %10s%s\n", t.width, "tensors", t.shape, "shape",
               "type", "norm", "min", "max", "mean", t.histogram ? "" : "  from min to max");
    if (st == DS_OK)
        st = tree_print(&t, 0);
    free(t.node);
    return st;
}

ds_status inspect_tree(const inspect_subject *self)
{
    const ds_checkpoint *c = self->file;
    size_t n, elements = inspect_count(c, "/parameters/", &n);
    printf("%s: %s, step %lld, %zu parameters in %zu tensors, %zu tensors in all\n", self->path,
           self->damage[0] == '\0' ? "good" : "DAMAGED", (long long)ds_checkpoint_step(c), elements,
           n, ds_checkpoint_n(c));
    DS_TRY(tree_config(c));
    if (ds_checkpoint_n_attrs(c) > 0)
        printf("run\n");
    for (size_t i = 0; i < ds_checkpoint_n_attrs(c); i++)
        tree_attr(ds_checkpoint_attr_at(c, i));
    return tree_tensors(self);
}
