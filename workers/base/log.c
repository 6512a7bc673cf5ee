#include "descent/log.h"

#include <stdarg.h>
#include <stdio.h>

static ds_log_sink *log_sink;
static void *log_context;
static ds_log_level log_level;

void ds_log_to(ds_log_sink *sink, void *context, ds_log_level level)
{
    log_sink = sink;
    log_context = context;
    log_level = level;
}

void ds_log(ds_log_level level, const char *fmt, ...)
{
    if (log_sink == NULL || level > log_level)
        return;
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    log_sink(log_context, level, line);
}
