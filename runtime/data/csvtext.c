/* RFC 4180 in place: the file is read at once, each field is unquoted where it lies and closed with
 * a NUL, so a text is kept by its pointer and nothing is copied. Records end with LF, CRLF or CR.
 * One pass; strict where the RFC is: nothing is guessed about a stray quote. */
#include "csvtext.h"

#include <stdlib.h>
#include <string.h>

void ds_csvtext_destroy(ds_csvtext **text)
{
    if (*text == NULL)
        return;
    free((*text)->all);
    free((*text)->field);
    free(*text);
    *text = NULL;
}

/* No text at all: UTF-16, or a binary file. */
static ds_status csvtext_check(const ds_csvtext *self, size_t n)
{
    const unsigned char *p = (const unsigned char *)self->all;
    DS_CHECK(n < 2 || !((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)),
             DS_ERR_DATA, "%s: is UTF-16 text, expected UTF-8; convert it with iconv", self->where);
    const char *nul = memchr(self->all, '\0', n);
    DS_CHECK(nul == NULL, DS_ERR_DATA,
             "%s: has a zero byte at offset %zu: it is no csv text but a binary file", self->where,
             (size_t)(nul - self->all));
    return DS_OK;
}

ds_status ds_csvtext_open(const char *what, const char *path, bool pipe, char delimiter,
                          ds_csvtext **out)
{
    size_t n = 0;
    ds_auto(ds_datafile) file = NULL;
    ds_auto(ds_csvtext) self = calloc(1, sizeof *self);
    DS_CHECK(self != NULL, DS_ERR_NOMEM, "out of memory for reading '%s'", path);
    self->where = strcmp(path, "-") == 0 ? "standard input" : path;
    self->delimiter = delimiter;
    self->next_line = 1;
    DS_TRY(ds_datafile_open(what, path, pipe, &file));
    DS_TRY(ds_datafile_slurp(file, &self->all, &n));
    DS_TRY(csvtext_check(self, n));
    self->end = self->all + n;
    self->at = self->all + (n >= 3 && memcmp(self->all, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    *out = ds_steal(self);
    return DS_OK;
}

size_t ds_csvtext_most(const ds_csvtext *self)
{
    size_t n = 1;
    for (const char *p = self->at; p < self->end; p++)
        n += *p == '\n' || (*p == '\r' && p[1] != '\n');
    return n;
}

static ds_status csvtext_keep(ds_csvtext *self, const char *field)
{
    if (self->n == self->room) {
        size_t room = self->room == 0 ? 64 : 2 * self->room;
        const char **more = realloc(self->field, room * sizeof *more);
        DS_CHECK(more != NULL, DS_ERR_NOMEM, "out of memory for the columns of %s", self->where);
        self->field = more;
        self->room = room;
    }
    self->field[self->n++] = field;
    return DS_OK;
}

/* After the opening quote: unquote in place; self->at is then behind the closing quote. */
static ds_status csvtext_quoted(ds_csvtext *self, char **end)
{
    char *to = self->at;
    for (char *p = self->at; p < self->end; p++) {
        if (*p == '"' && p[1] != '"') {
            self->at = p + 1;
            *end = to;
            char next = *self->at;
            DS_CHECK(self->at == self->end || next == self->delimiter || next == '\n' ||
                         next == '\r',
                     DS_ERR_DATA,
                     "%s:%zu: field %zu goes on after its closing quote; expected a quote inside a "
                     "quoted field to be doubled",
                     self->where, self->next_line, self->n + 1);
            return DS_OK;
        }
        self->next_line += *p == '\n' || (*p == '\r' && p[1] != '\n');
        p += *p == '"';
        *to++ = *p;
    }
    return DS_FAIL(DS_ERR_DATA, "%s:%zu: field %zu opens a quote that never closes", self->where,
                   self->line, self->n + 1);
}

static ds_status csvtext_plain(ds_csvtext *self, char **end)
{
    char *p = self->at;
    while (p < self->end && *p != self->delimiter && *p != '\n' && *p != '\r' && *p != '"')
        p++;
    DS_CHECK(p == self->end || *p != '"', DS_ERR_DATA,
             "%s:%zu: field %zu has a quote inside; expected the whole field in quotes and the "
             "quote doubled",
             self->where, self->line, self->n + 1);
    self->at = *end = p;
    return DS_OK;
}

/* Behind a line's end, which is at self->at. */
static void csvtext_end_line(ds_csvtext *self)
{
    self->at += self->at[0] == '\r' && self->at[1] == '\n' ? 2 : 1;
    self->next_line++;
}

/* An empty line is fine when only such follow. */
static ds_status csvtext_blank(ds_csvtext *self, bool *ends)
{
    size_t line = self->next_line, empty = 0;
    for (; self->at < self->end && (*self->at == '\n' || *self->at == '\r'); empty++)
        csvtext_end_line(self);
    *ends = self->at == self->end;
    DS_CHECK(*ends || empty == 0, DS_ERR_DATA, "%s:%zu: is an empty line, expected a record",
             self->where, line);
    return DS_OK;
}

ds_status ds_csvtext_next(ds_csvtext *self, bool *got)
{
    bool ends = false, more = true;
    DS_TRY(csvtext_blank(self, &ends));
    self->n = 0;
    self->line = self->next_line;
    *got = !ends;
    while (*got && more) {
        char *start = self->at, *end = NULL;
        bool quoted = self->at < self->end && *self->at == '"';
        self->at += quoted;
        DS_TRY(quoted ? csvtext_quoted(self, &end) : csvtext_plain(self, &end));
        DS_TRY(csvtext_keep(self, start + quoted));
        more = self->at < self->end && *self->at == self->delimiter;
        if (more)
            self->at++;
        else if (self->at < self->end)
            csvtext_end_line(self);
        *end = '\0'; /* after its delimiter or line end has been read */
    }
    return DS_OK;
}
