/* Whole reads and writes at offsets, directories, links: POSIX files with our messages. */
#ifndef DS_FILEIO_H
#define DS_FILEIO_H

#include <stdint.h>

#include "descent/status.h"

enum { DS_PATH_ROOM = 4096 };

/* Local. A text into `out`; USAGE when it does not fit. */
ds_status ds_path_print(char out[DS_PATH_ROOM], const char *fmt, ...) DS_PRINTF(2, 3) DS_NODISCARD;

/* Local. Open a regular file for reading; never blocks on a FIFO or device. `name` is for messages.
 * Errors: CHECKPOINT. */
ds_status ds_file_open(const char *path, int *fd, uint64_t *bytes) DS_NODISCARD;
/* Local. Exactly n bytes at `offset`. Errors: CHECKPOINT (read), WRITE (write). */
ds_status ds_file_read(int fd, const char *path, void *out, size_t n, uint64_t offset) DS_NODISCARD;
ds_status ds_file_write(int fd, const char *path, const void *bytes, size_t n,
                        uint64_t offset) DS_NODISCARD;
ds_status ds_file_sync(int fd, const char *path) DS_NODISCARD;
/* Local. Fail with WRITE unless `bytes` fit: check asks the file size limit (exceeding it would
 * send SIGXFSZ) and the free space, reserve takes them where the file system can. */
ds_status ds_file_check(int fd, const char *path, uint64_t bytes) DS_NODISCARD;
ds_status ds_file_reserve(int fd, const char *path, uint64_t bytes) DS_NODISCARD;

/* Local. mkdir -p; fsync of a directory; DIR/name -> target, replaced atomically. Errors: WRITE. */
ds_status ds_dir_make(const char *path) DS_NODISCARD;
ds_status ds_dir_sync(const char *path) DS_NODISCARD;
ds_status ds_link_move(const char *dir, const char *name, const char *target) DS_NODISCARD;

#endif
