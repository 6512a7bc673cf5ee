/* Room for buckets under way: what the largest of those that share a lane takes, in messages, and
 * in bytes of codes or floats of partials. */
#include "exchange_parts.h"

typedef struct lanes_room {
    size_t inbox;                      /* floats */
    size_t out, in, news_out, news_in; /* bytes of codes */
    size_t mail, news;                 /* messages */
    size_t mail_bytes, news_bytes;
} lanes_room;

size_t ds_exchange_floats(const ds_exchange *self, size_t b, size_t r)
{
    const size_t *part = ds_exchange_runs(self, b, r);
    size_t n = 0;
    for (size_t i = part[0]; i < part[1]; i++)
        n += self->runs.run[i].n;
    return n;
}

size_t ds_exchange_bytes(const ds_exchange *self, size_t b, size_t r)
{
    const size_t *slice = ds_exchange_slices(self, b, r);
    return self->spec.sum.coded ? ds_exchange_code_bytes(self, slice[0], slice[1])
                                : ds_exchange_floats(self, b, r) * sizeof(float);
}

static void exchange_lanes_larger(size_t *most, size_t n)
{
    *most = n > *most ? n : *most;
}

static void exchange_lanes_measure(const ds_exchange *self, size_t b, lanes_room *room)
{
    size_t ranks = (size_t)self->sync->ranks, rank = (size_t)self->sync->rank;
    size_t foreign = self->spec.sum.n_nodes - self->n_mine, theirs = 0, others = 0;
    const size_t *part = ds_exchange_runs(self, b, rank);
    size_t ours = part[1] - part[0], own = ds_exchange_bytes(self, b, rank);
    for (size_t r = 0; r < ranks; r++) {
        const size_t *run = ds_exchange_runs(self, b, r);
        theirs += r != rank ? run[1] - run[0] : 0;
        others += r != rank ? ds_exchange_bytes(self, b, r) : 0;
    }
    exchange_lanes_larger(&room->mail_bytes, foreign * own + self->n_mine * others);
    exchange_lanes_larger(&room->news_bytes, (ranks - 1) * own + others);
    if (!self->spec.sum.coded) {
        exchange_lanes_larger(&room->inbox, foreign * own / sizeof(float));
        exchange_lanes_larger(&room->mail, foreign * ours + self->n_mine * theirs);
        exchange_lanes_larger(&room->news, (ranks - 1) * ours + theirs);
        return;
    }
    room->mail = room->news = 2 * ranks;
    exchange_lanes_larger(&room->out, self->n_mine * others);
    exchange_lanes_larger(&room->in, foreign * own);
    exchange_lanes_larger(&room->news_out, own);
    exchange_lanes_larger(&room->news_in, others);
}

/* What the largest of the buckets takes that use one of `lanes` lanes. */
static lanes_room exchange_lanes_room(const ds_exchange *self, size_t lane, size_t lanes)
{
    lanes_room room = {0};
    for (size_t i = lane; i < self->sync->spec.plan->n_buckets; i += lanes)
        exchange_lanes_measure(self, ds_exchange_bucket(self, i), &room);
    return room;
}

ds_status ds_exchange_lanes_create(ds_exchange *self)
{
    ds_arena *arena = self->sync->arena;
    ds_world *world = self->sync->spec.world;
    DS_TRY(ds_arena_take(arena, self->lanes, sizeof *self->lane, "sync", &self->lane));
    for (size_t i = 0; i < self->lanes; i++) {
        ds_lane *lane = &self->lane[i];
        lanes_room room = exchange_lanes_room(self, i, self->lanes);
        DS_TRY(ds_arena_take(arena, room.inbox, sizeof(float), "inbox of sums", &lane->inbox));
        DS_TRY(ds_arena_take(arena, room.out, 1, "codes", &lane->out));
        DS_TRY(ds_arena_take(arena, room.in, 1, "codes", &lane->in));
        DS_TRY(ds_mail_create(world, room.mail, room.mail_bytes, &lane->mail));
    }
    for (size_t i = 0; i < 2; i++) {
        ds_news *news = &self->news[i];
        lanes_room room = exchange_lanes_room(self, i, 2);
        DS_TRY(ds_arena_take(arena, room.news_out, 1, "codes", &news->out));
        DS_TRY(ds_arena_take(arena, room.news_in, 1, "codes", &news->in));
        DS_TRY(ds_mail_create(world, room.news, room.news_bytes, &news->mail));
    }
    return DS_OK;
}
