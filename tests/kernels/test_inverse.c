/* The inverse against its definition: a x = 1 to rounding, for sizes around its blocks; what is not
 * positive definite is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/inverse.h"

static const size_t sizes[] = {1, 2, 3, 7, 8, 63, 64, 65, 66, 130, 259, 300, 321};

/* b b^T / n + damping, b of numbers in (-1, 1). */
static void definite(size_t n, double damping, double *a)
{
    double *b = malloc(n * n * sizeof *b);
    for (size_t i = 0; i < n * n; i++)
        b[i] = sin(0.3 + 0.7 * (double)i * (double)(i % 1013));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = i == j ? damping : 0;
            for (size_t k = 0; k < n; k++)
                sum += b[i * n + k] * b[j * n + k] / (double)n;
            a[i * n + j] = sum;
        }
    free(b);
}

START_TEST(inverts)
{
    const size_t n = sizes[_i];
    double *a = malloc(n * n * sizeof *a), *x = malloc(n * n * sizeof *x), worst = 0;
    double *room = malloc(ds_inverse_room(n) * sizeof *room);
    definite(n, 0.01, a);
    for (size_t i = 0; i < n * n; i++)
        x[i] = a[i];
    ck_assert(ds_inverse(n, x, room));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = i == j ? -1 : 0;
            for (size_t k = 0; k < n; k++)
                sum += a[i * n + k] * x[k * n + j];
            worst = fmax(worst, fabs(sum));
            ck_assert(memcmp(&x[i * n + j], &x[j * n + i], sizeof *x) == 0);
        }
    printf("# n = %zu: a x is 1 to %.1e\n", n, worst);
    ck_assert_double_le(worst, 1e-10); /* condition number about 1e3 */
    free(a);
    free(x);
    free(room);
}
END_TEST

/* One direction turned negative, or not a number. */
START_TEST(refuses)
{
    const size_t n = sizes[_i];
    double *a = malloc(n * n * sizeof *a), *room = malloc(ds_inverse_room(n) * sizeof *room);
    definite(n, 0.01, a);
    a[n * n - 1] = -1;
    ck_assert(!ds_inverse(n, a, room));
    definite(n, 0.01, a);
    a[n / 2 * n + n / 2] = (double)NAN;
    ck_assert(!ds_inverse(n, a, room));
    free(a);
    free(room);
}
END_TEST

int main(void)
{
    const int n = (int)(sizeof sizes / sizeof *sizes);
    Suite *s = suite_create("inverse");
    TCase *t = tcase_create("every size");
    tcase_add_loop_test(t, inverts, 0, n);
    tcase_add_loop_test(t, refuses, 0, n);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    const int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
