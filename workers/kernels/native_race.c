/* vdpbf16ps does two multiply-adds a lane, but some CPUs begin one in two cycles (a core of Emerald
 * Rapids: 84 GFLOP/s, 171 by fp32's multiply-adds), others one in each (Zen 4: 234 and 116). CPUs
 * do not say which, so the largest tiles of both race over panels that lie in the first-level
 * cache: the best of a few short tries each, taking turns, 0.2 ms a process. */
#include "native_race.h"

#include <pthread.h>

#include "descent/clock.h"

#include "native.h"
#include "parts.h"

static bool race_wins;
static pthread_once_t race_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
enum {
    RACE_DEPTH = 128, /* floats of k: both panels take 24 KiB */
    RACE_TILES = 16,  /* a try: 10 to 25 us */
    RACE_TRIES = 6,
    RACE_LEAD = 6 /* fifths of fp32's rate that the instruction must reach: packing does not differ
                     enough to decide, noise shall not */
};

typedef struct race_panels {
    _Alignas(64) float a[RACE_DEPTH * NATIVE_HEIGHT], b[RACE_DEPTH * NATIVE_WIDTH],
        c[NATIVE_MAX_ROWS * NATIVE_WIDTH];
} race_panels;

/* ns of one try; a step of tiles of pairs takes two of k. */
static int64_t race_try(const ds_native_isa *isa, size_t steps, race_panels *p)
{
    ds_native_fetch nothing = {.pace = 0};
    const ds_native_job job = {.k = steps,
                               .a = p->a,
                               .b = p->b,
                               .ldb = NATIVE_WIDTH,
                               .c = p->c,
                               .ldc = NATIVE_WIDTH,
                               .fetch = &nothing};
    int64_t start = ds_clock_ns();
    for (int i = 0; i < RACE_TILES; i++)
        isa->wide[isa->max_rows - 1](&job);
    return ds_clock_ns() - start;
}

static void race_run(void)
{
    race_panels p;
    int64_t dot = INT64_MAX, plain = INT64_MAX;
    for (size_t i = 0; i < sizeof p.a / sizeof *p.a; i++)
        p.a[i] = 1.0f;
    for (size_t i = 0; i < sizeof p.b / sizeof *p.b; i++)
        p.b[i] = 1.0f;
    for (int i = 0; i < RACE_TRIES; i++) {
        int64_t ns = race_try(&ds_native_dot, RACE_DEPTH / 2, &p);
        dot = ns < dot ? ns : dot;
        ns = race_try(&ds_native_avx512, RACE_DEPTH, &p);
        plain = ns < plain ? ns : plain;
    }
    race_wins = dot * RACE_LEAD <= plain * 5;
}
#else
static void race_run(void)
{
}
#endif

bool ds_native_dot_wins(void)
{
    if (ds_isa_bound() < 2 || !ds_cpu_bf16())
        return false;
    pthread_once(&race_once, race_run);
    return race_wins;
}

void ds_native_dot_set(bool wins)
{
    (void)ds_native_dot_wins();
    race_wins = wins;
}
