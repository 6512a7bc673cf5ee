/* transpose of every table against its definition, b[j][i] = a[i][j], for sizes around the tiles;
 * nothing else is written. */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "descent/kernels.h"

enum { ROOM = 80 };

static void transpose_once(const ds_kernels *k, size_t rows, size_t cols)
{
    static float a[ROOM * ROOM], b[ROOM * ROOM];
    for (size_t i = 0; i < ROOM * ROOM; i++) {
        a[i] = (float)i;
        b[i] = -1;
    }
    k->transpose(rows, cols, a, ROOM, b, ROOM);
    for (size_t j = 0; j < ROOM; j++)
        for (size_t i = 0; i < ROOM; i++) {
            float expected = j < cols && i < rows ? a[i * ROOM + j] : -1;
            if (b[j * ROOM + i] != expected) /* an assertion costs a write to a file */
                ck_abort_msg("%s, %zu x %zu: [%zu][%zu] is %g, expected %g", k->name, rows, cols, j,
                             i, (double)b[j * ROOM + i], (double)expected);
        }
}

START_TEST(turned_as_defined)
{
    static const size_t size[] = {0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 48, 67, 80};
    const ds_kernels *k = ds_kernels_at((size_t)_i);
    size_t n = sizeof size / sizeof *size;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            transpose_once(k, size[i], size[j]);
    printf("# %s: %zu sizes\n", k->name, n * n);
}
END_TEST

/* A packed panel of a narrow width is that of its rows and ends where it should: `ref` packs one
 * row at a time. */
START_TEST(panels_end)
{
    static const size_t widths[] = {1, 4, 16, 32};
    float data[256 * 4], panel[256 * 32 + 8];
    for (int i = 0; i < 256 * 4; i++)
        data[i] = (float)i;
    for (size_t at = 0; at < 8; at++) {
        size_t width = widths[at / 2], rows = width < 4 ? width : 3, n = 256;
        ds_native_matrix m = {data, at % 2 ? 4 : 256, at % 2};
        for (size_t i = 0; i < n * width + 8; i++)
            panel[i] = -1;
        ds_native_pack_plain(&(ds_operand){.source = &m}, 0, rows, 0, n, width, panel);
        for (size_t i = 0; i < n * rows; i++) {
            size_t p = i / rows, r = i % rows, expected = at % 2 ? p * 4 + r : r * 256 + p;
            ck_assert_uint_eq((size_t)panel[p * width + r], expected);
        }
        for (size_t i = 0; i < 8; i++)
            ck_assert_msg(panel[n * width + i] < 0, "width %zu: float %zu behind it", width, i);
    }
}
END_TEST

int main(void)
{
    int n = 0;
    while (ds_kernels_at((size_t)n) != NULL)
        n++;
    printf("# %d kernel tables\n", n);
    Suite *s = suite_create("transpose");
    TCase *t = tcase_create("every table");
    tcase_add_loop_test(t, turned_as_defined, 0, n);
    tcase_add_test(t, panels_end);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad != 0 || n == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
