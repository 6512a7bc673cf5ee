/* Blocks of one thread's products: packed a, one panel of b, one tile of c. */
#ifndef DS_NATIVE_ROOM_H
#define DS_NATIVE_ROOM_H

#include "descent/status.h"

#include "native_parts.h"

typedef struct ds_native_room {
    float a[NATIVE_ROOM], b[NATIVE_DEPTH * NATIVE_WIDTH], c[NATIVE_MAX_ROWS * NATIVE_WIDTH];
} ds_native_room;

/* Local. This thread's, freed when it ends. NOMEM. */
ds_status ds_native_take_room(ds_native_room **out);

#endif
