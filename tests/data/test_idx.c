/* IDX: good files to the byte, plain and gzip; damaged ones are refused with what was found. */
#include <zlib.h>

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

enum { SAMPLES = 5, SIDE = 3, PIXELS = SAMPLES * SIDE * SIDE };

/* 5 images of 3 x 3, pixel i being 3 i. */
static size_t images_make(unsigned char *out)
{
    static const unsigned char head[16] = {0, 0, 8, 3,    0, 0, 0, SAMPLES,
                                           0, 0, 0, SIDE, 0, 0, 0, SIDE};
    memcpy(out, head, sizeof head);
    for (int i = 0; i < PIXELS; i++)
        out[sizeof head + (size_t)i] = (unsigned char)(3 * i);
    return sizeof head + PIXELS;
}

static size_t gzip(size_t n, const unsigned char *in, size_t room, unsigned char *out)
{
    z_stream z = {0};
    ck_assert(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    unsigned char copy[256];
    memcpy(copy, in, n);
    z.next_in = copy;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    ck_assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
    size_t made = room - z.avail_out;
    deflateEnd(&z);
    return made;
}

static ds_status read_images(size_t n, const unsigned char *images, const unsigned char *labels,
                             ds_read_request *request, ds_dataset **out)
{
    unsigned char all[8 + 64] = {0, 0, 8, 1, 0, 0, 0, SAMPLES};
    sample_file x = file_make(n, images);
    memcpy(all + 8, labels, SAMPLES);
    sample_file y = file_make(8 + SAMPLES, all);
    const char *const pair[] = {"format", "idx", "images", x.path, "labels", y.path, NULL};
    request->source = source_make(arena, pair);
    request->split = "train";
    ds_status status = ds_dataset_read(request, out);
    unlink(x.path);
    unlink(y.path);
    return status;
}

static const unsigned char plain_labels[SAMPLES] = {0, 2, 1, 2, 0};

static void check_images(size_t n, const unsigned char *images)
{
    ds_auto(ds_dataset) data = NULL;
    ds_read_request request = {.kind = DS_TARGET_CLASS};
    ck_assert_msg(read_images(n, images, plain_labels, &request, &data) == DS_OK, "%s",
                  ds_last_error());
    ck_assert_uint_eq(data->n, SAMPLES);
    ck_assert_uint_eq(data->n_classes, 3);
    for (int i = 0; i < PIXELS; i++)
        ck_assert_uint_eq(data->bytes[i], (unsigned char)(3 * i));
    for (size_t i = 0; i < SAMPLES; i++)
        ck_assert_int_eq(data->label[i], plain_labels[i]);
    printf("# %zu bytes on disk: %zu samples, identity %016llx\n", n, data->n,
           (unsigned long long)data->identity);
}

START_TEST(reads)
{
    unsigned char images[256], small[256];
    size_t n = images_make(images);
    check_images(n, images);
    check_images(gzip(n, images, sizeof small, small), small);
    /* two members, as `cat a.gz b.gz` makes */
    size_t first = gzip(20, images, sizeof small, small);
    check_images(first + gzip(n - 20, images + 20, sizeof small - first, small + first), small);
}
END_TEST

/* Read a damaged file; the message must hold all of `grep`. */
static void refuse(size_t n, const unsigned char *images, ds_read_request request,
                   const char *const *grep)
{
    ds_auto(ds_dataset) data = NULL;
    ds_status status = read_images(n, images, plain_labels, &request, &data);
    printf("# %s\n", status == DS_OK ? "read" : ds_last_error());
    ck_assert_int_eq(status, DS_ERR_DATA);
    for (; *grep != NULL; grep++)
        ck_assert_msg(strstr(ds_last_error(), *grep) != NULL, "lacks '%s'", *grep);
}

#define REFUSE(n, images, ...)                                        \
    refuse((n), (images), (ds_read_request){.kind = DS_TARGET_CLASS}, \
           (const char *const[]){__VA_ARGS__, NULL})

START_TEST(refuses)
{
    unsigned char images[256], small[256];
    size_t n = images_make(images);
    REFUSE(0, images, "too short");
    REFUSE(10, images, "truncated");
    REFUSE(n - 1, images, "truncated", "45", "44");
    images[n] = 7;
    REFUSE(n + 1, images, "longer");
    images[2] = 0x0d;
    REFUSE(n, images, "0x0d", "0x08");
    images[2] = 8;
    images[0] = 0x89;
    REFUSE(n, images, "no IDX", "89 00 08 03");
    images[0] = 0;
    images[4] = 0xff;
    REFUSE(n, images, "truncated");
    images[4] = 0;
    images[7] = 0;
    REFUSE(16, images, "no samples");
    images[7] = SAMPLES;
    size_t packed = gzip(n, images, sizeof small, small);
    REFUSE(packed - 1, small, "truncated");
    REFUSE(packed - 12, small, "truncated");
    memset(small + packed, 'x', 3);
    REFUSE(packed + 3, small, "after the end");
    small[packed - 6] ^= 1; /* the checksum */
    REFUSE(packed, small, "damaged");
    images[7] = 4;
    REFUSE(16 + 4 * 9, images, "5 labels", "4 images");
}
END_TEST

START_TEST(labels_have_a_range)
{
    static const char *const grep[] = {"label 2", "0 to 1", "sample 1", NULL};
    unsigned char images[256];
    size_t n = images_make(images);
    refuse(n, images, (ds_read_request){.kind = DS_TARGET_CLASS, .n_classes = 2}, grep);
}
END_TEST

START_TEST(no_regular_file)
{
    ds_auto(ds_dataset) data = NULL;
    const char *const folder[] = {"format", "idx", "images", "/tmp", "labels", "/tmp", NULL};
    const char *const device[] = {"format", "idx", "images", "/dev/zero", "labels", "/x", NULL};
    const char *const none[] = {"format", "idx", "images", "/nowhere", "labels", "/x", NULL};
    const char *const *const all[] = {folder, device, none};
    for (size_t i = 0; i < 3; i++) {
        ds_read_request request = {.source = source_make(arena, all[i]), .split = "test"};
        ck_assert_int_eq(ds_dataset_read(&request, &data), DS_ERR_DATA);
        printf("# %s\n", ds_last_error());
        ck_assert(strstr(ds_last_error(), all[i][3]) != NULL);
    }
}
END_TEST

int main(void)
{
    TCase *test = tcase_create("idx");
    tcase_add_checked_fixture(test, begin, end);
    tcase_set_timeout(test, 20);
    tcase_add_test(test, reads);
    tcase_add_test(test, refuses);
    tcase_add_test(test, labels_have_a_range);
    tcase_add_test(test, no_regular_file);
    return run_case(test);
}
