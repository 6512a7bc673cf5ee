/* Which way products of bfloat16 go. */
#ifndef DS_NATIVE_RACE_H
#define DS_NATIVE_RACE_H

#include "native_parts.h"

/* Local. The fastest that CPU and bound allow. The first call may race (0.2 ms) and allocates
 * nothing; any thread may ask. */
const ds_bf16_way *ds_bf16_best(void);
/* Local. Tests: the i-th that CPU and bound allow, fastest first as a rule; NULL past the last. */
const ds_bf16_way *ds_bf16_allowed(size_t i);
/* Local. Tests: `way` is the best from now on; NULL: the fastest again. Between products only. */
void ds_bf16_take(const ds_bf16_way *way);

#endif
