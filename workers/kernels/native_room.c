/* Memory of native products: one block a thread, taken at set-up, else at its first product. */
#include "native_room.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t native_key;
static pthread_once_t native_once = PTHREAD_ONCE_INIT;
static bool native_has_key;

static void native_make_key(void)
{
    native_has_key = pthread_key_create(&native_key, free) == 0;
}

ds_status ds_native_take_room(ds_native_room **out)
{
    pthread_once(&native_once, native_make_key);
    ds_native_room *room = native_has_key ? pthread_getspecific(native_key) : NULL;
    if (room == NULL) {
        room = aligned_alloc(64, (sizeof *room + 63) / 64 * 64);
        DS_CHECK(native_has_key && room != NULL && pthread_setspecific(native_key, room) == 0,
                 DS_ERR_NOMEM, "no memory for the blocks of matrix products (%zu bytes)",
                 sizeof *room);
    }
    *out = room;
    return DS_OK;
}

void ds_native_ready(void)
{
    ds_native_room *room = NULL;
    (void)ds_native_take_room(&room);
}
