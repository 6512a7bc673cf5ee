/* Who holds up the run? A rank that waits for another is not late; one that works shows it. So late
 * is who neither waits nor works, and who has fallen silent while rank 0 waits: a stopped process,
 * a lost host or a dead link look alike from here. Where all wait and none is silent, the way
 * between two of them is shut, and nobody is to blame. Who was never heard (a firewall) may be at
 * work: there patience is longer. Cost: ranks a look. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "watch_parts.h"

enum { JUDGE_NAMED = 8 };
#define JUDGE_SLACK_NS INT64_C(2000000000)

static int64_t judge_silence(const watch_table *t, int rank)
{
    const watch_seen *seen = &t->seen[rank];
    return rank == 0 || !seen->heard || seen->gone ? 0 : t->now - seen->heard_ns;
}

/* What the last message said, brought up to now. */
static int64_t judge_idle(const watch_table *t, int rank)
{
    return t->seen[rank].state.idle_ns + (rank == 0 ? 0 : t->now - t->seen[rank].heard_ns);
}

static bool judge_deaf(const watch_table *t, int rank)
{
    return rank != 0 && !t->seen[rank].heard && t->seen[0].state.waiting &&
           judge_idle(t, 0) > WATCH_DEAF * t->timeout_ns;
}

static bool judge_late(const watch_table *t, int rank)
{
    const watch_seen *seen = &t->seen[rank];
    if (!seen->heard)
        return judge_deaf(t, rank);
    if (seen->gone)
        return false;
    if (judge_silence(t, rank) > t->timeout_ns)
        return judge_idle(t, 0) > t->timeout_ns;
    /* By its own word: in a silence it may have worked on. */
    return !seen->state.waiting && seen->state.idle_ns > t->timeout_ns;
}

static bool judge_stuck(const watch_table *t)
{
    for (int r = 0; r < t->size; r++) {
        const watch_seen *seen = &t->seen[r];
        if (!seen->heard || seen->gone || !seen->state.waiting ||
            judge_silence(t, r) > 2 * JUDGE_SLACK_NS ||
            judge_idle(t, r) < t->timeout_ns + JUDGE_SLACK_NS)
            return false;
    }
    return true;
}

static void judge_name(const watch_table *t, int rank, size_t room, char *text)
{
    const watch_state *s = &t->seen[rank].state;
    double silent = (double)judge_silence(t, rank) * 1e-9;
    double idle = (double)judge_idle(t, rank) * 1e-9;
    int n = snprintf(text, room, "rank %d of %d on %s", rank, t->size, t->host + rank * WATCH_HOST);
    text += n;
    room -= (size_t)n;
    if (!t->seen[rank].heard)
        snprintf(text, room,
                 " (never heard: no UDP between it and rank 0, which has waited for %.0f s)",
                 (double)judge_idle(t, 0) * 1e-9);
    else if (judge_silence(t, rank) > t->timeout_ns)
        snprintf(text, room,
                 " (silent for %.0f s: stopped, or its host or link is down; last seen in %s, step "
                 "%" PRId64 ")",
                 silent, ds_phase_name((ds_phase)s->phase), s->step);
    else
        snprintf(text, room, " (%s, step %" PRId64 ", %s for %.0f s)",
                 ds_phase_name((ds_phase)s->phase), s->step, s->waiting ? "waiting" : "no progress",
                 idle);
}

bool watch_judge(const watch_table *t, size_t room, char *line)
{
    int late = 0, silent = 0;
    bool stuck = judge_stuck(t);
    size_t n = (size_t)snprintf(
        line, room, "no progress for %g s (watch.timeout): %s", (double)t->timeout_ns * 1e-9,
        stuck ? "all ranks wait for each other, and answer: the way between two hosts may be shut: "
              : "late: ");
    for (int r = 0; r < t->size && n < room; r++) {
        if (!stuck && !judge_late(t, r))
            continue;
        silent += judge_silence(t, r) > t->timeout_ns;
        if (++late > JUDGE_NAMED)
            continue;
        char name[256];
        judge_name(t, r, sizeof name, name);
        n += (size_t)snprintf(line + n, room - n, "%s%s", late > 1 ? ", " : "", name);
    }
    if (late > JUDGE_NAMED && n < room)
        snprintf(line + n, room - n, " and %d more", late - JUDGE_NAMED);
    if (silent > 1 && silent == t->size - 1 && n < room)
        snprintf(line + n, room - n,
                 "; that is all but rank 0: its own host may be the one cut off");
    return late > 0;
}
