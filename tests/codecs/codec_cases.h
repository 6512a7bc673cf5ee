/* Every codec of the registry, with default options and with those of a table of formats. */
#ifndef DS_TEST_CODEC_CASES_H
#define DS_TEST_CODEC_CASES_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/codec.h"
#include "descent/rng.h"

#include "../optim/with_options.h"

enum { N = 3 * DS_CODEC_UNIT + 1237, MOST = 32 };

/* A codec with options, and the error that its format allows: relative to |x|, to the block's
 * largest, and absolute. */
static const struct {
    const char *name, *options;
    double of_x, of_block, absolute;
    size_t block;
} formats[] = {
    {"fp16", "", 0x1p-11, 0, 0x1p-25, 1},
    {"bf16", "", 0x1p-8, 0, 0x1p-134, 1},
    {"int8", "", 0, (1 + 0x1p-15) / 254, 0x1p-127, 256},
    {"int8", "block=16", 0, (1 + 0x1p-15) / 254, 0x1p-127, 16},
    {"int8", "block=1024", 0, (1 + 0x1p-15) / 254, 0x1p-127, 1024},
    {"int8", "block=4096", 0, (1 + 0x1p-15) / 254, 0x1p-127, 4096},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static struct {
    ds_codec codec;
    size_t index;   /* in the registry */
    const char *as; /* options in words */
    int format;     /* of the table above; -1: a codec that it does not know */
} cases[MOST];
static int n_cases;
static ds_arena *arena;

static inline void enter(size_t index, const char *options, int format)
{
    cases[n_cases].codec.ops = ds_codec_at(index);
    cases[n_cases].index = index;
    cases[n_cases].as = options;
    cases[n_cases++].format = format;
}

static inline void setup(void)
{
    ck_assert_int_eq(ds_arena_create("test", &arena), DS_OK);
    for (int i = 0; i < n_cases; i++) {
        const ds_codec_ops *ops = cases[i].codec.ops;
        void *options = NULL;
        ck_assert_int_eq(ds_arena_take(arena, 1, ops->options_size, "options", &options), DS_OK);
        ck_assert_int_eq(with_options(ops->options, cases[i].as, arena, options), DS_OK);
        cases[i].codec = (ds_codec){ops, options, 1.0f};
    }
}

static inline void teardown(void)
{
    ds_arena_destroy(&arena);
}

/* Every member of the registry with its defaults, and every line of the table. */
static inline void enter_all(void)
{
    for (size_t i = 0; ds_codec_at(i) != NULL && n_cases + FORMATS < MOST; i++) {
        bool known = false;
        for (int f = 0; f < FORMATS; f++)
            if (strcmp(formats[f].name, ds_codec_at(i)->name) == 0) {
                enter(i, formats[f].options, f);
                known = true;
            }
        if (!known)
            enter(i, "", -1);
    }
}

/* Numbers of `decades` powers of ten below `most`, both signs, some zeros. */
static inline void fill(size_t n, float *out, uint64_t seed, double most, double decades)
{
    ds_rng rng = ds_rng_for(seed, "codec");
    uint64_t octaves = 1 + (uint64_t)(3.32 * decades);
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = ds_rng_bits(&rng, i);
        double size =
            most * ldexp(1 + (double)(bits >> 32) * 0x1p-32, -1 - (int)(bits / 64 % octaves));
        out[i] = (float)(bits & 1 ? size : -size);
        if (bits % 37 == 0)
            out[i] = 0;
    }
}

/* Run the tests for every case; those of `once`, if any, once. */
static inline int run_cases(size_t n, const TTest *const *tests, size_t n_once,
                            const TTest *const *once)
{
    enter_all();
    printf("# %d cases\n", n_cases);
    Suite *s = suite_create("codec");
    TCase *t = tcase_create("every codec");
    tcase_set_timeout(t, 30);
    tcase_add_unchecked_fixture(t, setup, teardown);
    for (size_t i = 0; i < n; i++)
        tcase_add_loop_test(t, tests[i], 0, n_cases);
    for (size_t i = 0; i < n_once; i++)
        tcase_add_test(t, once[i]);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0 || n_cases == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
