/* What a run says about its arithmetic, the warning about a slow OpenBLAS core, and the bound on
 * the instruction set. OpenBLAS settles its core when it is loaded, so each case runs this program
 * again with another environment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "descent/kernels.h"

static const char *self_path;

/* First line that this program prints as child, under `environment`. */
static void child(const char *environment, const char *argument, size_t room, char *line)
{
    char command[4096];
    snprintf(command, sizeof command, "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE %s '%s' %s",
             environment, self_path, argument);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(f);
    line[0] = '\0';
    if (fgets(line, (int)room, f) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    pclose(f);
    printf("# [%s] %s: %s\n", environment, argument, line);
}

static bool cpu_has(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    return __builtin_cpu_supports("avx2");
#else
    (void)isa;
    return false;
#endif
}

START_TEST(text_names_everything)
{
    char text[512], same[512];
    ds_numerics a, b;
    for (size_t i = 0; ds_kernels_at(i); i++) {
        const ds_kernels *k = ds_kernels_at(i);
        ds_numerics_read(k, 1, &a);
        ds_numerics_read(k, 1, &b);
        ck_assert_mem_eq(&a, &b, sizeof a);
        ck_assert_str_eq(a.kernels, k->name);
        printf("# %s\n", ds_numerics_text(&a, sizeof text, text));
        if (k->product != NULL)
            continue; /* nothing else matters to its bits */
        ck_assert_ptr_nonnull(strstr(text, a.libc));
        ds_numerics_read(k, 2, &b);
        ck_assert(memcmp(&a, &b, sizeof a) != 0);
        ck_assert_str_ne(text, ds_numerics_text(&b, sizeof same, same));
    }
    ds_numerics_read(ds_kernels_find("openblas"), 1, &a);
    ck_assert_str_ne(a.blas_core, "none");
    ck_assert_str_ne(a.blas_version, "none");
    ds_numerics_text(&a, 20, text);
    ck_assert_uint_eq(strlen(text), 19);
}
END_TEST

START_TEST(slow_core_is_told)
{
    char line[1024];
    child("", "warning", sizeof line, line);
    if (strcmp(line, "none") != 0) { /* what OpenBLAS takes for a CPU it does not know */
        ck_assert_ptr_nonnull(strstr(line, "Prescott"));
        ck_assert_ptr_nonnull(strstr(line, "does not know the CPU"));
    }
    if (!cpu_has("avx2"))
        return;
    child("OPENBLAS_CORETYPE=Nehalem", "warning", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "OPENBLAS_CORETYPE=Nehalem"));
    /* A core that is slow is told before a cache that is not this CPU's. */
    child(cpu_has("avx512") ? "OPENBLAS_CORETYPE=SkylakeX OPENBLAS_L2_SIZE=512"
                            : "OPENBLAS_CORETYPE=Haswell OPENBLAS_L2_SIZE=512",
          "warning", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "OPENBLAS_L2_SIZE=512"));
    if (!cpu_has("avx512"))
        return;
    child("OPENBLAS_CORETYPE=Haswell", "warning", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "Haswell"));
    ck_assert_ptr_nonnull(strstr(line, "OPENBLAS_CORETYPE=Haswell"));
    child("OPENBLAS_CORETYPE=SkylakeX", "warning", sizeof line, line);
    ck_assert_str_eq(line, "none");
}
END_TEST

START_TEST(environment_is_part_of_the_numerics)
{
    char usual[1024], line[1024];
    child("", "text auto openblas", sizeof usual, usual);
    child("OPENBLAS_L2_SIZE=512", "text auto openblas", sizeof line, line);
    ck_assert_str_ne(line, usual);
    if (!cpu_has("avx2"))
        return;
    child("OPENBLAS_CORETYPE=Nehalem", "text auto openblas", sizeof line, line);
    ck_assert_str_ne(line, usual);
}
END_TEST

START_TEST(isa_has_a_bound)
{
    char line[1024];
    child("", "limit auto", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "ok"));
    child("", "limit sse9", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "2 compute.isa: 'sse9'"));
    if (!cpu_has("avx2"))
        return;
    child("OPENBLAS_CORETYPE=Nehalem", "limit base openblas", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "ok isa base"));
    if (!cpu_has("avx512"))
        return;
    /* Whatever the set, native products have the same bits. */
    char want[1024];
    child("", "bits avx512 auto", sizeof want, want);
    child("", "bits avx2 auto", sizeof line, line);
    ck_assert_str_eq(line, want);
    child("", "bits base auto", sizeof line, line);
    ck_assert_str_eq(line, want);
    child("OPENBLAS_CORETYPE=SkylakeX", "bits avx2 openblas", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "2 compute.isa"));
    ck_assert_ptr_nonnull(strstr(line, "OPENBLAS_CORETYPE=Haswell"));
    child("OPENBLAS_CORETYPE=Haswell", "limit avx2 openblas", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "ok isa avx2"));
    child("OPENBLAS_CORETYPE=Haswell", "limit avx512 openblas", sizeof line, line);
    ck_assert_ptr_nonnull(strstr(line, "ok isa avx512"));
}
END_TEST

/* Under the bound products still come out right, and oneDNN gives other bits than without it. */
START_TEST(bound_reaches_the_products)
{
    char wide[1024], narrow[1024];
    if (!cpu_has("avx512") || ds_kernels_find("onednn") == NULL)
        return;
    child("OPENBLAS_CORETYPE=Haswell", "bits auto onednn", sizeof wide, wide);
    child("OPENBLAS_CORETYPE=Haswell", "bits avx2 onednn", sizeof narrow, narrow);
    ck_assert_str_ne(wide, narrow);
}
END_TEST

/* A hash of one product's bits. */
static int child_bits(const ds_kernels *k)
{
    enum { SIDE = 150, K = 1009 };
    static float a[SIDE * K], b[SIDE * K], c[SIDE * SIDE];
    for (size_t i = 0; i < SIDE * K; i++)
        a[i] = (float)(i % 97) / 97.0f - 0.3f, b[i] = (float)(i % 89) / 89.0f - 0.6f;
    ds_gemm g = {.ta = 'N', .tb = 'N', .m = SIDE, .n = SIDE, .k = K};
    g.a = a, g.lda = K, g.b = b, g.ldb = SIDE, g.c = c, g.ldc = SIDE;
    ds_status status = k->gemm(&g);
    if (status != DS_OK) {
        printf("%d %s\n", ds_exit_code(status), ds_last_error());
        return 0;
    }
    unsigned long hash = 0;
    for (size_t i = 0; i < SIDE * SIDE; i++) {
        unsigned bits;
        memcpy(&bits, c + i, sizeof bits);
        hash = hash * 31 + bits;
    }
    printf("%lx\n", hash);
    return 0;
}

static int child_main(int argc, char **argv)
{
    char text[1024];
    ds_numerics numerics;
    const ds_kernels *k = ds_kernels_find(argc > 3 ? argv[3] : "auto");
    ds_status status = argc > 2 ? ds_kernels_limit_isa(argv[2]) : DS_OK;
    ds_numerics_read(k, 1, &numerics);
    if (strcmp(argv[1], "warning") == 0) {
        const char *warning = ds_numerics_warning(sizeof text, text);
        puts(warning == NULL ? "none" : warning);
    } else if (strcmp(argv[1], "text") == 0) {
        puts(ds_numerics_text(&numerics, sizeof text, text));
    } else if (strcmp(argv[1], "limit") == 0) {
        if (status == DS_OK)
            printf("ok isa %s, OpenBLAS %s\n", numerics.isa, numerics.blas_core);
        else
            printf("%d %s\n", ds_exit_code(status), ds_last_error());
    } else {
        return child_bits(k);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return child_main(argc, argv);
    self_path = argv[0];
    Suite *s = suite_create("numerics");
    TCase *t = tcase_create("numerics");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, text_names_everything);
    tcase_add_test(t, slow_core_is_told);
    tcase_add_test(t, environment_is_part_of_the_numerics);
    tcase_add_test(t, isa_has_a_bound);
    tcase_add_test(t, bound_reaches_the_products);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
