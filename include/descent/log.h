/* Lines for people. The library never prints: lines go to the sink that the program sets (none at
 * first). One sink and one level a process. */
#ifndef DS_LOG_H
#define DS_LOG_H

#include "descent/status.h"

typedef enum ds_log_level { DS_LOG_WARN, DS_LOG_INFO, DS_LOG_DEBUG } ds_log_level;
typedef void ds_log_sink(void *context, ds_log_level level, const char *line);

/* Local. Send lines up to `level` to `sink` (NULL: nowhere). */
DS_API void ds_log_to(ds_log_sink *sink, void *context, ds_log_level level);
DS_API void ds_log(ds_log_level level, const char *fmt, ...) DS_PRINTF(2, 3);

#endif
