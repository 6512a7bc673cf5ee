/* What stays, what goes, what is taken up again; one run a directory; nowhere to write. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "descent/log.h"
#include "descent/session.h"

#include "places.h"
#include "sample.h"

static ds_world *world;
static int n_warnings;

static void count_warning(void *context, ds_log_level level, const char *line)
{
    (void)context;
    n_warnings += level == DS_LOG_WARN;
    printf("# log: %s\n", line);
}

static ds_status try_write(const char *dir, int64_t step, char path[4096])
{
    sample s;
    sample_make(&s, step, 20, 3);
    ds_status st = ds_checkpoint_write(world, dir, &s.snapshot, 4096, path);
    sample_free(&s);
    return st;
}

static void write_steps(const char *dir, int64_t n)
{
    char path[4096];
    for (int64_t step = 1; step <= n; step++)
        ck_assert_msg(try_write(dir, step, path) == DS_OK, "%s", ds_last_error());
}

static bool is_there(const char *dir, const char *name)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

static void damage(const char *dir, int64_t step)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/checkpoints/step-%08lld.h5", dir, (long long)step);
    int fd = open(path, O_RDWR);
    ck_assert(fd >= 0 && pwrite(fd, "damage", 6, 50000) == 6);
    close(fd);
}

static const char *newest(const char *dir, bool *found)
{
    static char path[4096];
    *path = '\0';
    ds_status st = ds_checkpoint_newest(world, dir, sizeof path, path, found);
    ck_assert_msg(st == DS_OK, "%s", ds_last_error());
    return *path == '\0' ? "" : strrchr(path, '/') + 1;
}

START_TEST(newest_good_one_is_taken)
{
    char dir[64], path[4096];
    bool found = true;
    newest(place_new(dir), &found);
    ck_assert(!found);
    write_steps(dir, 3);
    ck_assert_str_eq(newest(dir, &found), "step-00000003.h5");
    ck_assert(found && n_warnings == 0);
    damage(dir, 3);
    damage(dir, 2);
    ck_assert_str_eq(newest(dir, &found), "step-00000001.h5");
    ck_assert(n_warnings == 2 && is_there(dir, "checkpoints/step-00000002.h5.damaged"));
    ck_assert(ds_checkpoint_resolve(dir, sizeof path, path) == DS_OK);
    ck_assert_msg(strstr(path, "step-00000001.h5"), "%s", path);
    damage(dir, 1);
    for (int k = 0; k < 2; k++) /* no second call may take it for a fresh start */
        ck_assert_int_eq(ds_checkpoint_newest(world, dir, sizeof path, path, &found),
                         DS_ERR_CHECKPOINT);
    printf("# %s\n", ds_last_error());
    place_remove(dir);
}
END_TEST

START_TEST(newest_and_best_stay)
{
    char dir[64], stale[128], path[4096];
    write_steps(place_new(dir), 6);
    snprintf(stale, sizeof stale, "%s/checkpoints/step-00000009.h5.tmp", dir);
    close(open(stale, O_CREAT | O_WRONLY, 0644));
    ck_assert_int_eq(ds_checkpoint_mark_best(world, dir, 2), DS_OK);
    ck_assert_int_eq(ds_checkpoint_prune(world, dir, 0), DS_OK);
    ck_assert(is_there(dir, "checkpoints/step-00000001.h5"));
    ck_assert_int_eq(ds_checkpoint_prune(world, dir, 3), DS_OK);
    static const bool stays[] = {false, false, true, false, true, true, true};
    for (int step = 1; step <= 6; step++) {
        snprintf(stale, sizeof stale, "checkpoints/step-%08d.h5", step);
        ck_assert_msg(is_there(dir, stale) == stays[step], "%s", stale);
    }
    ck_assert(!is_there(dir, "checkpoints/step-00000009.h5.tmp") && is_there(dir, "best"));
    /* Gone on from step 2: step 3 is newly written, 4 and later are not this run's. */
    write_steps(dir, 4);
    write_steps(dir, 3);
    ck_assert_int_eq(ds_checkpoint_prune(world, dir, 1), DS_OK);
    ck_assert(is_there(dir, "checkpoints/step-00000003.h5") &&
              !is_there(dir, "checkpoints/step-00000001.h5"));
    ck_assert(ds_checkpoint_resolve(dir, sizeof path, path) == DS_OK &&
              strstr(path, "-00000003.h5"));
    ck_assert_int_eq(ds_checkpoint_drop_after(world, dir, 4), DS_OK);
    bool found;
    ck_assert_str_eq(newest(dir, &found), "step-00000004.h5");
    ck_assert_int_eq(ds_checkpoint_drop_after(world, dir, -1), DS_OK);
    newest(dir, &found);
    ck_assert(!found && !is_there(dir, "best") && !is_there(dir, "latest"));
    place_remove(dir);
}
END_TEST

START_TEST(arguments_are_resolved)
{
    char dir[64], sub[128], path[4096];
    ck_assert_int_eq(ds_checkpoint_resolve("/no/such", sizeof path, path), DS_ERR_CHECKPOINT);
    ck_assert_int_eq(ds_checkpoint_resolve("/dev/zero", sizeof path, path), DS_ERR_CHECKPOINT);
    place_new(dir);
    ck_assert_int_eq(ds_checkpoint_resolve(dir, sizeof path, path), DS_ERR_CHECKPOINT);
    printf("# %s\n", ds_last_error());
    write_steps(dir, 2);
    snprintf(sub, sizeof sub, "%s/checkpoints", dir);
    const char *argument[] = {dir, sub};
    for (int k = 0; k < 2; k++) {
        ck_assert_int_eq(ds_checkpoint_resolve(argument[k], sizeof path, path), DS_OK);
        ck_assert_msg(strstr(path, "/checkpoints/step-00000002.h5"), "%s", path);
    }
    snprintf(sub, sizeof sub, "%s/latest", dir);
    ck_assert(unlink(sub) == 0 && symlink("checkpoints/step-00000007.h5", sub) == 0);
    ck_assert_int_eq(ds_checkpoint_resolve(dir, sizeof path, path), DS_OK);
    ck_assert_msg(strstr(path, "/checkpoints/step-00000002.h5"), "%s", path);
    place_remove(dir);
}
END_TEST

START_TEST(one_run_a_directory)
{
    char dir[64];
    int mine = -1, other = -1, ready[2];
    place_new(dir);
    ck_assert(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        int held = -1;
        char ok = ds_run_lock(dir, &held) == DS_OK;
        if (write(ready[1], &ok, 1) == 1)
            pause();
        _exit(1);
    }
    char ok = 0, pid[32];
    ck_assert(read(ready[0], &ok, 1) == 1 && ok == 1);
    ck_assert_int_eq(ds_run_lock(dir, &mine), DS_ERR_USAGE);
    snprintf(pid, sizeof pid, "pid %ld on ", (long)child);
    ck_assert_msg(strstr(ds_last_error(), pid), "%s", ds_last_error());
    printf("# %s\n", ds_last_error());
    ck_assert(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    ck_assert_int_eq(ds_run_lock(dir, &mine), DS_OK);
    ck_assert_int_eq(ds_run_lock(dir, &other), DS_ERR_USAGE);
    ds_run_unlock(mine);
    ck_assert_int_eq(ds_run_lock(dir, &other), DS_OK);
    ds_run_unlock(other);
    place_remove(dir);
}
END_TEST

/* After a failed write: code WRITE, no .tmp, the older checkpoint good and still the latest. */
static void refused(const char *dir, ds_status st)
{
    bool found;
    ck_assert_int_eq(st, DS_ERR_WRITE);
    printf("# %s\n", ds_last_error());
    ck_assert(!is_there(dir, "checkpoints/step-00000002.h5.tmp"));
    ck_assert(!is_there(dir, "checkpoints/step-00000002.h5"));
    ck_assert_str_eq(newest(dir, &found), "step-00000001.h5");
}

START_TEST(no_room_is_told)
{
    char dir[64], path[4096];
    write_steps(place_new(dir), 1);
    struct rlimit was, small;
    getrlimit(RLIMIT_FSIZE, &was);
    small = was;
    for (rlim_t limit = 0; limit < 300000; limit += 50000) {
        small.rlim_cur = limit; /* between the two calls Check must not write */
        int set = setrlimit(RLIMIT_FSIZE, &small);
        ds_status st = try_write(dir, 2, path);
        int back = setrlimit(RLIMIT_FSIZE, &was);
        ck_assert(set == 0 && back == 0);
        refused(dir, st);
    }
    place_remove(dir);
}
END_TEST

/* A file system that fills up at every point of the writing. */
START_TEST(full_disk_is_told)
{
    char dir[64], run[128], filler[128];
    place_new(dir);
    snprintf(run, sizeof run, "%s/run", dir);
    snprintf(filler, sizeof filler, "%s/filler", dir);
    if (mount("descent", dir, "tmpfs", 0, "size=2m") != 0) {
        printf("# no mount (%s): nothing tried\n", strerror(errno));
        place_remove(dir);
        return;
    }
    write_steps(run, 1);
    static char zero[4096];
    int fd = open(filler, O_CREAT | O_WRONLY, 0644), tried = 0, fine = 0;
    while (write(fd, zero, sizeof zero) == (ssize_t)sizeof zero)
        continue;
    char path[4096];
    refused(run, try_write(run, 2, path));
    struct stat st;
    ck_assert(fstat(fd, &st) == 0);
    for (off_t size = st.st_size; size > 0 && fine == 0; size -= 16384, tried++) {
        ck_assert(ftruncate(fd, size) == 0);
        ds_status code = try_write(run, 2, path);
        fine += code == DS_OK;
        ck_assert_msg(code == DS_OK || code == DS_ERR_WRITE, "%s", ds_last_error());
        ck_assert(code == DS_OK || !is_there(run, "checkpoints/step-00000002.h5.tmp"));
    }
    printf("# %d amounts of room tried\n", tried);
    ck_assert(fine == 1 && tried > 3);
    close(fd);
    ck_assert(umount2(dir, MNT_DETACH) == 0);
    place_remove(dir);
}
END_TEST

START_TEST(no_permission_is_told)
{
    char dir[64], path[4096], file[128];
    place_new(dir);
    snprintf(file, sizeof file, "%s/checkpoints", dir);
    close(open(file, O_CREAT | O_WRONLY, 0644)); /* a file where the directory should be */
    ck_assert_int_eq(try_write(dir, 1, path), DS_ERR_WRITE);
    printf("# %s\n", ds_last_error());
    ck_assert_int_eq(try_write("/proc/no", 1, path), DS_ERR_WRITE);
    printf("# %s\n", ds_last_error());
    int handle = -1;
    ck_assert_int_eq(ds_run_lock("/proc/no", &handle), DS_ERR_WRITE);
    place_remove(dir);
}
END_TEST

int main(int argc, char **argv)
{
    if (ds_session_begin(&argc, &argv) != DS_OK || ds_session_world(&world) != DS_OK)
        return EXIT_FAILURE;
    ds_log_to(count_warning, NULL, DS_LOG_WARN);
    Suite *s = suite_create("retention");
    TCase *t = tcase_create("run directory");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, newest_good_one_is_taken);
    tcase_add_test(t, newest_and_best_stay);
    tcase_add_test(t, arguments_are_resolved);
    tcase_add_test(t, one_run_a_directory);
    tcase_add_test(t, no_room_is_told);
    tcase_add_test(t, full_disk_is_told);
    tcase_add_test(t, no_permission_is_told);
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
