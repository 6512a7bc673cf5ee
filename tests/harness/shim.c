/* Trouble on one rank: a library for LD_PRELOAD. Where OMPI_COMM_WORLD_RANK is SHIM_RANK ("all": on
 * every rank),
 * - opening a path that contains SHIM_DENY fails with EACCES;
 * - writing to a file whose path contains SHIM_FULL fails with ENOSPC, after SHIM_ROOM bytes (0);
 * - bringing a file to disk takes SHIM_SYNC_MS milliseconds longer;
 * - datagrams are lost on their way out (SHIM_DEAF), as behind a firewall;
 * - an allocation of SHIM_ALLOC bytes or more fails.
 * Every other call goes to the C library by the names it keeps for this, or by dlsym. */
#undef _FILE_OFFSET_BITS /* open and open64 are two functions here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static bool shim_here(void)
{
    const char *want = getenv("SHIM_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    return want != NULL && (strcmp(want, "all") == 0 || strcmp(want, rank ? rank : "0") == 0);
}

static bool shim_denied(const char *path)
{
    const char *part = getenv("SHIM_DENY");
    if (part == NULL || path == NULL || strstr(path, part) == NULL || !shim_here())
        return false;
    errno = EACCES;
    return true;
}

static bool shim_too_much(size_t n)
{
    const char *limit = getenv("SHIM_ALLOC");
    if (limit == NULL || n < strtoull(limit, NULL, 10) || !shim_here())
        return false;
    errno = ENOMEM;
    return true;
}

static bool shim_full(int fd, size_t n)
{
    static size_t written;
    const char *part = getenv("SHIM_FULL"), *room = getenv("SHIM_ROOM");
    if (part == NULL || !shim_here())
        return false;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return false;
    path[length] = '\0';
    if (strstr(path, part) == NULL)
        return false;
    written += n;
    if (written <= (room ? strtoull(room, NULL, 10) : 0))
        return false;
    errno = ENOSPC;
    return true;
}

static void *shim_next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* POSIX's way from dlsym's object pointer to a function's. */
#define SHIM_NEXT(pointer, name) (*(void **)(&(pointer)) = shim_next(name))

#define SHIM_OPEN(name)                                           \
    int name(const char *path, int flags, ...)                    \
    {                                                             \
        static int (*next)(const char *, int, ...);               \
        va_list more;                                             \
        va_start(more, flags);                                    \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more);                                             \
        if (shim_denied(path))                                    \
            return -1;                                            \
        if (next == NULL)                                         \
            SHIM_NEXT(next, #name);                               \
        return next(path, flags, mode);                           \
    }
SHIM_OPEN(open)
SHIM_OPEN(open64)

int openat(int dir, const char *path, int flags, ...)
{
    static int (*next)(int, const char *, int, ...);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (shim_denied(path))
        return -1;
    if (next == NULL)
        SHIM_NEXT(next, "openat");
    return next(dir, path, flags, mode);
}

#define SHIM_FOPEN(name)                                  \
    FILE *name(const char *path, const char *mode)        \
    {                                                     \
        static FILE *(*next)(const char *, const char *); \
        if (shim_denied(path))                            \
            return NULL;                                  \
        if (next == NULL)                                 \
            SHIM_NEXT(next, #name);                       \
        return next(path, mode);                          \
    }
SHIM_FOPEN(fopen)
SHIM_FOPEN(fopen64)

ssize_t write(int fd, const void *bytes, size_t n)
{
    static ssize_t (*next)(int, const void *, size_t);
    if (shim_full(fd, n))
        return -1;
    if (next == NULL)
        SHIM_NEXT(next, "write");
    return next(fd, bytes, n);
}

#define SHIM_PWRITE(name)                                         \
    ssize_t name(int fd, const void *bytes, size_t n, off_t at)   \
    {                                                             \
        static ssize_t (*next)(int, const void *, size_t, off_t); \
        if (shim_full(fd, n))                                     \
            return -1;                                            \
        if (next == NULL)                                         \
            SHIM_NEXT(next, #name);                               \
        return next(fd, bytes, n, at);                            \
    }
SHIM_PWRITE(pwrite)
SHIM_PWRITE(pwrite64)

int fsync(int fd)
{
    static int (*next)(int);
    const char *ms = getenv("SHIM_SYNC_MS");
    if (ms != NULL && shim_here())
        usleep((useconds_t)strtoul(ms, NULL, 10) * 1000);
    if (next == NULL)
        SHIM_NEXT(next, "fsync");
    return next(fd);
}

/* The C library's header may declare the address as one of a union's kinds. */
ssize_t sendto(int fd, const void *bytes, size_t n, int flags, __CONST_SOCKADDR_ARG to,
               socklen_t length)
{
    static ssize_t (*next)(int, const void *, size_t, int, __CONST_SOCKADDR_ARG, socklen_t);
    int kind = 0;
    socklen_t room = sizeof kind;
    if (getenv("SHIM_DEAF") != NULL && shim_here() &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &room) == 0 && kind == SOCK_DGRAM)
        return (ssize_t)n;
    if (next == NULL)
        SHIM_NEXT(next, "sendto");
    return next(fd, bytes, n, flags, to, length);
}

void *malloc(size_t n)
{
    return shim_too_much(n) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return size != 0 && shim_too_much(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return shim_too_much(n) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return shim_too_much(n) ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    if (shim_too_much(n))
        return ENOMEM;
    *p = __libc_memalign(align, n);
    return *p == NULL ? ENOMEM : 0;
}
