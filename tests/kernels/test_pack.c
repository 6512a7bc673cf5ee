/* ds_native_pack_plain of a matrix whose rows are the panel's: every number of rows, with AVX-512
 * and without. Lanes that tiles compute though no sum of theirs is used are zero, whatever the
 * panel held: denormals of an earlier product would cost 100 times; nothing is written behind. */
#include <stdio.h>
#include <string.h>

#include "descent/kernels.h"

#include "../base/suite.h"

enum { WIDTH = 32, DEPTH = 5, LD = 41 };

static void check_rows(size_t rows)
{
    static float from[DEPTH * LD], panel[(DEPTH + 1) * WIDTH];
    const float old = 0x1p-140f;
    for (size_t i = 0; i < DEPTH * LD; i++)
        from[i] = (float)(i + 1);
    for (size_t i = 0; i < (DEPTH + 1) * WIDTH; i++)
        panel[i] = old;
    const ds_native_matrix m = {from, LD, true};
    const ds_operand side = {ds_native_pack_plain, &m};
    size_t lanes = rows <= 16 ? 16 : 32;
    ds_native_pack_plain(&side, 3, rows, 0, DEPTH, WIDTH, panel);
    for (size_t p = 0; p <= DEPTH; p++)
        for (size_t i = 0; i < WIDTH; i++) {
            float x = panel[p * WIDTH + i];
            bool good = p == DEPTH || i >= lanes ? x == old
                        : i >= rows              ? x == 0.0f
                                                 : x == from[p * LD + 3 + i];
            if (!good)
                ck_abort_msg("%zu rows: lane %zu of row %zu is %g", rows, i, p, (double)x);
        }
}

START_TEST(lanes_behind_are_zero)
{
    static const char *const bound[] = {"auto", "avx2", "base"};
    if (ds_kernels_isa() >= 0)
        ck_assert_int_eq(ds_kernels_limit_isa(bound[_i]), DS_OK);
    for (size_t rows = 1; rows <= WIDTH; rows++)
        check_rows(rows);
    printf("# %s: panels of 1 to %d rows\n", bound[_i], WIDTH);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("pack");
    tcase_add_loop_test(t, lanes_behind_are_zero, 0, 3);
    return run_suite(t);
}
