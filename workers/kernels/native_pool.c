/* Threads of a rank for native products: each computes columns or rows of its own, so their number
 * changes no bit. They are made when the program sets it and sleep between products. One product at
 * a time uses them; another caller's computes alone. */
#include "native_pool.h"

#include <pthread.h>
#include <signal.h>

enum { POOL_MOST = 1024 };

static struct {
    pthread_mutex_t busy; /* held by who uses the pool */
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t go, done;
    _Atomic int threads; /* wanted, the caller's included */
    int made;            /* without it */
    unsigned long turn;
    int parts, next, open;
    ds_pool_part *part;
    void *context;
    void (*ready)(void);
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .go = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER,
          .threads = 1};

/* Take parts until none is left; the lock is held on entry and exit. */
static void pool_work(void)
{
    while (pool.next < pool.parts) {
        int i = pool.next++;
        ds_pool_part *part = pool.part;
        void *context = pool.context;
        pthread_mutex_unlock(&pool.lock);
        part(context, i);
        pthread_mutex_lock(&pool.lock);
        if (--pool.open == 0)
            pthread_cond_signal(&pool.done);
    }
}

static void *pool_main(void *argument)
{
    (void)argument;
    unsigned long turn = 0;
    pthread_mutex_lock(&pool.lock);
    pool.ready();
    for (;;) {
        while (pool.turn == turn)
            pthread_cond_wait(&pool.go, &pool.lock);
        turn = pool.turn;
        pool_work();
    }
    return NULL;
}

/* Signals belong to the program's own threads. */
static bool pool_make(void)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_create(&thread, &attributes, pool_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return made;
}

void ds_pool_set(int threads, void (*ready)(void))
{
    pthread_mutex_lock(&pool.lock);
    pool.ready = ready;
    pool.threads = threads < POOL_MOST ? threads : POOL_MOST;
    while (pool.made + 1 < pool.threads && pool_make())
        pool.made++;
    if (pool.made + 1 < pool.threads)
        pool.threads = pool.made + 1;
    pthread_mutex_unlock(&pool.lock);
}

int ds_pool_threads(void)
{
    return pool.threads;
}

void ds_pool_run(int parts, ds_pool_part *part, void *context)
{
    if (parts < 2 || pthread_mutex_trylock(&pool.busy) != 0) {
        for (int i = 0; i < parts; i++)
            part(context, i);
        return;
    }
    pthread_mutex_lock(&pool.lock);
    pool.part = part, pool.context = context;
    pool.parts = pool.open = parts;
    pool.next = 0;
    pool.turn++;
    pthread_cond_broadcast(&pool.go);
    pool_work();
    while (pool.open > 0)
        pthread_cond_wait(&pool.done, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.busy);
}
