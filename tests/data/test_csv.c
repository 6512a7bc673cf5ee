/* csv: what RFC 4180 allows is read to the value, what it forbids is refused with file and line. */
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

/* Read `text` with the options `pair` for `kind`. */
static ds_status read_with(const char *text, const char *const *pair, ds_read_request *request,
                           ds_dataset **out)
{
    sample_file file = file_make(strlen(text), text);
    const char *all[16] = {"format", "csv", "path", file.path};
    for (size_t i = 0; pair != NULL && pair[i] != NULL; i++)
        all[4 + i] = pair[i];
    request->source = source_make(arena, all);
    request->split = request->split == NULL ? "train" : request->split;
    ds_status status = ds_dataset_read(request, out);
    unlink(file.path);
    return status;
}

typedef struct good_case {
    const char *name, *text, *options[8];
    size_t n, cols;
    float first[4]; /* of the last sample */
    float target;
} good_case;

static const good_case good[] = {
    {"plain", "a,b,y\n1,2,3\n4,5,6\n", {NULL}, 2, 2, {4, 5}, 6},
    {"no last newline", "a,b,y\n1,2,3\n4,5,6", {NULL}, 2, 2, {4, 5}, 6},
    {"CRLF", "a,b,y\r\n1,2,3\r\n4,5,6\r\n", {NULL}, 2, 2, {4, 5}, 6},
    {"CR", "a,b,y\r1,2,3\r4,5,6\r", {NULL}, 2, 2, {4, 5}, 6},
    {"BOM",
     "\xef\xbb\xbf"
     "a,b,y\n4,5,6\n",
     {"target", "a"},
     1,
     2,
     {5, 6},
     4},
    {"BOM and quotes", "\xef\xbb\xbf\"a\",b,y\n4,5,6\n", {"target", "a"}, 1, 2, {5, 6}, 4},
    {"quoted numbers", "\"a\",\"b\",\"y\"\n\"4\",\"5\",\"6\"\n", {NULL}, 1, 2, {4, 5}, 6},
    {"quoted names",
     "\"a,1\",\"b\"\"2\"\"\",\"y\n3\"\n4,5,6\n",
     {"target", "b\"2\""},
     1,
     2,
     {4, 6},
     5},
    {"target in front", "y,a,b\n6,4,5\n", {"target", "y"}, 1, 2, {4, 5}, 6},
    {"numbers as names", "2019,2020,price\n4,5,6\n", {"target", "price"}, 1, 2, {4, 5}, 6},
    {"no header", "1,2,3\n4,5,6\n", {NULL}, 2, 2, {4, 5}, 6},
    {"no header, index", "1,2,3\n4,5,6\n", {"target", "0"}, 2, 2, {5, 6}, 4},
    {"no header, said", "1,2,3\n4,5,6\n", {"header", "false"}, 2, 2, {4, 5}, 6},
    {"header of numbers, said", "1,2,3\n4,5,6\n", {"header", "true"}, 1, 2, {4, 5}, 6},
    {"semicolons", "a;b;y\n4;5;6\n", {"delimiter", ";"}, 1, 2, {4, 5}, 6},
    {"tabs", "a\tb\ty\n4\t5\t6\n", {"delimiter", "tab"}, 1, 2, {4, 5}, 6},
    {"blanks", "a,b,y\n 4,5 ,\t6\n", {NULL}, 1, 2, {4, 5}, 6},
    {"numbers of all kinds", "a,b,y\n-.5,+1e2,1E-1\n", {NULL}, 1, 2, {-0.5f, 100}, 0.1f},
    {"empty lines at the end", "a,b,y\n4,5,6\n\n\n", {NULL}, 1, 2, {4, 5}, 6},
};

START_TEST(reads)
{
    const good_case *c = &good[_i];
    ds_auto(ds_dataset) data = NULL;
    ds_read_request request = {.kind = DS_TARGET_REAL};
    ck_assert_msg(read_with(c->text, c->options, &request, &data) == DS_OK, "%s: %s", c->name,
                  ds_last_error());
    printf("# %s: %zu samples of %zu\n", c->name, data->n, ds_shape_elements(&data->input));
    ck_assert_uint_eq(data->n, c->n);
    ck_assert_uint_eq(ds_shape_elements(&data->input), c->cols);
    for (size_t j = 0; j < c->cols; j++)
        ck_assert_double_eq((double)data->values[(c->n - 1) * c->cols + j], (double)c->first[j]);
    ck_assert_double_eq((double)data->target[c->n - 1], (double)c->target);
}
END_TEST

typedef struct bad_case {
    const char *name, *text, *options[8];
    ds_target_kind kind;
    ds_status status;
    const char *grep[4];
} bad_case;

static const bad_case bad[] = {
    {"nothing", "", {NULL}, DS_TARGET_REAL, DS_ERR_DATA, {"empty"}},
    {"a header only", "a,b,y\n", {NULL}, DS_TARGET_REAL, DS_ERR_DATA, {"no samples"}},
    {"empty field",
     "a,b,y\n1,2,3\n4,,6\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":3:", "'b'", "empty"}},
    {"blank field",
     "a,b,y\n1,2,3\n4, ,6\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":3:", "'b'", "empty"}},
    {"empty target", "a,b,y\n1,2,\n", {NULL}, DS_TARGET_REAL, DS_ERR_DATA, {":2:", "'y'", "empty"}},
    {"text",
     "a,b,y\n1,many,3\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "'b'", "'many'", "number"}},
    {"two numbers",
     "a,b,y\n1,2 3,3\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "'b'", "'2 3'"}},
    {"hexadecimal",
     "a,b,y\n1,0x10,3\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "'b'", "'0x10'"}},
    {"nan",
     "a,b,y\nnan,2,3\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "'a'", "nan", "finite"}},
    {"inf target",
     "a,b,y\n1,2,-inf\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "'y'", "-inf", "finite"}},
    {"beyond float32",
     "a,b,y\n1e39,2,3\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "'a'", "1e39"}},
    {"short row",
     "a,b,y\n1,2,3\n4,5\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":3:", "2 fields", "expected 3"}},
    {"long row",
     "a,b,y\n1,2,3,4\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "4 fields", "expected 3"}},
    {"empty line",
     "a,b,y\n1,2,3\n\n4,5,6\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":3:", "empty line"}},
    {"open quote",
     "a,b,y\n1,2,\"3\n4,5,6\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "never closes"}},
    {"after a quote",
     "a,b,y\n1,\"2\"3,4\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "closing quote"}},
    {"stray quote",
     "a,b,y\n1,2\"3,4\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":2:", "quote inside"}},
    {"line after a long field",
     "\"a\nb\",b,y\n1,2,3\n4,x,6\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":4:", "'x'"}},
    {"a name twice", "a,a,y\n1,2,3\n", {NULL}, DS_TARGET_REAL, DS_ERR_DATA, {"two columns", "'a'"}},
    {"a name missing",
     "a,,y\n1,2,3\n",
     {"target", "y"},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":1:", "2 is empty"}},
    {"half a header",
     "1,x,3\n1,2,3\n",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {":1:", "2 numbers", "header"}},
    {"one column", "y\n1\n", {NULL}, DS_TARGET_REAL, DS_ERR_DATA, {"1 column", "inputs"}},
    {"UTF-16",
     "\xff\xfe"
     "a",
     {NULL},
     DS_TARGET_REAL,
     DS_ERR_DATA,
     {"UTF-16"}},
    {"no such target",
     "a,b,price\n1,2,3\n",
     {"target", "prise"},
     DS_TARGET_REAL,
     DS_ERR_USAGE,
     {"'prise'", "'price'"}},
    {"no such index", "1,2,3\n", {"target", "3"}, DS_TARGET_REAL, DS_ERR_USAGE, {"'3'", "0 to 2"}},
    {"target twice",
     "a,b,y\n1,2,3\n",
     {"target", "[a a"},
     DS_TARGET_REAL,
     DS_ERR_USAGE,
     {"'a'", "twice"}},
    {"two classes",
     "a,b,y\n1,2,3\n",
     {"target", "[a b"},
     DS_TARGET_CLASS,
     DS_ERR_USAGE,
     {"2 columns"}},
    {"delimiter",
     "a,b,y\n1,2,3\n",
     {"delimiter", ",,"},
     DS_TARGET_REAL,
     DS_ERR_USAGE,
     {"delimiter", ",,"}},
    {"unknown option",
     "a,b,y\n1,2,3\n",
     {"targt", "y"},
     DS_TARGET_REAL,
     DS_ERR_USAGE,
     {"targt", "target"}},
    {"broken class",
     "a,y\n1,0\n2,1.5\n",
     {NULL},
     DS_TARGET_CLASS,
     DS_ERR_DATA,
     {":3:", "'y'", "'1.5'"}},
    {"empty class",
     "a,y\n1,x\n2,\n",
     {NULL},
     DS_TARGET_CLASS,
     DS_ERR_DATA,
     {":3:", "'y'", "empty"}},
    {"nan class", "a,y\n1,0\n2,nan\n", {NULL}, DS_TARGET_CLASS, DS_ERR_DATA, {":3:", "'y'", "nan"}},
};

START_TEST(refuses)
{
    const bad_case *c = &bad[_i];
    ds_auto(ds_dataset) data = NULL;
    ds_read_request request = {.kind = c->kind};
    ds_status status = read_with(c->text, c->options, &request, &data);
    printf("# %s: %s\n", c->name, status == DS_OK ? "read" : ds_last_error());
    ck_assert_int_eq(status, c->status);
    for (size_t i = 0; i < 4 && c->grep[i] != NULL; i++)
        ck_assert_msg(strstr(ds_last_error(), c->grep[i]) != NULL, "%s: '%s' lacks '%s'", c->name,
                      ds_last_error(), c->grep[i]);
}
END_TEST

START_TEST(classes_are_sorted)
{
    ds_auto(ds_dataset) text = NULL;
    ds_auto(ds_dataset) number = NULL;
    ds_auto(ds_dataset) other = NULL;
    ds_read_request request = {.kind = DS_TARGET_CLASS};
    ck_assert(read_with("a,y\n1,pear\n2,\"app,le\"\n3,pear\n", NULL, &request, &text) == DS_OK);
    ck_assert_uint_eq(text->n_classes, 2);
    ck_assert_str_eq(text->class_name[0], "app,le");
    ck_assert_int_eq(text->label[0], 1);
    ck_assert_int_eq(text->label[1], 0);
    ck_assert(read_with("a,y\n1,10\n2,9\n3,-1\n", NULL, &request, &number) == DS_OK);
    printf("# 10, 9, -1: labels %d %d %d\n", number->label[0], number->label[1], number->label[2]);
    ck_assert_int_eq(number->label[0], 2);
    ck_assert_int_eq(number->label[1], 1);
    ck_assert_int_eq(number->label[2], 0);
    request.class_name = text->class_name;
    request.n_classes = text->n_classes;
    ck_assert(read_with("a,y\n1,pear\n", NULL, &request, &other) == DS_OK);
    ck_assert_int_eq(other->label[0], 1);
    ds_dataset_destroy(&other);
    ck_assert_int_eq(read_with("a,y\n1,pear\n2,plum\n", NULL, &request, &other), DS_ERR_DATA);
    printf("# %s\n", ds_last_error());
    ck_assert(strstr(ds_last_error(), ":3:") && strstr(ds_last_error(), "'plum'"));
}
END_TEST

START_TEST(columns_by_name)
{
    static const char *const inputs[] = {"b", "a"}, *const target[] = {"y"};
    ds_auto(ds_dataset) data = NULL;
    ds_read_request request = {.kind = DS_TARGET_REAL,
                               .column = inputs,
                               .n_columns = 2,
                               .target_column = target,
                               .n_target_columns = 1,
                               .split = "test"};
    ck_assert_msg(read_with("id,y,a,b\nx7,3,1,2\n", NULL, &request, &data) == DS_OK, "%s",
                  ds_last_error());
    ck_assert_double_eq((double)data->values[0], (double)2);
    ck_assert_double_eq((double)data->values[1], (double)1);
    ck_assert_double_eq((double)data->target[0], (double)3);
    ck_assert_str_eq(data->column[0], "b");
    ds_dataset_destroy(&data);
    ck_assert_int_eq(read_with("a,y,bb\n1,3,2\n", NULL, &request, &data), DS_ERR_DATA);
    printf("# %s\n", ds_last_error());
    ck_assert(strstr(ds_last_error(), "'b'") && strstr(ds_last_error(), "'bb'"));
    request.targets_optional = true;
    const char *const fine[] = {"a,b\n1,2\n", "b,a,y\n2,1,?\n", "2,1\n", "2,1,pear\n"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        ck_assert_msg(read_with(fine[i], NULL, &request, &data) == DS_OK, "%zu: %s", i,
                      ds_last_error());
        ck_assert_double_eq((double)data->values[0], (double)2);
        ck_assert_double_eq((double)data->values[1], (double)1);
        ck_assert_ptr_null(data->target);
        ds_dataset_destroy(&data);
    }
    ck_assert_int_eq(read_with("1\n2\n", NULL, &request, &data), DS_ERR_DATA);
    ck_assert_int_eq(read_with("1,2,3,4\n", NULL, &request, &data), DS_ERR_DATA);
    printf("# %s\n", ds_last_error());
}
END_TEST

START_TEST(two_targets)
{
    static const char *const options[] = {"target", "[b a", NULL};
    ds_auto(ds_dataset) data = NULL;
    ds_read_request request = {.kind = DS_TARGET_REAL};
    ck_assert(read_with("a,b,c\n1,2,3\n", options, &request, &data) == DS_OK);
    ck_assert_uint_eq(data->n_targets, 2);
    ck_assert_double_eq((double)data->target[0], (double)2);
    ck_assert_double_eq((double)data->target[1], (double)1);
    ck_assert_str_eq(data->target_column[1], "a");
}
END_TEST

int main(void)
{
    TCase *test = tcase_create("csv");
    tcase_add_checked_fixture(test, begin, end);
    tcase_set_timeout(test, 20);
    tcase_add_loop_test(test, reads, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(test, refuses, 0, sizeof bad / sizeof *bad);
    tcase_add_test(test, classes_are_sorted);
    tcase_add_test(test, columns_by_name);
    tcase_add_test(test, two_targets);
    return run_case(test);
}
