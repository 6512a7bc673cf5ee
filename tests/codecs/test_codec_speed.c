/* What a codec costs, against what a network brings. */
#include <time.h>

#include "codec_cases.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Floats of 4 bytes a second, the best of some tries on 1 MiB. 0.5 GB/s is 4 Gbit/s at the least
 * saving, on a machine that is busy with other things. */
START_TEST(faster_than_a_network)
{
    enum { SPEED = 1 << 18, TRIES = 8 };
    const ds_codec *codec = &cases[_i].codec;
    float *a = calloc(SPEED, sizeof *a), *b = calloc(SPEED, sizeof *b);
    uint8_t *c = calloc(SPEED, 4);
    double best[3] = {0};
    ck_assert(a != NULL && b != NULL && c != NULL);
    fill(SPEED, a, 9, 1, 3);
    for (int t = 0; t < TRIES; t++) {
        double at[4] = {seconds()};
        ds_codec_encode(codec, SPEED, a, c);
        at[1] = seconds();
        ds_codec_heed(codec, SPEED, c, b);
        at[2] = seconds();
        ds_codec_send(codec, SPEED, a, b, c);
        at[3] = seconds();
        for (int i = 0; i < 3; i++)
            best[i] = fmax(best[i], 4e-9 * SPEED / (at[i + 1] - at[i]));
    }
    printf("# %s %s: GB/s of floats: encode %.2f, decode and add %.2f, with feedback %.2f\n",
           codec->ops->name, cases[_i].as, best[0], best[1], best[2]);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    for (int i = 0; i < 3; i++)
        ck_assert_double_gt(best[i], 0.5);
#endif
    free(a);
    free(b);
    free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {faster_than_a_network};
    return run_cases(1, tests, 0, NULL);
}
