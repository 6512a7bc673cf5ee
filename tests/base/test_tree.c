/* The tree over shards and the cut of a batch, against their definitions; shapes and strides. */
#include <stdio.h>

#include "descent/shape.h"
#include "descent/tree.h"

#include "suite.h"

START_TEST(ranges_split_at_the_largest_power_of_two_below)
{
    for (int lo = 0; lo < 20; lo++)
        for (int n = 2; n < 300; n++) {
            int left = ds_tree_split(lo, lo + n) - lo;
            ck_assert_int_eq(left & (left - 1), 0);
            ck_assert(left < n && 2 * left >= n);
        }
    ck_assert_int_eq(ds_tree_split(0, 8), 4);
    ck_assert_int_eq(ds_tree_split(0, 9), 8);
    ck_assert_int_eq(ds_tree_split(8, 11), 10);
}
END_TEST

/* Shard k of a batch of b holds [k*b/V, (k+1)*b/V): all positions, in order, sizes differ by 1. */
START_TEST(shards_cover_the_batch)
{
    for (long V = 1; V <= 40; V++)
        for (long b = 0; b <= 100; b++) {
            ck_assert_int_eq(ds_shard_begin(0, b, V), 0);
            ck_assert_int_eq(ds_shard_begin(V, b, V), b);
            for (long k = 0; k < V; k++) {
                long n = ds_shard_begin(k + 1, b, V) - ds_shard_begin(k, b, V);
                ck_assert(n == b / V || n == b / V + 1);
            }
        }
}
END_TEST

/* Two micro-batches of 8 shards cut as one batch of 16 does, when the batch is full. */
START_TEST(accumulation_is_a_finer_cut)
{
    for (long k = 0; k <= 16; k++)
        ck_assert_int_eq(ds_shard_begin(k, 512, 16),
                         k < 8 ? ds_shard_begin(k, 256, 8) : 256 + ds_shard_begin(k - 8, 256, 8));
}
END_TEST

START_TEST(strides_avoid_multiples_of_1_kib)
{
    for (size_t width = 0; width < 5000; width++) {
        size_t s = ds_stride_for(width);
        ck_assert(s >= width && s > 0 && s < width + 33);
        ck_assert_uint_eq(s % 16, 0);
        ck_assert_uint_ne(s % 256, 0);
    }
}
END_TEST

START_TEST(shapes_have_texts)
{
    char text[DS_SHAPE_TEXT];
    ds_shape image = {3, {1, 28, 28}}, flat = {1, {784}}, scalar = {0, {0}};
    ck_assert_str_eq(ds_shape_text(&image, text), "[1, 28, 28]");
    ck_assert_str_eq(ds_shape_text(&scalar, text), "[]");
    ck_assert_uint_eq(ds_shape_elements(&image), 784);
    ck_assert_uint_eq(ds_shape_elements(&scalar), 1);
    ck_assert(ds_shape_equal(&image, &image) && !ds_shape_equal(&image, &flat));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("tree");
    tcase_add_test(t, ranges_split_at_the_largest_power_of_two_below);
    tcase_add_test(t, shards_cover_the_batch);
    tcase_add_test(t, accumulation_is_a_finer_cut);
    tcase_add_test(t, strides_avoid_multiples_of_1_kib);
    tcase_add_test(t, shapes_have_texts);
    return run_suite(t);
}
