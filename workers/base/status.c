/* The last failure of a thread: one line of message and a trace, in fixed room, so that reporting a
 * failed allocation needs no memory. */
#include "descent/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048];
static _Thread_local char trace[2048];

static void status_add_trace(const char *file, int line, const char *expr)
{
    size_t used = strlen(trace);
    snprintf(trace + used, sizeof trace - used, "  at %s:%d%s%s\n", file, line,
             expr == NULL ? "" : " in ", expr == NULL ? "" : expr);
}

static void status_one_line(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' '; /* no second line, no escape sequence from a file's content */
}

ds_status ds_fail(ds_status code, const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    status_one_line(message);
    trace[0] = '\0';
    status_add_trace(file, line, NULL);
    return code;
}

ds_status ds_trace(ds_status code, const char *file, int line, const char *expr)
{
    status_add_trace(file, line, expr);
    return code;
}

ds_status ds_fail_prefix(ds_status code, const char *fmt, ...)
{
    char old[sizeof message];
    memcpy(old, message, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof message)
        snprintf(message + n, sizeof message - (size_t)n, "%.*s", (int)(sizeof message) - n - 1,
                 old);
    status_one_line(message);
    return code;
}

const char *ds_last_error(void)
{
    return message;
}

const char *ds_last_trace(void)
{
    return trace;
}

const char *ds_status_text(ds_status code)
{
    static const char *const text[] = {
#define X(name, exit_code, t) [name] = (t),
        DS_STATUS_LIST(X)
#undef X
    };
    return (size_t)code < sizeof text / sizeof *text ? text[code] : "unknown status";
}

int ds_exit_code(ds_status code)
{
    static const int exit_codes[] = {
#define X(name, exit_code, t) [name] = (exit_code),
        DS_STATUS_LIST(X)
#undef X
    };
    return (size_t)code < sizeof exit_codes / sizeof *exit_codes ? exit_codes[code] : 70;
}
