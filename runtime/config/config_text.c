/* The resolved tree as YAML. Maps and lists that fit a line are written in flow style, others in
 * blocks; a scalar is quoted where it would read back as something else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_parts.h"

enum { TEXT_WIDTH = 96 };

/* Plain in any context: letters, digits and harmless signs, no space at an end, none before '#'. */
static bool text_is_plain(const char *text)
{
    static const char *const special[] = {"~", "null", "Null", "NULL", "---", "..."};
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_./+- ";
    size_t n = strlen(text);
    if (n == 0 || strspn(text, safe) != n || text[0] == ' ' || text[n - 1] == ' ')
        return false;
    if (text[0] == '-' && (n == 1 || text[1] == ' ' || text[1] == '-'))
        return false;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (strcmp(text, special[i]) == 0)
            return false;
    return true;
}

static void text_scalar(FILE *f, const char *text, bool quoted)
{
    if (!quoted && (text[0] == '\0' || text_is_plain(text))) {
        fputs(text[0] == '\0' ? "null" : text, f);
        return;
    }
    putc('"', f);
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\x%02x", c);
        else
            putc(c, f);
    }
    putc('"', f);
}

static void text_key(FILE *f, const ds_value *v)
{
    if (v->key == NULL)
        return;
    text_scalar(f, v->key, v->key[0] == '\0');
    putc(':', f);
}

static void text_flow(FILE *f, const ds_value *v)
{
    if (v->kind == DS_VALUE_SCALAR) {
        text_scalar(f, v->text, v->quoted);
        return;
    }
    bool map = v->kind == DS_VALUE_MAP;
    putc(map ? '{' : '[', f);
    for (size_t i = 0; i < v->n; i++) {
        fputs(i == 0 ? "" : ", ", f);
        text_key(f, v->child[i]);
        fputs(map ? " " : "", f);
        text_flow(f, v->child[i]);
    }
    putc(map ? '}' : ']', f);
}

/* An upper bound of its characters in flow style. */
static size_t text_length(const ds_value *v)
{
    size_t n = (v->key == NULL ? 0 : strlen(v->key) + 4) + 2;
    if (v->kind == DS_VALUE_SCALAR)
        return n + strlen(v->text);
    for (size_t i = 0; i < v->n && n <= TEXT_WIDTH; i++)
        n += text_length(v->child[i]) + 2;
    return n;
}

static void text_block(FILE *f, const ds_value *v, int indent)
{
    for (size_t i = 0; i < v->n; i++) {
        const ds_value *c = v->child[i];
        bool flow = c->kind == DS_VALUE_SCALAR || c->n == 0 ||
                    (size_t)indent + text_length(c) <= TEXT_WIDTH;
        fprintf(f, "%*s", indent, "");
        if (v->kind == DS_VALUE_LIST)
            fputs(flow ? "- " : "-\n", f);
        else
            text_key(f, c);
        if (flow && v->kind == DS_VALUE_MAP)
            putc(' ', f);
        if (flow)
            text_flow(f, c);
        if (flow || v->kind == DS_VALUE_MAP)
            putc('\n', f);
        if (!flow)
            text_block(f, c, indent + 2);
    }
}

ds_status ds_config_text(const ds_config *self, char **text)
{
    char *room = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&room, &n);
    DS_CHECK(f != NULL, DS_ERR_NOMEM, "out of memory for the config's text");
    text_block(f, self->root, 0);
    bool bad = ferror(f) != 0;
    bad |= fclose(f) != 0;
    if (bad) {
        free(room);
        return DS_FAIL(DS_ERR_NOMEM, "out of memory for the config's text");
    }
    *text = room;
    return DS_OK;
}

ds_status ds_config_tree(ds_arena *arena, const char *text, ds_value **out)
{
    return ds_yaml_parse(arena, "the config", false, text, out);
}
