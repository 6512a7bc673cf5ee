/* Sequences: text as bytes and numbered tokens cut into windows, each position's label the token
 * after it; what is too short, odd or out of range is refused. */
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

static ds_status read_sequence(const char *format, const char *vocab, size_t n, const void *content,
                               size_t length, ds_dataset **out)
{
    sample_file file = file_make(n, content);
    const char *const pair[] = {"format", format, "path", file.path, vocab == NULL ? NULL : "vocab",
                                vocab,    NULL};
    ds_shape input = {.n = 1, .dim = {length}};
    ds_read_request request = {.source = source_make(arena, pair),
                               .kind = DS_TARGET_CLASS,
                               .input = &input,
                               .split = "train"};
    ds_status status = ds_dataset_read(&request, out);
    unlink(file.path);
    return status;
}

/* 23 bytes in windows of 4 and one more: 5 windows, two bytes left over. */
START_TEST(text_is_cut_into_windows)
{
    const char *text = "In the beginning God cr";
    ds_dataset *data = NULL;
    ck_assert_msg(read_sequence("text", NULL, 23, text, 4, &data) == DS_OK, "%s", ds_last_error());
    ck_assert_uint_eq(data->n, 5);
    ck_assert_uint_eq(data->n_labels, 4);
    ck_assert_uint_eq(data->n_classes, 256);
    for (size_t i = 0; i < 20; i++) {
        ck_assert_int_eq(data->bytes[i], text[i]);
        ck_assert_int_eq(data->label[i], text[i + 1]);
    }
    float x[8];
    int32_t label[8];
    const uint64_t index[2] = {3, 1};
    ds_dataset_fetch(data, NULL, 2, index, x, 4, label, NULL);
    for (size_t i = 0; i < 8; i++) {
        size_t at = (i < 4 ? 12 : 4) + i % 4;
        ck_assert_int_eq((int)x[i], text[at]);
        ck_assert_int_eq(label[i], text[at + 1]);
    }
    ds_dataset_destroy(&data);
}
END_TEST

/* `from: 0.3, to: 0.9` of 20 bytes: 6 to 17, two windows of 5 and one more. */
START_TEST(a_part_is_read)
{
    const char *text = "abcdefghijklmnopqrst";
    sample_file file = file_make(20, text);
    const char *const pair[] = {"format", "text", "path", file.path, "from",
                                "0.3",    "to",   "0.9",  NULL};
    const char *const none[] = {"format", "text", "path", file.path, "from",
                                "0.5",    "to",   "0.5",  NULL};
    ds_shape input = {.n = 1, .dim = {5}};
    ds_read_request request = {.source = source_make(arena, pair),
                               .kind = DS_TARGET_CLASS,
                               .input = &input,
                               .split = "train"};
    ds_dataset *data = NULL;
    ck_assert_msg(ds_dataset_read(&request, &data) == DS_OK, "%s", ds_last_error());
    ck_assert_uint_eq(data->n, 2);
    ck_assert_mem_eq(data->bytes, text + 6, 10);
    ck_assert_int_eq(data->label[9], text[16]);
    ds_dataset_destroy(&data);
    request.source = source_make(arena, none);
    ck_assert_int_eq(ds_dataset_read(&request, &data), DS_ERR_USAGE);
    printf("# %s\n", ds_last_error());
    unlink(file.path);
}
END_TEST

START_TEST(tokens_are_little_endian)
{
    const unsigned char bytes[] = {1, 0, 0, 1, 255, 1, 7, 0, 2, 0};
    const int32_t token[] = {1, 256, 511, 7, 2};
    ds_dataset *data = NULL;
    ck_assert_msg(read_sequence("tokens", "512", sizeof bytes, bytes, 2, &data) == DS_OK, "%s",
                  ds_last_error());
    ck_assert_uint_eq(data->n, 2);
    ck_assert_uint_eq(data->n_classes, 512);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq((int)data->values[i], token[i]);
        ck_assert_int_eq(data->label[i], token[i + 1]);
    }
    ds_dataset_destroy(&data);
}
END_TEST

static const struct {
    const char *format, *vocab;
    size_t n;
    const char *content;
    const char *says;
} refused[] = {
    {"text", NULL, 4, "abcd", "holds 4 tokens, a window of model.input takes 4 and one more"},
    {"tokens", "9", 11, "0123456789a", "holds 11 bytes, expected two a token"},
    {"tokens", "9", 12, "\1\0\2\0\11\0\1\0\1\0\1\0", "token 2 is 9, expected 0 to 8"},
};

START_TEST(bad_sequences_are_refused)
{
    ds_dataset *data = NULL;
    ck_assert_int_eq(read_sequence(refused[_i].format, refused[_i].vocab, refused[_i].n,
                                   refused[_i].content, 4, &data),
                     DS_ERR_DATA);
    printf("# %s\n", ds_last_error());
    ck_assert_ptr_nonnull(strstr(ds_last_error(), refused[_i].says));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("sequences");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, text_is_cut_into_windows);
    tcase_add_test(t, a_part_is_read);
    tcase_add_test(t, tokens_are_little_endian);
    tcase_add_loop_test(t, bad_sequences_are_refused, 0, sizeof refused / sizeof *refused);
    return run_case(t);
}
