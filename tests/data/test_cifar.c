/* cifar10 and cifar100: files, lists and folders to the byte, damaged ones refused with what was
 * found and where. */
#include <sys/stat.h>

#include "reading.h"

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

int main(void)
{
    TCase *t = tcase_create("cifar");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, cifar_is_read);
    tcase_add_test(t, cifar_folders_are_known);
    tcase_add_test(t, cifar100_has_two_labels);
    tcase_add_loop_test(t, cifar_refuses, 0, COUNT(bad_cifar));
    return run_case(t);
}
