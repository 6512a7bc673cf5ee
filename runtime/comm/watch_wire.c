/* Datagrams between the watches. Each rank tells all others, through MPI at the start, under which
 * addresses it may be found (its interfaces', and the loop's on one host); from then on an answer
 * goes where the last message came from, so any interface that works is found. A lost datagram is
 * followed by the next. 104 bytes a rank and second. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "watch_parts.h"

static void wire_add(watch_home *home, struct in_addr address, in_port_t port)
{
    if (home->n < WATCH_ADDRESSES)
        home->address[home->n++] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = address, .sin_port = port};
}

/* The loop comes last: another host's answers nobody there, or somebody with another key. */
static void wire_find_home(int fd, watch_home *home)
{
    struct sockaddr_in bound = {0};
    socklen_t n = sizeof bound;
    struct ifaddrs *all = NULL;
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&bound, &n) != 0)
        return;
    if (getifaddrs(&all) == 0) {
        for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
            if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
                (i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0 &&
                home->n + 1 < WATCH_ADDRESSES) {
                struct sockaddr_in at;
                memcpy(&at, i->ifa_addr, sizeof at);
                wire_add(home, at.sin_addr, bound.sin_port);
            }
        freeifaddrs(all);
    }
    wire_add(home, (struct in_addr){htonl(INADDR_LOOPBACK)}, bound.sin_port);
}

static int wire_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A rank without a socket is never heard, so never judged by its silence. */
ds_status watch_wire_open(ds_world *world, watch_wire *out)
{
    size_t size = (size_t)world->size;
    watch_wire self = {.fd = wire_socket(), .rank = world->rank, .size = world->size};
    self.home = calloc(size, sizeof *self.home);
    self.peer = calloc(size, sizeof *self.peer);
    ds_status st = self.home == NULL || self.peer == NULL
                       ? DS_FAIL(DS_ERR_NOMEM, "no memory for a watch of %d ranks", world->size)
                       : DS_OK;
    st = ds_agree(world, st);
    if (st == DS_OK) {
        watch_home mine = {0};
        wire_find_home(self.fd, &mine);
        if (getrandom(&self.key, sizeof self.key, 0) != sizeof self.key)
            self.key = (uint64_t)getpid();
        st = ds_world_gather_all(world, &mine, sizeof mine, self.home);
    }
    if (st == DS_OK)
        st = ds_world_broadcast(world, &self.key, sizeof self.key, 0);
    *out = self;
    return st;
}

void watch_wire_close(watch_wire *self)
{
    if (self->fd >= 0)
        close(self->fd);
    free(self->home);
    free(self->peer);
    *self = (watch_wire){.fd = -1};
}

static void wire_send_to(const watch_wire *self, const struct sockaddr_in *to,
                         const watch_message *message)
{
    /* Lost like any other where the way is down: nothing to do about it here. */
    (void)!sendto(self->fd, message, sizeof *message, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)to, sizeof *to);
}

void watch_wire_send(const watch_wire *self, int to, bool everywhere, watch_message *message)
{
    if (self->fd < 0)
        return;
    message->key = self->key;
    message->from = self->rank;
    message->to = to;
    message->heard = self->peer[to].sin_port != 0;
    if (message->heard && !everywhere) {
        wire_send_to(self, &self->peer[to], message);
        return;
    }
    for (int i = 0; i < self->home[to].n; i++)
        wire_send_to(self, &self->home[to].address[i], message);
}

bool watch_wire_receive(watch_wire *self, watch_message *out)
{
    while (self->fd >= 0) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(self->fd, out, sizeof *out, MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *)&from, &length);
        if (n < 0 && (errno == EINTR || errno == ECONNREFUSED))
            continue;
        if (n < 0)
            return false;
        if (n != sizeof *out || out->key != self->key || out->from < 0 || out->from >= self->size ||
            out->from == self->rank || out->to != self->rank)
            continue;
        self->peer[out->from] = from;
        return true;
    }
    return false;
}
