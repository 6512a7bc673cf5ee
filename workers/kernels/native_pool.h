/* The threads that share native products. */
#ifndef DS_NATIVE_POOL_H
#define DS_NATIVE_POOL_H

#include <stdbool.h>

typedef void ds_pool_part(void *context, int i);

/* As many threads as that, the caller's included; fewer where the system gives no more. Each new
 * one calls ready() first. */
void ds_pool_set(int threads, void (*ready)(void));
int ds_pool_threads(void);
/* part(context, i) for i in [0, parts), each once, by whichever thread; returns when all are done.
 */
void ds_pool_run(int parts, ds_pool_part *part, void *context);

#endif
