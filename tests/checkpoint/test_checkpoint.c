/* Checkpoints on one rank: what is written comes back; every damage is found, without hanging. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "descent/clock.h"
#include "descent/log.h"
#include "descent/session.h"

#include "places.h"
#include "sample.h"

static ds_world *world;

static void write_sample(const char *dir, int64_t step, size_t rows, char path[4096])
{
    sample s;
    sample_make(&s, step, rows, 3);
    ds_status st = ds_checkpoint_write(world, dir, &s.snapshot, 4096, path);
    ck_assert_msg(st == DS_OK, "%s", ds_last_error());
    ck_assert_int_eq(s.staged, 3);
    sample_free(&s);
}

START_TEST(written_is_read)
{
    char dir[64], path[4096];
    write_sample(place_new(dir), 42, 700, path);
    ds_checkpoint *c = NULL;
    ck_assert_msg(ds_checkpoint_open(path, &c) == DS_OK, "%s", ds_last_error());
    sample s;
    sample_make(&s, 42, 700, 3);
    ck_assert_uint_eq(ds_checkpoint_n(c), SAMPLE_ENTRIES);
    ck_assert_int_eq(ds_checkpoint_step(c), 42);
    for (size_t i = 0; i < SAMPLE_ENTRIES; i++) {
        ds_tensor_info info = ds_checkpoint_tensor(c, i);
        ck_assert_str_eq(info.path, s.entry[i].path);
        ck_assert(ds_shape_equal(&info.shape, &s.entry[i].shape) && info.type == s.entry[i].type);
        size_t bytes = ds_shape_elements(&info.shape) * (size_t[]){4, 8, 8, 1}[info.type];
        void *got = malloc(bytes + 1);
        ck_assert(ds_checkpoint_read(c, ds_checkpoint_find(c, info.path), got) == DS_OK);
        ck_assert(memcmp(got, s.data[i], bytes) == 0);
        free(got);
    }
    for (size_t i = 0; i < s.snapshot.n_attrs; i++) {
        const ds_attr *want = &s.attr[i], *got = ds_checkpoint_attr(c, want->name);
        ck_assert(got != NULL && got->kind == want->kind);
        if (want->kind == DS_ATTR_TEXT)
            ck_assert_str_eq(got->text, want->text);
        else
            ck_assert(want->integer == got->integer && want->real == got->real);
    }
    ck_assert_uint_eq(ds_checkpoint_n_attrs(c), s.snapshot.n_attrs);
    ck_assert(ds_checkpoint_attr(c, "absent") == NULL && ds_checkpoint_find(c, "/x") == 8);
    ds_checkpoint_close(&c);
    sample_free(&s);
    place_remove(dir);
}
END_TEST

/* Flip one bit of byte `at`; verify must say CHECKPOINT; put it back. */
static void flip_is_found(int fd, const char *path, off_t at, unsigned bit)
{
    unsigned char was, now;
    ck_assert(pread(fd, &was, 1, at) == 1);
    now = (unsigned char)(was ^ (1U << bit));
    ck_assert(pwrite(fd, &now, 1, at) == 1);
    ds_status st = ds_checkpoint_verify(path, NULL, NULL);
    ck_assert_msg(st == DS_ERR_CHECKPOINT, "byte %ld bit %u: not found", (long)at, bit);
    ck_assert(pwrite(fd, &was, 1, at) == 1);
}

/* A small file at every 13th byte and all of the header; one of several blocks at 200 places. */
START_TEST(every_flip_is_found)
{
    char dir[64], path[4096];
    size_t rows = _i == 0 ? 2 : 700, tried = 0;
    write_sample(place_new(dir), 1, rows, path);
    struct stat st;
    ck_assert(stat(path, &st) == 0);
    int fd = open(path, O_RDWR);
    ck_assert(fd >= 0);
    unsigned long seed = 12345;
    int64_t t0 = ds_clock_ns();
    for (off_t at = 0; _i == 0 && at < st.st_size; at += at < 4096 ? 1 : 13, tried++)
        flip_is_found(fd, path, at, (unsigned)at % 8);
    for (int k = 0; _i == 1 && k < 200; k++, tried++) {
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        flip_is_found(fd, path, (off_t)((seed >> 16) % (unsigned long)st.st_size), k % 8);
    }
    flip_is_found(fd, path, st.st_size - 1, 7);
    ck_assert_msg(ds_checkpoint_verify(path, NULL, NULL) == DS_OK, "%s", ds_last_error());
    printf("# %zu flips found in %ld bytes, %.2f ms each\n", tried, (long)st.st_size,
           (double)(ds_clock_ns() - t0) * 1e-6 / (double)tried);
    close(fd);
    place_remove(dir);
}
END_TEST

START_TEST(every_length_is_checked)
{
    char dir[64], path[4096];
    write_sample(place_new(dir), 1, 300, path);
    struct stat st;
    ck_assert(stat(path, &st) == 0);
    off_t grown = st.st_size + 1;
    ck_assert(truncate(path, grown) == 0);
    ck_assert_int_eq(ds_checkpoint_verify(path, NULL, NULL), DS_ERR_CHECKPOINT);
    ck_assert(truncate(path, (off_t)1 << 40) == 0); /* sparse: must not be read */
    ck_assert_int_eq(ds_checkpoint_verify(path, NULL, NULL), DS_ERR_CHECKPOINT);
    for (int k = 0; k < 50; k++) {
        off_t to = k == 0 ? st.st_size - 1 : st.st_size - (off_t)k * (st.st_size / 49);
        ck_assert(truncate(path, to < 0 ? 0 : to) == 0);
        ck_assert_int_eq(ds_checkpoint_verify(path, NULL, NULL), DS_ERR_CHECKPOINT);
    }
    ck_assert(truncate(path, 0) == 0);
    ck_assert_int_eq(ds_checkpoint_verify(path, NULL, NULL), DS_ERR_CHECKPOINT);
    printf("# 53 lengths refused, last: %s\n", ds_last_error());
    place_remove(dir);
}
END_TEST

/* Headers that are whole (their hash is right) but lie. */
START_TEST(lies_are_refused)
{
    char dir[64], path[4096];
    write_sample(place_new(dir), 1, 2, path);
    static const int field[] = {16, 32, 40, 48, 64, 72};
    static const uint64_t lie[] = {UINT64_MAX, (uint64_t)1 << 62, (uint64_t)1 << 40, 0, 1, 4095};
    unsigned char head[4096], was[4096];
    int fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pread(fd, was, 4096, 0) == 4096);
    int64_t t0 = ds_clock_ns();
    for (size_t f = 0; f < 6; f++)
        for (size_t k = 0; k < 6; k++) {
            memcpy(head, was, 4096);
            if (memcmp(head + field[f], &lie[k], 8) == 0)
                continue; /* for once the truth: one block */
            memcpy(head + field[f], &lie[k], 8);
            place_seal(head);
            ck_assert(pwrite(fd, head, 4096, 0) == 4096);
            ck_assert_msg(ds_checkpoint_verify(path, NULL, NULL) == DS_ERR_CHECKPOINT, "%d = %llx",
                          field[f], (unsigned long long)lie[k]);
        }
    double seconds = (double)(ds_clock_ns() - t0) * 1e-9;
    printf("# 36 lies refused in %.3f s\n", seconds);
    ck_assert_double_lt(seconds, 1);
    close(fd);
    place_remove(dir);
}
END_TEST

START_TEST(foreign_things_are_refused)
{
    char dir[64], path[4096], empty[128], fifo[128];
    write_sample(place_new(dir), 1, 2, path);
    snprintf(empty, sizeof empty, "%s/empty", dir);
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    close(open(empty, O_CREAT | O_WRONLY, 0644));
    ck_assert(mkfifo(fifo, 0644) == 0);
    const char *thing[] = {empty, fifo, dir, "/dev/zero", "/dev/null", "/etc/passwd", "/no/such"};
    for (size_t i = 0; i < sizeof thing / sizeof *thing; i++) {
        ds_checkpoint *c = NULL;
        ck_assert_int_eq(ds_checkpoint_verify(thing[i], NULL, NULL), DS_ERR_CHECKPOINT);
        printf("# %s\n", ds_last_error());
        ck_assert_int_eq(ds_checkpoint_open(thing[i], &c), DS_ERR_CHECKPOINT);
        ck_assert_ptr_null(c);
    }
    place_remove(dir);
}
END_TEST

static void one_bad(void *context, const char *path, const ds_shape *shape, bool good)
{
    (void)shape;
    if (!good)
        *(const char **)context = path;
}

START_TEST(damage_has_a_name)
{
    char dir[64], path[4096];
    write_sample(place_new(dir), 1, 700, path);
    int fd = open(path, O_RDWR);
    struct stat st;
    ck_assert(fd >= 0 && fstat(fd, &st) == 0);
    float was; /* in the second big matrix, /optimizer/m/dense1/weight */
    off_t at = st.st_size - 1024 * 1024;
    ck_assert(pread(fd, &was, 4, at) == 4 && pwrite(fd, &(float){was + 1}, 4, at) == 4);
    const char *bad = NULL;
    ds_checkpoint *c = NULL;
    bool good = true;
    ck_assert_int_eq(ds_checkpoint_verify(path, one_bad, &bad), DS_ERR_CHECKPOINT);
    ck_assert_msg(strstr(ds_last_error(), "/optimizer/m/dense1/weight"), "%s", ds_last_error());
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(ds_checkpoint_salvage(path, &c, &good), DS_OK);
    float *room = malloc(700 * 1000 * 4);
    ck_assert(!good && ds_checkpoint_attr(c, "config") != NULL);
    ck_assert_int_eq(ds_checkpoint_read(c, 0, room), DS_OK);
    ck_assert_int_eq(ds_checkpoint_read(c, 2, room), DS_ERR_CHECKPOINT);
    free(room);
    ds_checkpoint_destroy(&c);
    close(fd);
    place_remove(dir);
}
END_TEST

/* What ds_snapshot's `stands` saw: the step, and that the file lay at its name by then. */
typedef struct stood {
    const char *dir;
    int64_t step;
    int calls;
} stood;

static void note_stands(void *context, int64_t step)
{
    stood *self = context;
    char path[4096];
    snprintf(path, sizeof path, "%s/checkpoints/step-%08d.h5", self->dir, (int)step);
    ck_assert_msg(access(path, R_OK) == 0, "told of %s before it is there", path);
    self->step = step;
    self->calls++;
}

/* 300 tensors: the table does not fit into the header and lies behind the body. */
START_TEST(large_tables_lie_behind)
{
    enum { N = 300 };
    static ds_entry entry[N];
    static char name[N][32];
    static const float value[5] = {1, 2, 3, 4, 5};
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "/parameters/layer%d/bias", i);
        entry[i] = (ds_entry){.path = name[i], .shape = {1, {5}}, .data = value};
    }
    char dir[64], path[4096];
    stood told = {.dir = place_new(dir), .step = -1};
    ds_snapshot s = {
        .step = 7, .n_entries = N, .entry = entry, .stands = note_stands, .context = &told};
    ck_assert_msg(ds_checkpoint_write(world, dir, &s, 4096, path) == DS_OK, "%s", ds_last_error());
    ck_assert(told.calls == 1 && told.step == 7);
    ds_checkpoint *c = NULL;
    float got[5];
    ck_assert_msg(ds_checkpoint_open(path, &c) == DS_OK, "%s", ds_last_error());
    ck_assert(ds_checkpoint_n(c) == N && ds_checkpoint_n_attrs(c) == 0);
    ck_assert(ds_checkpoint_find(c, name[123]) == 123);
    ck_assert(ds_checkpoint_read(c, 123, got) == DS_OK && memcmp(got, value, sizeof got) == 0);
    ds_checkpoint_close(&c);
    struct stat st;
    int fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && fstat(fd, &st) == 0);
    for (int k = 1; k <= 400; k++)
        flip_is_found(fd, path, st.st_size - k * 37, (unsigned)k % 8);
    printf("# 400 flips found in a table of 300 tensors, last: %s\n", ds_last_error());
    close(fd);
    /* The same name twice: an error, nothing left over. */
    entry[1].path = name[0];
    s.step = 8;
    ck_assert_int_eq(ds_checkpoint_write(world, dir, &s, 4096, path), DS_ERR_WRITE);
    printf("# %s\n", ds_last_error());
    snprintf(path, sizeof path, "%s/checkpoints/step-00000008.h5.tmp", dir);
    ck_assert(stat(path, &st) != 0 && errno == ENOENT);
    ck_assert_msg(told.calls == 1, "told of a checkpoint that failed");
    place_remove(dir);
}
END_TEST

int main(int argc, char **argv)
{
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    Suite *s = suite_create("checkpoint");
    TCase *t = tcase_create("file");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, written_is_read);
    tcase_add_loop_test(t, every_flip_is_found, 0, 2);
    tcase_add_test(t, every_length_is_checked);
    tcase_add_test(t, lies_are_refused);
    tcase_add_test(t, foreign_things_are_refused);
    tcase_add_test(t, damage_has_a_name);
    tcase_add_test(t, large_tables_lie_behind);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    int bad = srunner_ntests_failed(r);
    srunner_free(r);
    ds_world_destroy(&world);
    ds_session_end();
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
