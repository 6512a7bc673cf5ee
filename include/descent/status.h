/* What every call that can fail returns, and the message that goes with it.
 * One list, four uses: the enum, the texts, the exit codes of the command line, the tests. */
#ifndef DS_STATUS_H
#define DS_STATUS_H

#include <stddef.h>

#define DS_STATUS_LIST(X)                                  \
    X(DS_OK, 0, "ok")                                      \
    X(DS_NO, 1, "a check says no")                         \
    X(DS_ERR_USAGE, 2, "usage or configuration")           \
    X(DS_ERR_DATA, 3, "bad data")                          \
    X(DS_ERR_CHECKPOINT, 4, "checkpoint damaged or unfit") \
    X(DS_ERR_DIVERGED, 5, "training diverged")             \
    X(DS_ERR_INTERNAL, 70, "internal error")               \
    X(DS_ERR_NOMEM, 70, "out of memory")                   \
    X(DS_ERR_MPI, 70, "an MPI call failed")                \
    X(DS_ERR_WRITE, 74, "cannot write")                    \
    X(DS_STOPPED, 75, "stopped, can be resumed")

typedef enum ds_status {
#define X(name, exit_code, text) name,
    DS_STATUS_LIST(X)
#undef X
} ds_status;

#define DS_NODISCARD __attribute__((warn_unused_result))
#define DS_PRINTF(f, a) __attribute__((format(printf, f, a)))
#if defined(__GNUC__)
#define DS_API __attribute__((visibility("default")))
#else
#define DS_API
#endif

/* Local. Record why and where; returns `code`. The text names the thing, what was found, what was
 * expected and how to mend it, without a full stop or a newline. */
DS_API ds_status ds_fail(ds_status code, const char *file, int line, const char *fmt, ...)
    DS_PRINTF(4, 5);
/* Local. Add one line of trace to the failure already recorded; returns `code`. */
DS_API ds_status ds_trace(ds_status code, const char *file, int line, const char *expr);
/* Local. Put `text` before the message already recorded ("spiral.csv:3: "); returns `code`. */
DS_API ds_status ds_fail_prefix(ds_status code, const char *fmt, ...) DS_PRINTF(2, 3);
/* Local. The short text of a code, and the exit code of a process that ends with it. */
DS_API const char *ds_status_text(ds_status code);
DS_API int ds_exit_code(ds_status code);
/* Local. This thread's last failure: one line without newline, and the trace, a line each. Never
 * NULL. */
DS_API const char *ds_last_error(void);
DS_API const char *ds_last_trace(void);

#define DS_FAIL(code, ...) ds_fail((code), __FILE__, __LINE__, __VA_ARGS__)
#define DS_TRY(expr)                                            \
    do {                                                        \
        ds_status ds_st_ = (expr);                              \
        if (ds_st_ != DS_OK)                                    \
            return ds_trace(ds_st_, __FILE__, __LINE__, #expr); \
    } while (0)
/* For anything that comes from outside. */
#define DS_CHECK(cond, code, ...)                \
    do {                                         \
        if (!(cond))                             \
            return DS_FAIL((code), __VA_ARGS__); \
    } while (0)
/* For our own mistakes; stays in release builds. */
#define DS_ASSERT(cond)                                                             \
    do {                                                                            \
        if (!(cond))                                                                \
            return DS_FAIL(DS_ERR_INTERNAL, "assertion failed: %s (a bug)", #cond); \
    } while (0)

/* A local that is destroyed on every way out: ds_auto(ds_plan) plan = NULL; */
#define ds_auto(type) __attribute__((cleanup(type##_destroy))) type *
/* Hand a local over to the caller: *out = ds_steal(plan); */
#define ds_steal(pointer)                      \
    __extension__({                            \
        __typeof__(pointer) ds_p_ = (pointer); \
        (pointer) = NULL;                      \
        ds_p_;                                 \
    })

#endif
