/* Time. Never shapes numbers: only logs, progress and the decision when to checkpoint. */
#ifndef DS_CLOCK_H
#define DS_CLOCK_H

#include <stdint.h>

#include "descent/status.h"

/* Local. Monotonic time in ns. */
DS_API int64_t ds_clock_ns(void);
/* Local. Seconds since 1970. */
DS_API double ds_clock_wall_s(void);

#endif
