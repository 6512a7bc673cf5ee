/* DIR/status.json, replaced atomically: what a batch script reads to know whether a run is done,
 * can be resumed, or failed. Written without allocating: it is also the heartbeat within steps. On
 * a full disk there may be no room for a second file; then the old one is written over in place,
 * which needs none. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "descent/clock.h"

#include "report_parts.h"

static bool status_write(const char *path, int flags, const char *text)
{
    size_t n = strlen(text), done = 0;
    int file = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (file < 0)
        return false;
    while (done < n) {
        ssize_t wrote = write(file, text + done, n - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        done += (size_t)wrote;
    }
    bool good = done == n && ftruncate(file, (off_t)n) == 0;
    int why = errno;
    good = close(file) == 0 && good;
    errno = why;
    return good;
}

static bool status_replace(const char *path, const char *text)
{
    /* The program's own thread and its watch may write at once. */
    char next[4220];
    snprintf(next, sizeof next, "%s.%stmp", path, gettid() == getpid() ? "" : "watch.");
    if (status_write(next, O_CREAT | O_TRUNC, text) && rename(next, path) == 0)
        return true;
    int why = errno;
    unlink(next);
    errno = why;
    return false;
}

ds_status report_replace(const char *dir, const char *name, const char *text)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    DS_CHECK(status_replace(path, text), DS_ERR_WRITE, "cannot write %s: %s", path,
             strerror(errno));
    return DS_OK;
}

/* `text` as the inside of a JSON string; control characters become spaces. */
static void status_escape(const char *text, size_t room, char *out)
{
    size_t n = 0;
    for (; *text != '\0' && n + 3 < room; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    out[n] = '\0';
}

ds_status ds_status_file_write(const char *dir, const char *state, int code, int64_t step,
                               const char *reason)
{
    char host[256] = "", why[3072], text[4000], path[4200];
    gethostname(host, sizeof host - 1);
    status_escape(reason, sizeof why, why);
    snprintf(text, sizeof text,
             "{\"state\":\"%s\",\"code\":%d,\"step\":%lld,\"reason\":\"%s\",\"heartbeat\":%.3f,"
             "\"pid\":%ld,\"host\":\"%s\"}\n",
             state, code, (long long)step, why, ds_clock_wall_s(), (long)getpid(), host);
    snprintf(path, sizeof path, "%s/status.json", dir);
    if (status_replace(path, text))
        return DS_OK;
    int first = errno;
    DS_CHECK(status_write(path, 0, text), DS_ERR_WRITE, "cannot write %s: %s", path,
             strerror(first));
    return DS_OK;
}

bool ds_status_file_is_open(const char *dir)
{
    char path[4200], text[64];
    snprintf(path, sizeof path, "%s/status.json", dir);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return true;
    ssize_t n = read(file, text, sizeof text - 1);
    close(file);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "\"state\":") == NULL || strstr(text, "\"running\"") != NULL;
}
