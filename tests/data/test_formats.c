/* cifar10, cifar100, libsvm and npy: good files to the number, damaged ones refused with what was
 * found and where. The arrays' headers are written here by NumPy's published format. */
#include <math.h>
#include <sys/stat.h>

#include "datafiles.h"

static ds_arena *arena;

static void begin(void)
{
    ck_assert(ds_arena_create("the test", &arena) == DS_OK);
}

static void end(void)
{
    ds_arena_destroy(&arena);
}

/* keys and texts in turn as source_make takes them; *out is NULL on failure. */
static ds_status read_as(const char *const *pair, ds_target_kind kind, const ds_shape *input,
                         const char *split, ds_dataset **out)
{
    ds_read_request request = {
        .source = source_make(arena, pair), .kind = kind, .input = input, .split = split};
    *out = NULL;
    return ds_dataset_read(&request, out);
}

static void refused(ds_status found, ds_status expected, const char *says)
{
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(found, expected);
    ck_assert_msg(strstr(ds_last_error(), says) != NULL, "'%s' says nothing of '%s'",
                  ds_last_error(), says);
}

/* ---- libsvm ---- */

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
    {"1 4000000000:1\n1 1:1\n1 1:1\n1 1:1\n1 1:1\n1 1:1\n1 1:1\n1 1:1\n", "dense table",
     DS_TARGET_REAL, DS_ERR_DATA},
};

START_TEST(libsvm_refuses)
{
    ds_auto(ds_dataset) data = NULL;
    ds_status found = libsvm(bad_libsvm[_i].text, bad_libsvm[_i].kind, NULL, NULL, NULL, &data);
    refused(found, bad_libsvm[_i].code, bad_libsvm[_i].says);
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

/* ---- npy ---- */

typedef struct npy_case {
    int version;
    const char *header; /* the dictionary */
    size_t n;           /* bytes behind it */
    const void *data;
} npy_case;

static size_t npy_make(const npy_case *c, unsigned char *out)
{
    size_t n = strlen(c->header), head = c->version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)c->version;
    out[7] = 0;
    out[8] = (unsigned char)n;
    out[9] = (unsigned char)(n >> 8);
    out[10] = out[11] = 0;
    memcpy(out + head, c->header, n);
    memcpy(out + head + n, c->data, c->n);
    return head + n + c->n;
}

static ds_status npy(const npy_case *x, const npy_case *y, ds_target_kind kind, ds_dataset **out)
{
    unsigned char bytes[4096];
    size_t n = npy_make(x, bytes);
    sample_file inputs = file_make(n, bytes);
    n = npy_make(y, bytes);
    sample_file targets = file_make(n, bytes);
    const char *pair[] = {"format", "npy", "inputs", inputs.path, "targets", targets.path, NULL};
    ds_status status = read_as(pair, kind, NULL, "train", out);
    unlink(inputs.path);
    unlink(targets.path);
    return status;
}

static const float plain[6] = {1, -2, 3.5f, 0, 5, 6};
static const float turned[6] = {1, 0, -2, 5, 3.5f, 6};
static const double doubles[6] = {1, -2, 3.5, 0, 5, 6};
static const int64_t longs[6] = {1, -2, 3, 0, 5, 6};
static const int32_t ints[6] = {1, -2, 3, 0, 5, 6};
static const int16_t shorts[6] = {1, -2, 3, 0, 5, 6};
static const uint8_t small[6] = {1, 2, 3, 0, 5, 255};
static const int64_t kinds[2] = {4, 0};
static const npy_case labels = {1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }",
                                sizeof kinds, kinds};
#define HEADER(type, order, shape) \
    "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }    "

static const npy_case good_npy[] = {
    {1, HEADER("<f4", "False", "(2, 3)"), sizeof plain, plain},
    {2, HEADER("<f4", "False", "(2, 3)"), sizeof plain, plain},
    {3, HEADER("<f4", "True", "(2, 3)"), sizeof turned, turned},
    {1, HEADER("<f8", "False", "(2, 3)"), sizeof doubles, doubles},
    {1, HEADER("<i8", "False", "(2, 3)"), sizeof longs, longs},
    {1, HEADER("<i4", "False", "(2, 3)"), sizeof ints, ints},
    {1, HEADER("<i2", "False", "(2, 3)"), sizeof shorts, shorts},
    {1, HEADER("|u1", "False", "(2, 3)"), sizeof small, small},
};

START_TEST(npy_is_read)
{
    ds_auto(ds_dataset) data = NULL;
    const npy_case *c = &good_npy[_i];
    ck_assert_msg(npy(c, &labels, DS_TARGET_CLASS, &data) == DS_OK, "%s", ds_last_error());
    ck_assert(data->n == 2 && data->input.n == 1 && data->input.dim[0] == 3);
    ck_assert(data->label[0] == 4 && data->label[1] == 0 && data->n_classes == 5);
    ck_assert((data->bytes != NULL) == (c->data == small));
    for (size_t i = 0; i < 6; i++)
        if (data->bytes != NULL)
            ck_assert_int_eq(data->bytes[i], small[i]);
        else /* whole types hold 3 for 3.5 */
            ck_assert(data->values[i] == (_i > 3 ? truncf(plain[i]) : plain[i]));
    printf("# %s: as NumPy has it\n", c->header);
}
END_TEST

static const float not_finite[6] = {1, 2, 3, 4, NAN, 6};
#define GOOD                                                     \
    {                                                            \
        1, HEADER("<f4", "False", "(2, 3)"), sizeof plain, plain \
    }
static const npy_case good = GOOD;
static const struct {
    npy_case x, y;
    const char *says;
} bad_npy[] = {
    {{1, HEADER("<f4", "False", "(2, 3)"), 20, plain}, GOOD, "is truncated"},
    {{1, HEADER("<f4", "False", "(1, 5)"), 24, plain}, GOOD, "longer than its header"},
    {{1, HEADER("<f4", "False", "(400000000000, 3)"), 24, plain}, GOOD, "is truncated"},
    {{1, HEADER("<f4", "False", "(4000000000000, 3000000000000)"), 24, plain}, GOOD, "memory"},
    {{1, HEADER("<f4", "False", "(0, 3)"), 0, plain}, GOOD, "no samples"},
    {{1, HEADER("<f4", "False", "()"), 4, plain}, GOOD, "no samples"},
    {{1, HEADER("<f4", "False", "(2, x)"), 24, plain}, GOOD, "shape (2, x)"},
    {{1, HEADER("<f4", "False", "(2, 3"), 24, plain}, GOOD, "shape"},
    {{1, HEADER("<f4", "False", "(1,1,1,1,1,1,1,1,2,3)"), 24, plain}, GOOD, "dimensions"},
    {{1, HEADER("<f4", "Perhaps", "(2, 3)"), 24, plain}, GOOD, "fortran_order"},
    {{1, HEADER(">f4", "False", "(2, 3)"), 24, plain}, GOOD, "big-endian"},
    {{1, HEADER("<f2", "False", "(2, 3)"), 12, plain}, GOOD, "type <f2"},
    {{1, HEADER("<c8", "False", "(2, 3)"), 24, plain}, GOOD, "type <c8"},
    {{1, HEADER("|O", "False", "(2, 3)"), 24, plain}, GOOD, "type |O"},
    {{1, "{'descr': [('a', '<f4')], 'shape': (2,), }", 8, plain}, GOOD, "[('a', '<f4')]"},
    {{4, HEADER("<f4", "False", "(2, 3)"), 24, plain}, GOOD, "version 4.0"},
    {{1, "{}", 24, plain}, GOOD, "type nothing"},
    {{1, HEADER("<f4", "False", "(2, 3)"), 24, not_finite}, GOOD, "sample 1 (from 0), element 1"},
    {GOOD, {1, HEADER("<i8", "False", "(3,)"), 24, longs}, "3 targets for 2 samples"},
    {GOOD, {1, HEADER("<f4", "False", "(2,)"), 8, plain}, "floating point"},
    {GOOD, {1, HEADER("<i8", "False", "(2,)"), 16, longs}, "label -2"},
    {GOOD, {1, HEADER("<i8", "False", "(2, 1, 1)"), 16, kinds}, "3 dimensions"},
};

START_TEST(npy_refuses)
{
    ds_auto(ds_dataset) data = NULL;
    refused(npy(&bad_npy[_i].x, &bad_npy[_i].y, DS_TARGET_CLASS, &data), DS_ERR_DATA,
            bad_npy[_i].says);
}
END_TEST

START_TEST(npy_has_real_targets)
{
    ds_auto(ds_dataset) data = NULL;
    const npy_case two = {1, HEADER("<f8", "True", "(2, 2)"), 32, doubles};
    ck_assert_int_eq(npy(&good, &two, DS_TARGET_REAL, &data), DS_OK);
    ck_assert(data->n_targets == 2 && data->target[0] == 1 && data->target[1] == 3.5f &&
              data->target[2] == -2 && data->target[3] == 0);
    sample_file no = file_make(9, "no array\n");
    const char *foreign[] = {"format", "npy", "inputs", no.path, "targets", no.path, NULL};
    const char *alone[] = {"format", "npy", "inputs", no.path, NULL};
    ds_auto(ds_dataset) none = NULL;
    refused(read_as(foreign, DS_TARGET_REAL, NULL, "train", &none), DS_ERR_DATA, "no .npy file");
    refused(read_as(alone, DS_TARGET_REAL, NULL, "train", &none), DS_ERR_USAGE, "'targets'");
    unlink(no.path);
}
END_TEST

/* ---- cifar ---- */

enum { RECORD = 3073, RECORDS = 3 };
static unsigned char cifar[2 * RECORDS * (RECORD + 1)];

/* Record i: label (7 i + first) % 10, pixel j is (i + j) % 251. */
static void cifar_fill(size_t head, size_t first)
{
    for (size_t i = 0; i < RECORDS; i++) {
        unsigned char *record = cifar + i * (head + 3072);
        memset(record, 3, head);
        record[head - 1] = (unsigned char)((7 * i + first) % 10);
        for (size_t j = 0; j < 3072; j++)
            record[head + j] = (unsigned char)((i + j) % 251);
    }
}

START_TEST(cifar_is_read)
{
    char list[160];
    cifar_fill(1, 0);
    sample_file a = file_make(RECORDS * RECORD, cifar);
    cifar_fill(1, 5);
    sample_file b = file_make(RECORDS * RECORD, cifar);
    snprintf(list, sizeof list, "[%s %s", a.path, b.path);
    const char *pair[] = {"format", "cifar10", "path", list, NULL};
    ds_auto(ds_dataset) data = NULL;
    ck_assert_msg(read_as(pair, DS_TARGET_CLASS, NULL, "train", &data) == DS_OK, "%s",
                  ds_last_error());
    ck_assert(data->n == 2 * RECORDS && data->input.n == 3 && data->n_classes == 10);
    static const int expected[] = {0, 7, 4, 5, 2, 9};
    for (size_t i = 0; i < 2 * RECORDS; i++) {
        ck_assert_int_eq(data->label[i], expected[i]);
        ck_assert_int_eq(data->bytes[i * 3072 + 1030], (int)((i % RECORDS + 1030) % 251));
    }
    printf("# %zu images of [3, 32, 32] out of two files\n", data->n);
    unlink(a.path);
    unlink(b.path);
}
END_TEST

/* The archive's folder: five batches for training, test_batch for the test, names beside them. */
START_TEST(cifar_folders_are_known)
{
    char folder[] = "/tmp/descent-cifar-XXXXXX", path[128];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const char *pair[] = {"format", "cifar10", "path", folder, NULL};
    static const char *const names[] = {"data_batch_1", "data_batch_2", "data_batch_3",
                                        "data_batch_4", "data_batch_5", "test_batch"};
    for (size_t i = 0; i < 6; i++) {
        ds_auto(ds_dataset) early = NULL;
        refused(read_as(pair, DS_TARGET_CLASS, NULL, "train", &early), i < 5 ? DS_ERR_DATA : DS_OK,
                "");
        snprintf(path, sizeof path, "%s/%s.bin", folder, names[i]);
        cifar_fill(1, i);
        FILE *file = fopen(path, "w");
        fwrite(cifar, 1, RECORDS * RECORD, file);
        fclose(file);
    }
    snprintf(path, sizeof path, "%s/batches.meta.txt", folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 10; i++)
        fprintf(file, "kind%d\n", i);
    fclose(file);
    ds_auto(ds_dataset) train = NULL;
    ds_auto(ds_dataset) test = NULL;
    ck_assert_int_eq(read_as(pair, DS_TARGET_CLASS, NULL, "train", &train), DS_OK);
    ck_assert_int_eq(read_as(pair, DS_TARGET_CLASS, NULL, "test", &test), DS_OK);
    ck_assert(train->n == 5 * RECORDS && test->n == RECORDS && test->label[0] == 5);
    ck_assert_str_eq(train->class_name[9], "kind9");
    unlink(path);
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s.bin", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}
END_TEST

START_TEST(cifar100_has_two_labels)
{
    cifar_fill(2, 0);
    sample_file a = file_make(RECORDS * (RECORD + 1), cifar);
    const char *fine[] = {"format", "cifar100", "path", a.path, NULL};
    const char *coarse[] = {"format", "cifar100", "path", a.path, "coarse", "true", NULL};
    ds_auto(ds_dataset) x = NULL;
    ds_auto(ds_dataset) y = NULL;
    ck_assert_int_eq(read_as(fine, DS_TARGET_CLASS, NULL, "train", &x), DS_OK);
    ck_assert_int_eq(read_as(coarse, DS_TARGET_CLASS, NULL, "train", &y), DS_OK);
    ck_assert(x->n_classes == 100 && x->label[1] == 7 && y->n_classes == 20 && y->label[1] == 3);
    unlink(a.path);
}
END_TEST

static const struct {
    size_t bytes;
    int label;
    const char *says;
} bad_cifar[] = {{0, 0, "is empty"},
                 {RECORD - 1, 0, "is truncated"},
                 {RECORD + 1, 0, "1 records of 3073 bytes, then 1 bytes"},
                 {2 * RECORD, 10, "record 0 (from 0) has label 10, expected 0 to 9"}};

START_TEST(cifar_refuses)
{
    cifar_fill(1, 0);
    cifar[0] = (unsigned char)bad_cifar[_i].label;
    sample_file a = file_make(bad_cifar[_i].bytes, cifar);
    const char *pair[] = {"format", "cifar10", "path", a.path, NULL};
    ds_auto(ds_dataset) data = NULL;
    refused(read_as(pair, DS_TARGET_CLASS, NULL, "train", &data), DS_ERR_DATA, bad_cifar[_i].says);
    unlink(a.path);
}
END_TEST

#define COUNT(x) (int)(sizeof(x) / sizeof *(x))

int main(void)
{
    TCase *t = tcase_create("formats");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, libsvm_is_dense);
    tcase_add_test(t, libsvm_options_are_heard);
    tcase_add_loop_test(t, libsvm_refuses, 0, COUNT(bad_libsvm));
    tcase_add_test(t, libsvm_has_the_models_width);
    tcase_add_loop_test(t, npy_is_read, 0, COUNT(good_npy));
    tcase_add_loop_test(t, npy_refuses, 0, COUNT(bad_npy));
    tcase_add_test(t, npy_has_real_targets);
    tcase_add_test(t, cifar_is_read);
    tcase_add_test(t, cifar_folders_are_known);
    tcase_add_test(t, cifar100_has_two_labels);
    tcase_add_loop_test(t, cifar_refuses, 0, COUNT(bad_cifar));
    return run_case(t);
}
