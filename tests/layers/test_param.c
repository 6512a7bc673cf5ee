/* Tensors go out and come back: (in, out) inside is (out, in) outside, padding stays as it is, and
 * params_hash is XXH3-64 of the outside forms one after the other. */
#include "descent/hash.h"

#include "../model/model_rig.h"

static const struct {
    size_t rows, cols;
    bool transposed;
} tensor[] = {{1, 1, false},   {1, 10, false},   {7, 16, true},   {33, 31, true}, {784, 256, true},
              {100, 65, true}, {64, 1024, true}, {5, 300, false}, {1, 17, true},  {129, 1, true}};

START_TEST(there_and_back)
{
    size_t rows = tensor[_i].rows, cols = tensor[_i].cols, stride = ds_stride_for(cols), wrong = 0;
    ds_param param = {.name = "x",
                      .transposed = tensor[_i].transposed,
                      .offset = 32,
                      .rows = rows,
                      .cols = cols,
                      .stride = stride};
    size_t n = 32 + rows * stride;
    float *flat = malloc(n * sizeof *flat), *back = malloc(n * sizeof *back);
    float *outside = malloc(rows * cols * sizeof *outside);
    for (size_t i = 0; i < n; i++)
        flat[i] = (float)i, back[i] = -1;
    ds_param_export(&param, flat, outside);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) {
            size_t at = param.transposed ? c * rows + r : r * cols + c;
            wrong += outside[at] != flat[32 + r * stride + c];
        }
    ds_param_import(&param, outside, back);
    for (size_t i = 0; i < n; i++) {
        bool inside = i >= 32 && (i - 32) % stride < cols;
        wrong += back[i] != (inside ? flat[i] : -1.0f);
    }
    printf("# %zu x %zu: %zu wrong of %zu\n", rows, cols, wrong, n);
    ck_assert_uint_eq(wrong, 0);
    free(flat);
    free(back);
    free(outside);
}
END_TEST

START_TEST(hash_is_of_the_outside)
{
    ds_param param[2] = {
        {.name = "w", .transposed = true, .offset = 0, .rows = 2, .cols = 3, .stride = 16},
        {.name = "b", .offset = 32, .rows = 1, .cols = 3, .stride = 16}};
    ds_layout layout = {.n_params = 2, .param = param, .n_floats = 48};
    const float outside[9] = {0, 3, 1, 4, 2, 5, 6, 7, 8}; /* (3, 2), then (3) */
    float flat[48];
    for (int i = 0; i < 48; i++)
        flat[i] = 1000; /* padding must not count */
    for (int i = 0; i < 3; i++) {
        flat[i] = (float)i;
        flat[16 + i] = (float)(3 + i);
        flat[32 + i] = (float)(6 + i);
    }
    uint64_t hash = 0;
    RIG_OK(ds_layout_hash(&layout, flat, &hash));
    printf("# %016llx\n", (unsigned long long)hash);
    ck_assert_uint_eq(hash, ds_hash_of(outside, sizeof outside));
    ck_assert_uint_eq(ds_layout_elements(&layout), 9);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("param");
    TCase *t = tcase_create("param");
    tcase_add_loop_test(t, there_and_back, 0, sizeof tensor / sizeof *tensor);
    tcase_add_test(t, hash_is_of_the_outside);
    suite_add_tcase(s, t);
    return rig_run(s);
}
