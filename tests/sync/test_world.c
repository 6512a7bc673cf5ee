/* The world on 1, 2, 3 ranks: who fails, what all ranks then say; the small collectives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descent/session.h"
#include "descent/wire.h"

static int failures;

static void expect(int good, const char *what)
{
    if (!good)
        fprintf(stderr, "FAILED: %s; last error: %s\n", what, ds_last_error());
    failures += !good;
}

static ds_status fail_on(int rank, int which, ds_status code)
{
    DS_CHECK(rank != which, code, "thing %d is bad", which);
    return DS_OK;
}

static const char *host_of(ds_world *world, int rank)
{
    static char host[256];
    snprintf(host, sizeof host, "%s", ds_world_host(world));
    expect(ds_world_broadcast(world, host, sizeof host, rank) == DS_OK, "host name");
    return host;
}

static void test_agree(ds_world *world)
{
    int rank = ds_world_rank(world), size = ds_world_size(world);
    char wanted[4096];
    expect(ds_agree(world, DS_OK) == DS_OK, "all well");
    for (int bad = 0; bad < size; bad++) { /* one alone */
        const char *host = host_of(world, bad);
        ds_status st = ds_agree(world, fail_on(rank, bad, DS_ERR_DATA));
        expect(st == DS_ERR_DATA, "code of the failing rank");
        snprintf(wanted, sizeof wanted, "rank %d of %d on %s: thing %d is bad", bad, size, host,
                 bad);
        expect(strcmp(ds_last_error(), size > 1 ? wanted : "thing 0 is bad") == 0,
               "message of one");
    }
    ds_status st = ds_agree(world, DS_FAIL(DS_ERR_USAGE, "no such key"));
    expect(st == DS_ERR_USAGE && strcmp(ds_last_error(), "no such key") == 0, "all fail alike");
    st = ds_agree(world, st); /* once more: the message does not grow */
    expect(strcmp(ds_last_error(), "no such key") == 0, "agreed twice");
    const char *host = host_of(world, 0);
    st = ds_agree(world, DS_FAIL(rank == 0 ? DS_ERR_WRITE : DS_ERR_DATA, "disk of %d", rank));
    snprintf(wanted, sizeof wanted, "rank 0 of %d on %s: disk of 0", size, host);
    expect(st == DS_ERR_WRITE, "lowest rank's code");
    expect(strcmp(ds_last_error(), size > 1 ? wanted : "disk of 0") == 0, "lowest rank's message");
}

static void test_collectives(ds_world *world)
{
    int rank = ds_world_rank(world), size = ds_world_size(world);
    double x[2] = {rank + 1.0, -rank}, most = rank;
    int64_t n = rank, all[16];
    expect(ds_world_sum(world, x, 2) == DS_OK && x[0] == size * (size + 1) / 2.0, "sum");
    expect(ds_world_max(world, &most, 1) == DS_OK && most == size - 1.0, "max");
    expect(ds_world_gather_all(world, &n, sizeof n, all) == DS_OK, "gather");
    for (int r = 0; r < size && r < 16; r++)
        expect(all[r] == r, "gathered");
    expect(ds_world_sum_int(world, &n, 1) == DS_OK && n == size * (size - 1) / 2, "sum of ints");
    expect(ds_world_same(world, "abc", 3, "text") == DS_OK, "same bytes");
    int mine = rank;
    ds_status st = ds_world_same(world, &mine, sizeof mine, "number");
    expect(st == (size > 1 ? DS_ERR_INTERNAL : DS_OK), "other bytes");
    float block[64];
    size_t first[16], count[16];
    for (int r = 0; r < size; r++)
        first[r] = (size_t)r * 3, count[r] = (size_t)(r % 3);
    for (int i = 0; i < 64; i++)
        block[i] = (float)(i / 3 == rank ? rank : -1);
    expect(ds_world_spread(world, block, first, count) == DS_OK, "spread");
    for (int r = 0; r < size; r++)
        for (size_t i = 0; i < count[r]; i++)
            expect(block[first[r] + i] == (float)r, "spread value");
    int word = rank == size - 1 ? 42 : 0;
    expect(ds_world_broadcast(world, &word, sizeof word, size - 1) == DS_OK && word == 42, "bcast");
}

enum { MAIL_SIZES = 8, MAIL_ROOM = 620000 };
static const size_t mail_size[MAIL_SIZES] = {1, 0, 61439, 61440, 61441, 3, 307205, 122880};

static unsigned char mail_byte(int from, int to, size_t message, size_t at)
{
    return (unsigned char)((size_t)(from * 7 + to * 31) + message * 13 + at % 251 + at / 61440);
}

/* Messages of all sizes around a piece's, between all pairs at once, one tag: each arrives whole,
 * in its order. */
static void test_mail(ds_world *world, bool start)
{
    int rank = ds_world_rank(world), size = ds_world_size(world);
    ds_mail *mail = NULL;
    size_t room = (size_t)size * MAIL_ROOM, wrong = 0, seen = 0;
    unsigned char *out = calloc(room, 1), *in = calloc(room, 1);
    expect(ds_mail_create(world, (size_t)size * 2 * MAIL_SIZES, 2 * room, &mail) == DS_OK, "mail");
    for (int round = 0; round < 2; round++) { /* the room is there again */
        for (int peer = 0; peer < size; peer++)
            for (size_t m = 0, at = (size_t)peer * MAIL_ROOM; m < MAIL_SIZES && peer != rank; m++) {
                for (size_t i = 0; i < mail_size[m]; i++)
                    out[at + i] = mail_byte(rank, peer, m, i);
                expect(ds_mail_receive(mail, peer, 3, in + at, mail_size[m]) == DS_OK, "receive");
                expect(ds_mail_send(mail, peer, 3, out + at, mail_size[m]) == DS_OK, "send");
                at += mail_size[m];
            }
        expect(!start || ds_mail_start(mail) == DS_OK, "start");
        expect(ds_mail_wait(mail) == DS_OK, "wait");
        for (int peer = 0; peer < size; peer++)
            for (size_t m = 0, at = (size_t)peer * MAIL_ROOM; m < MAIL_SIZES && peer != rank;
                 at += mail_size[m++])
                for (size_t i = 0; i < mail_size[m]; i++, seen++)
                    wrong += in[at + i] != mail_byte(peer, rank, m, i);
        memset(in, 0, room);
    }
    expect(wrong == 0 && (seen > 0) == (size > 1), "bytes of messages");
    if (rank == 0)
        printf("mail of %d ranks: %zu bytes, %zu wrong\n", size, seen, wrong);
    ds_mail_destroy(&mail);
    free(out);
    free(in);
}

int main(int argc, char **argv)
{
    ds_world *world = NULL, *self = NULL;
    if (ds_world_self(&self) != DS_OK || ds_session_begin(&argc, &argv) != DS_OK ||
        ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    test_agree(world);
    test_collectives(world);
    test_mail(world, true);
    test_mail(world, false);
    test_agree(self);
    test_collectives(self);
    if (ds_world_rank(world) == 0)
        printf("world of %d on %d hosts (%d here): %d failures on rank 0\n", ds_world_size(world),
               ds_world_hosts(world), ds_world_host_ranks(world), failures);
    ds_world_destroy(&self);
    ds_world_destroy(&world);
    ds_session_end();
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
