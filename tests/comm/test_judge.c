/* Who is late: tables as rank 0 may see them, and the verdict that a person would give. */
#include <stdio.h>
#include <string.h>

#include "../../runtime/comm/watch_parts.h"
#include "../base/suite.h"

#define SECOND INT64_C(1000000000)
enum { RANKS = 4 };

typedef struct seen {
    bool heard;
    int silent_s, idle_s, waiting, phase;
} seen;

/* The line, or "" where nobody is late; `now` is second 1000, the timeout 60 s. */
static const char *verdict(const seen rank[RANKS])
{
    static char line[2048];
    static const char host[RANKS][WATCH_HOST] = {"a", "b", "c", "d"};
    watch_seen table[RANKS] = {0};
    for (int r = 0; r < RANKS; r++) {
        table[r].heard = rank[r].heard;
        table[r].heard_ns = (1000 - rank[r].silent_s) * SECOND;
        table[r].state = (watch_state){.phase = rank[r].phase,
                                       .waiting = rank[r].waiting,
                                       .step = 12,
                                       .idle_ns = rank[r].idle_s * SECOND};
    }
    const watch_table t = {RANKS, 1000 * SECOND, 60 * SECOND, table, &host[0][0]};
    bool late = watch_judge(&t, sizeof line, line);
    printf("# %s\n", late ? line : "nobody");
    return late ? line : "";
}

#define COMPUTES DS_PHASE_COMPUTING
#define EXCHANGES DS_PHASE_EXCHANGE

START_TEST(nobody)
{
    const seen busy[RANKS] = {{true, 0, 50, 1, EXCHANGES},
                              {true, 1, 59, 0, COMPUTES},
                              {true, 1, 50, 1, EXCHANGES},
                              {true, 0, 50, 1, EXCHANGES}};
    ck_assert_str_eq(verdict(busy), "");
    /* Its datagrams are lost, but the run goes on. */
    const seen deaf[RANKS] = {{true, 0, 1, 1, EXCHANGES},
                              {true, 300, 0, 0, COMPUTES},
                              {true, 1, 1, 1, EXCHANGES},
                              {true, 0, 1, 1, EXCHANGES}};
    ck_assert_str_eq(verdict(deaf), "");
    /* Long at one thing, then datagrams are lost: it may have gone on meanwhile. */
    const seen lost[RANKS] = {{true, 0, 70, 1, EXCHANGES},
                              {true, 30, 40, 0, COMPUTES},
                              {true, 1, 70, 1, EXCHANGES},
                              {true, 0, 70, 1, EXCHANGES}};
    ck_assert_str_eq(verdict(lost), "");
    /* A long evaluation of one rank, which shows progress; the others wait, for however long. */
    const seen uneven[RANKS] = {{true, 0, 900, 1, EXCHANGES},
                                {true, 1, 1, 0, DS_PHASE_EVALUATION},
                                {true, 1, 900, 1, EXCHANGES},
                                {true, 0, 900, 1, EXCHANGES}};
    ck_assert_str_eq(verdict(uneven), "");
    /* One never heard (a firewall) may be at work. */
    const seen wall[RANKS] = {{true, 0, 239, 1, EXCHANGES},
                              {false, 0, 0, 0, 0},
                              {true, 1, 239, 1, EXCHANGES},
                              {true, 0, 239, 1, EXCHANGES}};
    ck_assert_str_eq(verdict(wall), "");
}
END_TEST

/* Behind a wall nobody can tell a stopped rank from one at work: after four timeouts it is stopped.
 */
START_TEST(never_heard)
{
    const seen wall[RANKS] = {{true, 0, 241, 1, EXCHANGES},
                              {false, 0, 0, 0, 0},
                              {true, 1, 241, 1, EXCHANGES},
                              {true, 0, 241, 1, EXCHANGES}};
    const char *line = verdict(wall);
    ck_assert_ptr_nonnull(strstr(line, "late: rank 1 of 4 on b (never heard"));
    ck_assert_ptr_null(strstr(line, ", rank"));
}
END_TEST

START_TEST(one)
{
    const seen hangs[RANKS] = {{true, 0, 61, 1, EXCHANGES},
                               {true, 1, 61, 1, EXCHANGES},
                               {true, 1, 61, 0, DS_PHASE_CHECKPOINT},
                               {true, 0, 61, 1, EXCHANGES}};
    const char *line = verdict(hangs);
    ck_assert_ptr_nonnull(strstr(line, "late: rank 2 of 4 on c (checkpoint, step 12, no progress"));
    ck_assert_ptr_null(strstr(line, ", rank"));
    const seen stopped[RANKS] = {{true, 0, 61, 1, EXCHANGES},
                                 {true, 61, 0, 1, EXCHANGES},
                                 {true, 1, 61, 1, EXCHANGES},
                                 {true, 0, 61, 1, EXCHANGES}};
    line = verdict(stopped);
    ck_assert_ptr_nonnull(strstr(line, "rank 1 of 4 on b (silent for 61 s"));
    ck_assert_ptr_nonnull(strstr(line, "last seen in exchange, step 12"));
    const seen first[RANKS] = {{true, 0, 61, 0, DS_PHASE_REPORT},
                               {true, 1, 61, 1, EXCHANGES},
                               {true, 1, 61, 1, EXCHANGES},
                               {true, 0, 61, 1, EXCHANGES}};
    ck_assert_ptr_nonnull(strstr(verdict(first), "rank 0 of 4 on a (report, step 12"));
}
END_TEST

START_TEST(several)
{
    const seen cut[RANKS] = {{true, 0, 61, 1, EXCHANGES},
                             {true, 62, 0, 1, EXCHANGES},
                             {true, 61, 0, 1, EXCHANGES},
                             {true, 63, 0, 0, COMPUTES}};
    const char *line = verdict(cut);
    ck_assert_ptr_nonnull(strstr(line, "rank 1 of 4"));
    ck_assert_ptr_nonnull(strstr(line, "rank 3 of 4"));
    ck_assert_ptr_nonnull(strstr(line, "all but rank 0"));
    /* All wait and all are heard: a way between two of them is shut. */
    const seen stuck[RANKS] = {{true, 0, 63, 1, EXCHANGES},
                               {true, 1, 63, 1, EXCHANGES},
                               {true, 1, 63, 1, EXCHANGES},
                               {true, 0, 63, 1, EXCHANGES}};
    line = verdict(stuck);
    ck_assert_ptr_nonnull(strstr(line, "all ranks wait for each other"));
    ck_assert_ptr_nonnull(strstr(line, "rank 1 of 4 on b (exchange, step 12, waiting"));
    ck_assert_ptr_nonnull(strstr(line, "rank 2 of 4"));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("judge");
    tcase_add_test(c, nobody);
    tcase_add_test(c, never_heard);
    tcase_add_test(c, one);
    tcase_add_test(c, several);
    return run_suite(c);
}
