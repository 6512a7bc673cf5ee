/* libhdf5 can be led astray by a file that is cut off, so its first bytes are looked at before it
 * is asked: O(log size) reads. */
#include "h5probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datafile.h"

enum { PROBE_BYTES = 96 };

static const unsigned char signature[8] = "\x89HDF\r\n\x1a\n";

static uint64_t probe_word(const unsigned char *at, size_t bytes)
{
    uint64_t x = 0;
    for (size_t i = bytes; i-- > 0;)
        x = x << 8 | at[i];
    return x;
}

/* The address of the file's end out of a superblock; false when it is none. */
static bool probe_end(const unsigned char *block, uint64_t *end)
{
    unsigned version = block[8];
    size_t bytes = version < 2 ? block[13] : block[9];
    size_t at = version == 0 ? 24 : version == 1 ? 28 : 12;
    if (version > 3 || (bytes != 2 && bytes != 4 && bytes != 8))
        return false;
    *end = probe_word(block + at + 2 * bytes, bytes);
    return true;
}

static ds_status probe_read(int fd, const char *what, const char *path)
{
    unsigned char block[PROBE_BYTES] = {0};
    struct stat s;
    uint64_t end = 0, size = 0;
    DS_CHECK(fstat(fd, &s) == 0, DS_ERR_DATA, "%s '%s': %s", what, path, strerror(errno));
    size = (uint64_t)s.st_size;
    for (uint64_t at = 0; at < size; at = at == 0 ? 512 : 2 * at) {
        ssize_t got = pread(fd, block, sizeof block, (off_t)at);
        DS_CHECK(got >= 0, DS_ERR_DATA, "%s '%s': cannot be read: %s", what, path, strerror(errno));
        if (got < (ssize_t)sizeof signature || memcmp(block, signature, sizeof signature) != 0)
            continue;
        DS_CHECK(got >= 48 && probe_end(block, &end), DS_ERR_DATA,
                 "%s '%s': its HDF5 superblock is damaged", what, path);
        DS_CHECK(end <= size, DS_ERR_DATA,
                 "%s '%s': is truncated: its HDF5 superblock announces %llu bytes, it has %llu",
                 what, path, (unsigned long long)end, (unsigned long long)size);
        return DS_OK;
    }
    return DS_FAIL(DS_ERR_DATA, "%s '%s': is no HDF5 file: its signature is missing", what, path);
}

ds_status ds_h5probe(const char *what, const char *path)
{
    ds_auto(ds_datafile) file = NULL;
    DS_TRY(ds_datafile_open(what, path, false, &file)); /* a regular file that can be read */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    DS_CHECK(fd >= 0, DS_ERR_DATA, "%s '%s': %s", what, path, strerror(errno));
    ds_status status = probe_read(fd, what, path);
    close(fd);
    return status;
}
