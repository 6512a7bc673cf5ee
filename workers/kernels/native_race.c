/* vdpbf16ps does two multiply-adds a lane, but some CPUs begin one in two cycles (a core of Emerald
 * Rapids: 84 GFLOP/s, 171 by fp32's multiply-adds), others one in each (Zen 4: 234 and 116). CPUs
 * do not say which, so the largest tiles of both race over panels that lie in the first-level
 * cache: the best of a few short tries each, taking turns, 0.2 ms a process. */
#include "native_race.h"

#include <pthread.h>

#include "descent/clock.h"

#if defined(__x86_64__)
/* The instruction first. */
static const ds_bf16_way *const race_ways[] = {&ds_bf16_dot, &ds_bf16_round, &ds_bf16_avx512,
                                               &ds_bf16_avx2, &ds_bf16_plain};
#else
static const ds_bf16_way *const race_ways[] = {&ds_bf16_plain};
#endif
static const ds_bf16_way *race_taken;
static bool race_wins;
static pthread_once_t race_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
enum {
    RACE_DEPTH = 128, /* floats of k: both panels take 24 KiB */
    RACE_TILES = 16,  /* a try: 10 to 25 us */
    RACE_TRIES = 6,
    RACE_LEAD = 6 /* fifths of fp32's rate that the instruction must reach, so that no noise
                     decides */
};

typedef struct race_panels {
    _Alignas(64) float a[RACE_DEPTH * NATIVE_HEIGHT], b[RACE_DEPTH * NATIVE_WIDTH],
        c[NATIVE_MAX_ROWS * NATIVE_WIDTH];
} race_panels;

/* ns of one try; a step of tiles of pairs takes two of k. */
static int64_t race_try(const ds_native_isa *isa, size_t steps, race_panels *p)
{
    ds_native_fetch nothing[2] = {{.pace = 0}, {.pace = 0}};
    const ds_native_job job = {.k = steps,
                               .a = p->a,
                               .lda = NATIVE_HEIGHT,
                               .b = p->b,
                               .ldb = NATIVE_WIDTH,
                               .c = p->c,
                               .ldc = NATIVE_WIDTH,
                               .fetch = nothing};
    int64_t start = ds_clock_ns();
    for (int i = 0; i < RACE_TILES; i++)
        isa->by_steps.wide[isa->max_rows - 1](&job);
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

const ds_bf16_way *ds_bf16_allowed(size_t i)
{
    int isa = ds_cpu_isa() < ds_isa_bound() ? ds_cpu_isa() : ds_isa_bound();
    for (size_t w = 0; w < sizeof race_ways / sizeof *race_ways; w++) {
        const ds_bf16_way *way = race_ways[w];
        bool may = way->least == 0 || (way->least <= isa && (!way->bf16 || ds_cpu_bf16()));
        if (may && i-- == 0)
            return way;
    }
    return NULL;
}

const ds_bf16_way *ds_bf16_best(void)
{
    if (race_taken != NULL)
        return race_taken;
    if (ds_isa_bound() < 2 || !ds_cpu_bf16())
        return ds_bf16_allowed(0);
    pthread_once(&race_once, race_run);
    return ds_bf16_allowed(race_wins ? 0 : 1);
}

void ds_bf16_take(const ds_bf16_way *way)
{
    race_taken = way;
}
