/* Numbers in configs: what counts as one is decided here by grammar, not by strtod, which would
 * take "inf", "0x1p3" and a locale's comma. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/option.h"

static size_t number_digits(const char **p)
{
    size_t n = strspn(*p, "0123456789");
    *p += n;
    return n;
}

static bool number_is_int(const char *text)
{
    text += *text == '+' || *text == '-';
    return number_digits(&text) > 0 && *text == '\0';
}

/* [+-] (digits [. digits] | . digits) [e [+-] digits] */
static bool number_is_real(const char *text)
{
    text += *text == '+' || *text == '-';
    size_t n = number_digits(&text);
    if (*text == '.') {
        text++;
        n += number_digits(&text);
    }
    if (n == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '+' || *text == '-';
        if (number_digits(&text) == 0)
            return false;
    }
    return *text == '\0';
}

static ds_status number_fail(const ds_value *self, const char *what, const char *name,
                             const char *expected)
{
    char found[96];
    bool named = name[0] != '\0';
    return ds_value_fail(self, "%s%s%s is %s, expected %s", what, named ? ": " : "", name,
                         ds_value_describe(self, sizeof found, found), expected);
}

ds_status ds_value_int(const ds_value *self, const char *what, const char *name, int64_t *out)
{
    if (self == NULL || self->kind != DS_VALUE_SCALAR || self->quoted || !number_is_int(self->text))
        return number_fail(self, what, name, "a whole number");
    errno = 0;
    int64_t x = strtoll(self->text, NULL, 10);
    if (errno == ERANGE)
        return number_fail(self, what, name, "a whole number of at most 64 bits");
    *out = x;
    return DS_OK;
}

ds_status ds_value_real(const ds_value *self, const char *what, const char *name, double *out)
{
    if (self == NULL || self->kind != DS_VALUE_SCALAR || self->quoted ||
        !number_is_real(self->text))
        return number_fail(self, what, name, "a number");
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    DS_CHECK(c != (locale_t)0, DS_ERR_NOMEM, "out of memory for a locale");
    double x = strtod_l(self->text, NULL, c);
    freelocale(c);
    if (!isfinite(x))
        return number_fail(self, what, name, "a finite number");
    *out = x;
    return DS_OK;
}

double ds_shown(double x)
{
    return isnan(x) ? fabs(x) : x;
}

const char *ds_real_text(double x, char text[32])
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t old = c == (locale_t)0 ? c : uselocale(c);
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, ds_shown(x));
        if (strtod(text, NULL) == x)
            break;
    }
    if (c != (locale_t)0) {
        uselocale(old);
        freelocale(c);
    }
    return text;
}
