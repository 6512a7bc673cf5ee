/* The parts of a watch: what a rank notes, what travels, who is late. */
#ifndef DS_WATCH_PARTS_H
#define DS_WATCH_PARTS_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "descent/watch.h"

#include "comm.h"

/* What a rank says of itself. */
typedef struct watch_state {
    int phase, waiting; /* waiting: inside a call that ends when others have made it too */
    int64_t step;
    int64_t idle_ns; /* since the last sign of work */
} watch_state;

/* --- watch_wire.c: datagrams between rank 0 and the others. --- */
enum { WATCH_BEAT = 1, WATCH_LEAVE, WATCH_BYE, WATCH_ADDRESSES = 6 };
typedef struct watch_message {
    uint64_t key; /* of this run: all else is ignored */
    int kind, from, to;
    int heard, stop; /* heard: the sender has heard the receiver */
    int64_t killed_in_ns;
    watch_state state;
} watch_message;
typedef struct watch_home { /* where a rank may be found */
    struct sockaddr_in address[WATCH_ADDRESSES];
    int n;
} watch_home;
typedef struct watch_wire {
    int fd, rank, size;
    uint64_t key;
    watch_home *home;         /* (size) */
    struct sockaddr_in *peer; /* (size): where the last message of a rank came from; port 0: none */
} watch_wire;
/* Collective, agreed. */
ds_status watch_wire_open(ds_world *world, watch_wire *out) DS_NODISCARD;
void watch_wire_close(watch_wire *self);
/* To where a rank was last heard from, or to all addresses it may have. Never waits. */
void watch_wire_send(const watch_wire *self, int to, bool everywhere, watch_message *message);
/* The next message that has come; false: none. */
bool watch_wire_receive(watch_wire *self, watch_message *out);

/* --- watch_judge.c: pure functions of what rank 0 knows. --- */
typedef struct watch_seen {
    bool heard, gone; /* ever; has said that it ends */
    int64_t heard_ns; /* when last */
    watch_state state;
} watch_seen;
typedef struct watch_table {
    int size;
    int64_t now, timeout_ns;
    const watch_seen *seen; /* (size); [0] is rank 0's own, of now */
    const char *host;       /* (size) names of WATCH_HOST bytes */
} watch_table;
enum { WATCH_HOST = 64, WATCH_DEAF = 4 }; /* timeouts of patience with who is not heard */
/* True: somebody is late, and `line` says who. */
bool watch_judge(const watch_table *table, size_t room, char *line);

/* --- watch.c and watch_thread.c --- */
typedef struct watch_notes { /* written by the rank, read by its watch */
    _Atomic int phase, waiting;
    _Atomic int64_t step, since_ns;                            /* of the phase */
    _Atomic int64_t beats;                                     /* signs of work */
    _Atomic int64_t spent_ns[DS_PHASE_N], last_ns[DS_PHASE_N]; /* in this step, in the one before */
} watch_notes;

typedef struct ds_watch ds_watch;
struct ds_watch {
    ds_world *world;
    ds_watch_hooks hooks;
    watch_notes notes;
    _Atomic int64_t timeout_ns;
    _Atomic bool over, reached; /* reached: rank 0 and this rank have heard each other */
    pthread_t thread;
    bool running;
    int wake[2]; /* a pipe */
    pthread_mutex_t lock;
    bool hushed; /* under lock */
    clockid_t processor;
    int io; /* the rank's thread: bytes it read and wrote */
    char *host;
    /* the thread's own */
    watch_wire wire;
    watch_seen *seen; /* (size) on rank 0; else [0] is what was heard of rank 0 */
    bool asked, told;
    int64_t alive_ns, start_ns, loop_ns, tick_ns, idle_from_ns;
    int64_t signs, processor_ns, io_bytes;
};
void *watch_thread(void *watch);

#endif
