/* UTF-8 as RFC 3629 has it (no surrogates, nothing overlong), and no control characters, before the
 * YAML reader sees a byte: it takes what it cannot read for an empty value. */
#include <string.h>

#include "config_parts.h"

/* Bytes of the character at p, 0 when it is none. Reading stops at the first bad byte, so never
 * behind the end. */
static size_t utf8_length(const unsigned char *p)
{
    static const struct {
        unsigned char lo, hi, second_lo, second_hi, length;
    } form[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        if (p[0] < form[i].lo || p[0] > form[i].hi)
            continue;
        for (size_t k = 1; k < form[i].length; k++) {
            unsigned char lo = k == 1 ? form[i].second_lo : 0x80;
            unsigned char hi = k == 1 ? form[i].second_hi : 0xbf;
            if (p[k] < lo || p[k] > hi)
                return 0;
        }
        return form[i].length;
    }
    return 0;
}

ds_status ds_utf8_check(const char *source, bool places, const char *text)
{
    ds_value at = {.source = source, .line = places, .column = 1};
    for (const char *p = text; *p != '\0';) {
        unsigned char c = (unsigned char)*p;
        size_t length = utf8_length((const unsigned char *)p);
        if (length == 0)
            return ds_value_fail(&at, "byte 0x%02x is not UTF-8", c);
        if ((c < 0x20 && strchr("\t\n\r", c) == NULL) || c == 0x7f)
            return ds_value_fail(&at, "control character 0x%02x", c);
        p += length;
        at.column++;
        if (c == '\n') {
            at.line += places;
            at.column = 1;
        }
    }
    return DS_OK;
}
