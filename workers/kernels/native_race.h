/* Whether products of bfloat16 use the instruction of AVX512_BF16. */
#ifndef DS_NATIVE_RACE_H
#define DS_NATIVE_RACE_H

#include <stdbool.h>

/* Local. True where the CPU has the instruction, the bound allows it, and it beats fp32 tiles of
 * rounded floats, whose bits are the same. The first call measures it (0.2 ms) and allocates
 * nothing; any thread may ask. */
bool ds_native_dot_wins(void);
/* Local. Tests: take it, or do not, whatever the race said. Between products only. */
void ds_native_dot_set(bool wins);

#endif
