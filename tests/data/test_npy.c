/* npy: good arrays to the number, damaged ones refused with what was found. Their headers are
 * written here by NumPy's published format. */
#include <math.h>

#include "reading.h"

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

int main(void)
{
    TCase *t = tcase_create("npy");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, npy_is_read, 0, COUNT(good_npy));
    tcase_add_loop_test(t, npy_refuses, 0, COUNT(bad_npy));
    tcase_add_test(t, npy_has_real_targets);
    return run_case(t);
}
