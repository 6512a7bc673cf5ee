/* Every configs/NAME.yaml is accepted, resolves to a fixed point, and says in its first line what
 * it is. usage: test_ready_configs FOLDER */
#include <glob.h>

#include "fixture.h"

static glob_t files;

START_TEST(ready_configs_are_accepted)
{
    const char *path = files.gl_pathv[_i];
    char *text = NULL, *first = NULL, *second = NULL;
    ds_config *a = NULL, *b = NULL;
    ck_assert_int_eq(ds_config_read(path, &text), DS_OK);
    ck_assert_int_eq(strncmp(text, "# ", 2), 0);
    ck_assert_msg(ds_config_create(text, path, 0, NULL, &a) == DS_OK, "%s", ds_last_error());
    ck_assert_int_eq(ds_config_text(a, &first), DS_OK);
    ck_assert_msg(ds_config_create(first, "", 0, NULL, &b) == DS_OK, "%s", ds_last_error());
    ck_assert_int_eq(ds_config_text(b, &second), DS_OK);
    ck_assert_str_eq(first, second);
    ck_assert_ptr_nonnull(strstr(path, a->name));
    free(text);
    free(first);
    free(second);
    ds_config_destroy(&a);
    ds_config_destroy(&b);
}
END_TEST

int main(int argc, char **argv)
{
    char pattern[4096];
    if (argc != 2)
        return EXIT_FAILURE;
    snprintf(pattern, sizeof pattern, "%s/*.yaml", argv[1]);
    int failed = glob(pattern, 0, NULL, &files);
    printf("# %zu configs\n", files.gl_pathc);
    if (failed != 0 || files.gl_pathc == 0)
        return EXIT_FAILURE;
    TCase *t = tcase_create("ready configs");
    tcase_add_loop_test(t, ready_configs_are_accepted, 0, (int)files.gl_pathc);
    failed = run_suite(t);
    globfree(&files);
    return failed;
}
