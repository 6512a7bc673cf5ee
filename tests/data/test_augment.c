/* Augmentation against its definition, pixel by pixel; its distribution; that neither the cut into
 * batches nor the order of samples changes a bit; what shapes are refused; what it costs. */
#include <math.h>
#include <time.h>

#include "datafiles.h"

enum { C = 3, H = 9, W = 12, AREA = H * W, SIZE = C * AREA, N = 400, STRIDE = SIZE + 5 };

static uint8_t bytes[N * SIZE];
static const float mean[C] = {40, 90, 120}, deviation[C] = {11, 13, 70};
static const ds_normalizer by = {.n = C, .scale = 1, .mean = mean, .std = deviation};
static ds_dataset data = {.n = N, .input = {3, {C, H, W}}, .bytes = bytes};

static void begin(void)
{
    uint32_t word = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        word = word * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(1 + (word >> 24) % 255); /* 0 is what comes in from outside */
    }
}

static void rows(const ds_augment *how, uint64_t epoch, size_t n, const uint64_t *index, float *x)
{
    ds_dataset_fetch(&data, &by, n, index, x, STRIDE, NULL, NULL);
    const ds_augment_job job = {how, &by, &data.input, 7, epoch};
    ds_augment_rows(&job, n, index, x, STRIDE);
}

static float raw_at(size_t sample, size_t c, long y, long x)
{
    bool inside = y >= 0 && y < H && x >= 0 && x < W;
    float raw = inside ? (float)bytes[sample * SIZE + c * AREA + (size_t)y * W + (size_t)x] : 0.0f;
    return (raw - mean[c]) / deviation[c];
}

/* Is x the sample, mirrored or not, moved by (dy, dx), outside black? */
static bool is_moved(size_t sample, bool flip, long dy, long dx, const float *x)
{
    for (size_t c = 0; c < C; c++)
        for (long i = 0; i < H; i++)
            for (long j = 0; j < W; j++) {
                bool inside = j - dx >= 0 && j - dx < W;
                long from = flip && inside ? W - 1 - (j - dx) : j - dx;
                if (x[c * AREA + (size_t)i * W + (size_t)j] != raw_at(sample, c, i - dy, from))
                    return false;
            }
    return true;
}

/* Every sample is one of the 2 x 7 x 7 pictures that the definition allows; all of them occur. */
START_TEST(moves_as_defined)
{
    static float x[STRIDE];
    const ds_augment how = {.flip = true, .shift = 3};
    int seen[2][7][7] = {0}, kinds = 0, flipped = 0, met = 0;
    for (uint64_t epoch = 0; epoch < 4; epoch++)
        for (uint64_t s = 0; s < N; s++) {
            int found = 0;
            rows(&how, epoch, 1, &s, x);
            for (int k = 0; k < 2 * 49; k++)
                if (is_moved((size_t)s, k >= 49, k % 49 / 7 - 3, k % 7 - 3, x)) {
                    found++;
                    flipped += k >= 49;
                    kinds += seen[k / 49][k % 49 / 7][k % 7]++ == 0;
                }
            met += found == 1;
        }
    printf("# %d of %d samples are one picture, %d of 98 kinds, %d mirrored (800 +- 80)\n", met,
           4 * N, kinds, flipped);
    ck_assert(met == 4 * N && kinds == 98 && abs(flipped - 2 * N) < 80);
}
END_TEST

/* A batch at once, backwards, or one by one; another epoch differs. */
START_TEST(batches_change_no_bit)
{
    static float a[N * STRIDE], b[N * STRIDE], c[STRIDE];
    uint64_t up[N], down[N];
    const ds_augment how = {.flip = true, .shift = 2, .noise = 0.1};
    int same = 0, other = 0;
    for (uint64_t i = 0; i < N; i++) {
        up[i] = i;
        down[i] = N - 1 - i;
    }
    rows(&how, 5, N, up, a);
    rows(&how, 5, N, down, b);
    for (size_t i = 0; i < N; i++) {
        rows(&how, 5, 1, &up[i], c);
        same += memcmp(a + i * STRIDE, b + (N - 1 - i) * STRIDE, SIZE * sizeof *a) == 0 &&
                memcmp(a + i * STRIDE, c, SIZE * sizeof *a) == 0;
        rows(&how, 6, 1, &up[i], c);
        other += memcmp(a + i * STRIDE, c, SIZE * sizeof *a) != 0;
    }
    printf("# %d of %d alike in any batch, %d others in the next epoch\n", same, N, other);
    ck_assert(same == N && other == N);
}
END_TEST

/* Moments of a normal: 0, 1, 0, 3 - 0.15 (eight uniform bytes: 3 - 1.2 / 8), and no two elements
 * alike more often than chance has it: neighbours are uncorrelated. */
START_TEST(noise_is_normal)
{
    static float x[STRIDE], plain[STRIDE];
    const ds_augment how = {.noise = 0.25}, none = {0};
    double m[5] = {0}, neighbours = 0, last = 0;
    const double n = (double)N * SIZE;
    for (uint64_t s = 0; s < N; s++) {
        rows(&how, 0, 1, &s, x);
        rows(&none, 0, 1, &s, plain);
        for (size_t i = 0; i < SIZE; i++) {
            double z = ((double)x[i] - (double)plain[i]) / 0.25;
            for (int k = 1; k < 5; k++)
                m[k] += pow(z, k) / n;
            neighbours += z * last / n;
            last = z;
        }
    }
    printf("# moments %.4f %.4f %.4f %.4f (0, 1, 0, 2.85), neighbours %.4f (0)\n", m[1], m[2], m[3],
           m[4], neighbours);
    ck_assert(fabs(m[1]) < 0.015 && fabs(m[2] - 1) < 0.02 && fabs(m[3]) < 0.04);
    ck_assert(fabs(m[4] - 2.85) < 0.08 && fabs(neighbours) < 0.015);
}
END_TEST

START_TEST(refuses_what_is_no_image)
{
    const ds_augment flip = {.flip = true}, shift = {.shift = 9}, none = {0};
    const ds_shape image = {3, {C, H, W}}, plane = {2, {H, W}}, table = {1, {SIZE}},
                   video = {4, {C, 2, H, W}};
    ck_assert_int_eq(ds_augment_check(&flip, &image, NULL), DS_OK);
    ck_assert_int_eq(ds_augment_check(&flip, &plane, NULL), DS_OK);
    ck_assert_int_eq(ds_augment_check(&none, &table, NULL), DS_OK);
    ck_assert_int_eq(ds_augment_check(&flip, &table, NULL), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(ds_augment_check(&flip, &video, NULL), DS_ERR_USAGE);
    ck_assert_int_eq(ds_augment_check(&shift, &image, NULL), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
}
END_TEST

/* About 3 ns on an idle machine; a bound for any. */
START_TEST(what_it_costs)
{
    static float x[N * STRIDE];
    uint64_t index[N];
    const ds_augment all = {.flip = true, .shift = 2, .noise = 0.05};
    struct timespec a, b;
    for (uint64_t i = 0; i < N; i++)
        index[i] = i;
    const ds_augment_job job = {&all, &by, &data.input, 7, 1};
    double ns = (double)INFINITY;
    for (int i = 0; i < 10; i++) { /* the best: neighbours come and go */
        rows(&all, 0, N, index, x);
        clock_gettime(CLOCK_MONOTONIC, &a);
        ds_augment_rows(&job, N, index, x, STRIDE);
        clock_gettime(CLOCK_MONOTONIC, &b);
        ns = fmin(ns, (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec));
    }
    printf("# flip, shift and noise: %.2f ns an element (at most 200)\n", ns / (N * SIZE));
    ck_assert(ns / (N * SIZE) <= 200);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("augment");
    tcase_add_checked_fixture(t, begin, NULL);
    tcase_add_test(t, moves_as_defined);
    tcase_add_test(t, batches_change_no_bit);
    tcase_add_test(t, noise_is_normal);
    tcase_add_test(t, refuses_what_is_no_image);
    tcase_add_test(t, what_it_costs);
    return run_case(t);
}
