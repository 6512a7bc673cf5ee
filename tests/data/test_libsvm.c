/* libsvm: good text to the number, damaged or foreign text refused with what was found and where.
 */
#include "reading.h"

static ds_status libsvm(const char *text, ds_target_kind kind, const char *key, const char *value,
                        const ds_shape *input, ds_dataset **out)
{
    sample_file file = file_make(strlen(text), text);
    const char *pair[] = {"format", "libsvm", "path", file.path, key, value, NULL};
    ds_status status = read_as(pair, kind, input, "train", out);
    unlink(file.path);
    return status;
}

START_TEST(libsvm_is_dense)
{
    static const char text[] = "# a comment\n+1 1:0.5 3:-2e1 # here too\n\n-1 qid:7 2:4\r\n+1\n";
    static const float expected[9] = {0.5f, 0, -20, 0, 4, 0, 0, 0, 0};
    ds_auto(ds_dataset) data = NULL;
    ds_status status = libsvm(text, DS_TARGET_CLASS, NULL, NULL, NULL, &data);
    ck_assert_msg(status == DS_OK, "%s", ds_last_error());
    ck_assert(data->n == 3 && ds_shape_elements(&data->input) == 3 && data->n_classes == 2);
    ck_assert_int_eq(memcmp(data->values, expected, sizeof expected), 0);
    ck_assert_str_eq(data->class_name[0], "-1");
    ck_assert(data->label[0] == 1 && data->label[1] == 0 && data->label[2] == 1);
    printf("# %zu samples of %zu features, classes %s and %s\n", data->n, data->input.dim[0],
           data->class_name[0], data->class_name[1]);
}
END_TEST

START_TEST(libsvm_options_are_heard)
{
    const ds_shape five = {1, {5}};
    ds_auto(ds_dataset) wide = NULL;
    ds_auto(ds_dataset) zero = NULL;
    ds_auto(ds_dataset) names = NULL;
    ck_assert_int_eq(libsvm("1.5 1:2\n-3 2:1\n", DS_TARGET_REAL, "features", "5", &five, &wide),
                     DS_OK);
    ck_assert(wide->input.dim[0] == 5 && wide->target[0] == 1.5f && wide->target[1] == -3);
    ck_assert_int_eq(libsvm("1 0:2 4:1\n", DS_TARGET_REAL, "base", "0", &five, &zero), DS_OK);
    ck_assert(zero->values[0] == 2 && zero->values[4] == 1);
    ck_assert_int_eq(libsvm("pear 1:1\nfig 1:2\n", DS_TARGET_CLASS, NULL, NULL, NULL, &names),
                     DS_OK);
    ck_assert_str_eq(names->class_name[0], "fig");
    ck_assert_int_eq(names->label[0], 1);
}
END_TEST

static const struct {
    const char *text, *says;
    ds_target_kind kind;
    ds_status code;
} bad_libsvm[] = {
    {"", "no samples", DS_TARGET_CLASS, DS_ERR_DATA},
    {"# nothing\n\n", "no samples", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 0:1\n", ":1: index 0, expected 1 or more", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 1:1\n1 2:1 2:3\n", ":2: index 2 after 2", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 3:1 2:3\n", "index 2 after 3", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 1:nan\n", "'nan', expected a finite number", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 1:1e39\n", "'1e39', expected a finite number", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 1:\n", "index 1 is ''", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 1\n", "'1', expected index:value", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 x:1\n", "index 'x'", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 -2:1\n", "index '-2'", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 99999999999999999999:1\n", "no whole number", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1 1:1\n1:2 2:1\n", ":2: begins with '1:2'", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1,2 1:1\n", "several labels", DS_TARGET_CLASS, DS_ERR_DATA},
    {"1.5 1:1\n2 1:1\n", "'1.5' is no whole number", DS_TARGET_CLASS, DS_ERR_DATA},
    {"a 1:1\n", "target 'a', expected a number", DS_TARGET_REAL, DS_ERR_DATA},
    {"inf 1:1\n", "label 'inf'", DS_TARGET_REAL, DS_ERR_DATA},
    {"1 1:1\n1 4000000000:1\n", ":2: index 4000000000, expected at most 16777216", DS_TARGET_CLASS,
     DS_ERR_DATA},
    {"1 16777217:1\n", "features must say how many", DS_TARGET_REAL, DS_ERR_DATA},
};

START_TEST(libsvm_refuses)
{
    ds_auto(ds_dataset) data = NULL;
    ds_status found = libsvm(bad_libsvm[_i].text, bad_libsvm[_i].kind, NULL, NULL, NULL, &data);
    refused(found, bad_libsvm[_i].code, bad_libsvm[_i].says);
}
END_TEST

/* An index as large as it likes where the config says so, as far as memory goes. */
START_TEST(libsvm_is_as_wide_as_told)
{
    static char text[16384] = "1 900000000:1\n";
    ds_auto(ds_dataset) data = NULL;
    ck_assert_int_eq(libsvm("1 16777216:1\n", DS_TARGET_REAL, NULL, NULL, NULL, &data), DS_OK);
    ck_assert_uint_eq(data->input.dim[0], 1u << 24);
    ds_auto(ds_dataset) told = NULL;
    ck_assert_int_eq(libsvm("1 16777217:1\n", DS_TARGET_REAL, "features", "16777217", NULL, &told),
                     DS_OK);
    for (size_t i = 0, used = strlen(text); i < 8000; i++)
        memcpy(text + used + 2 * i, "1\n", 3);
    ds_auto(ds_dataset) none = NULL;
    refused(libsvm(text, DS_TARGET_REAL, "features", "1000000000", NULL, &none), DS_ERR_DATA,
            "8001 samples of 1000000000 features take 29806.0 GiB as a dense table");
}
END_TEST

START_TEST(libsvm_has_the_models_width)
{
    const ds_shape two = {1, {2}}, four = {1, {4}};
    ds_auto(ds_dataset) data = NULL;
    refused(libsvm("1 3:1\n", DS_TARGET_REAL, NULL, NULL, &four, &data), DS_ERR_USAGE,
            "features: 4");
    refused(libsvm("1 3:1\n", DS_TARGET_REAL, NULL, NULL, &two, &data), DS_ERR_USAGE, "3");
    refused(libsvm("1 3:1\n", DS_TARGET_REAL, "features", "2", &two, &data), DS_ERR_DATA,
            "index 3, expected 1 to 2");
    refused(libsvm("1 3:1\n1\0 2:1\n", DS_TARGET_REAL, NULL, NULL, NULL, &data), DS_OK, "");
    sample_file file = file_make(14, "1 3:1\n1\0 2:1\n");
    const char *pair[] = {"format", "libsvm", "path", file.path, NULL};
    ds_auto(ds_dataset) other = NULL;
    refused(read_as(pair, DS_TARGET_REAL, NULL, "train", &other), DS_ERR_DATA, "NUL byte");
    unlink(file.path);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("libsvm");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, libsvm_is_dense);
    tcase_add_test(t, libsvm_options_are_heard);
    tcase_add_loop_test(t, libsvm_refuses, 0, COUNT(bad_libsvm));
    tcase_add_test(t, libsvm_is_as_wide_as_told);
    tcase_add_test(t, libsvm_has_the_models_width);
    return run_case(t);
}
