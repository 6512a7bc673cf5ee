/* The epoch's order: a bijection for every n, other for every epoch, and near uniform. */
#include "datafiles.h"

static const uint64_t sizes[] = {1, 2, 3, 7, 60000};

START_TEST(is_a_bijection)
{
    uint64_t n = sizes[_i];
    size_t met = 0, moved = 0;
    bool *seen = calloc(n, sizeof *seen);
    ds_order order = ds_order_for(11, 3, n), next = ds_order_for(11, 4, n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = ds_order_at(&order, i);
        ck_assert_uint_lt(at, n);
        met += !seen[at];
        seen[at] = true;
        moved += at != ds_order_at(&next, i);
    }
    free(seen);
    printf("# n = %zu: %zu places met, %zu differ in the next epoch\n", (size_t)n, met, moved);
    ck_assert_uint_eq(met, n);
    ck_assert(n < 1000 || moved > n - 20);
}
END_TEST

/* Where position p goes over many epochs: chi-square of all cells of a 7 x 7 table; of the 49 cells
 * 36 are free. Beyond 36 + 5 sqrt(72) = 78.4 a uniform order comes once in more than 10000. */
START_TEST(is_uniform_over_epochs)
{
    enum { N = 7, EPOCHS = 20000 };
    double count[N][N] = {{0}}, chi = 0, expected = (double)EPOCHS / N;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        ds_order order = ds_order_for(1, epoch, N);
        for (uint64_t p = 0; p < N; p++)
            count[p][ds_order_at(&order, p)] += 1;
    }
    for (size_t p = 0; p < N; p++)
        for (size_t q = 0; q < N; q++)
            chi += (count[p][q] - expected) * (count[p][q] - expected) / expected;
    printf("# chi-square %.1f, expected 36, at most 78.4\n", chi);
    ck_assert_double_lt(chi, 78.4);
}
END_TEST

/* The first 6000 of 60000 spread over 100 bins: 99 degrees, at most 99 + 5 sqrt(198) = 169.4. */
START_TEST(is_uniform_in_an_epoch)
{
    double count[100] = {0}, chi = 0;
    ds_order order = ds_order_for(5, 0, 60000);
    for (uint64_t p = 0; p < 6000; p++)
        count[ds_order_at(&order, p) / 600] += 1;
    for (size_t b = 0; b < 100; b++)
        chi += (count[b] - 60) * (count[b] - 60) / 60;
    printf("# chi-square %.1f, expected about 89 (drawn without return), at most 169.4\n", chi);
    ck_assert_double_lt(chi, 169.4);
}
END_TEST

int main(void)
{
    TCase *test = tcase_create("order");
    tcase_set_timeout(test, 20);
    tcase_add_loop_test(test, is_a_bijection, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(test, is_uniform_over_epochs);
    tcase_add_test(test, is_uniform_in_an_epoch);
    return run_case(test);
}
