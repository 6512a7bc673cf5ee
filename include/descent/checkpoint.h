/* Checkpoints: HDF5 files that h5dump and h5py read, with a 4096-byte user block that lets them be
 * verified without libhdf5. Written by all ranks, committed by rename, read on any rank count. */
#ifndef DS_CHECKPOINT_H
#define DS_CHECKPOINT_H

#include "descent/shape.h"
#include "descent/world.h"

typedef enum ds_dtype { DS_F32, DS_F64, DS_I64, DS_U8 } ds_dtype;

/* One dataset of a file to be written. The whole tensor in its outside form is at `data` on every
 * rank, or stage() gives it: Collective, called on all ranks in the entries' order with room for
 * it. */
typedef struct ds_entry {
    const char *path; /* "/parameters/dense1/weight" */
    ds_dtype type;
    ds_shape shape;
    const void *data;
    ds_status (*stage)(void *context, size_t which, void *out);
    void *context;
    size_t which;
} ds_entry;

/* An attribute of group /run: text, integer or real. */
typedef enum ds_attr_kind { DS_ATTR_TEXT, DS_ATTR_INT, DS_ATTR_REAL } ds_attr_kind;
typedef struct ds_attr {
    const char *name;
    ds_attr_kind kind;
    const char *text;
    int64_t integer;
    double real;
} ds_attr;

typedef struct ds_snapshot {
    int64_t step;
    /* May be NULL. Called on rank 0 once a reader would take the file; the other ranks do not know
     * yet, and the write may still fail. */
    void (*stands)(void *context, int64_t step);
    void *context;
    size_t n_entries;
    const ds_entry *entry;
    size_t n_attrs;
    const ds_attr *attr;
} ds_snapshot;

/* Collective. Write DIR/checkpoints/step-N.h5 staged, hashed, renamed (see write.c), move
 * DIR/latest, return its path in `path` when not NULL. Errors: WRITE on all ranks (disk full,
 * permission); older checkpoints are untouched. */
DS_API ds_status ds_checkpoint_write(ds_world *world, const char *dir, const ds_snapshot *snapshot,
                                     size_t room, char *path) DS_NODISCARD;
/* Collective. Point DIR/best at the checkpoint of `step`. */
DS_API ds_status ds_checkpoint_mark_best(ds_world *world, const char *dir,
                                         int64_t step) DS_NODISCARD;
/* Collective. Delete all but the newest `keep` checkpoints and the best (keep 0: nothing), and
 * stale .tmp files; links that lead nowhere are mended. */
DS_API ds_status ds_checkpoint_prune(ds_world *world, const char *dir, int64_t keep) DS_NODISCARD;
/* Collective. Delete the checkpoints of later steps than `step` (-1: all), and stale .tmp files:
 * before a run starts afresh in DIR or goes on from an older checkpoint of it. */
DS_API ds_status ds_checkpoint_drop_after(ds_world *world, const char *dir,
                                          int64_t step) DS_NODISCARD;

/* Local. Verify a file without libhdf5: length, header, every block. per_tensor (may be NULL) is
 * called with each tensor's verdict, as far as a damaged header or table still names them. Errors:
 * CHECKPOINT with what is wrong and where. Never hangs, never allocates by a damaged header's word.
 */
typedef void ds_verdict(void *context, const char *path, const ds_shape *shape, bool good);
DS_API ds_status ds_checkpoint_verify(const char *path, ds_verdict *per_tensor,
                                      void *context) DS_NODISCARD;

/* Local. As verify; *damaged tells a damaged file from one that cannot be read or is of a newer
 * format. */
DS_API ds_status ds_checkpoint_examine(const char *path, bool *damaged) DS_NODISCARD;

/* Local. A verified file opened for reading. Errors: CHECKPOINT. */
typedef struct ds_checkpoint ds_checkpoint;
DS_API ds_status ds_checkpoint_open(const char *path, ds_checkpoint **out) DS_NODISCARD;
/* Local. A damaged file too, cut off or with damaged header or table, as long as anything can be
 * had: *good tells, ds_last_error()
 * says what is damaged. Tensors that are not `good` cannot be read; attributes are there when
 * HDF5's structure is whole. */
DS_API ds_status ds_checkpoint_salvage(const char *path, ds_checkpoint **out,
                                       bool *good) DS_NODISCARD;
DS_API void ds_checkpoint_close(ds_checkpoint **checkpoint);
DS_API void ds_checkpoint_destroy(ds_checkpoint **checkpoint);
/* Local. Completed updates. */
DS_API int64_t ds_checkpoint_step(const ds_checkpoint *self);
DS_API size_t ds_checkpoint_n(const ds_checkpoint *self);
typedef struct ds_tensor_info {
    const char *path;
    ds_dtype type;
    ds_shape shape;
    bool good;
} ds_tensor_info;
DS_API ds_tensor_info ds_checkpoint_tensor(const ds_checkpoint *self, size_t i);
/* Local. Index by path, or ds_checkpoint_n() when absent. */
DS_API size_t ds_checkpoint_find(const ds_checkpoint *self, const char *path);
/* Local. The whole tensor into `out` (room for it). */
DS_API ds_status ds_checkpoint_read(const ds_checkpoint *self, size_t i, void *out) DS_NODISCARD;
/* Local. Elements [begin, begin + n) of tensor i. */
DS_API ds_status ds_checkpoint_read_part(const ds_checkpoint *self, size_t i, size_t begin,
                                         size_t n, void *out) DS_NODISCARD;
DS_API size_t ds_dtype_bytes(ds_dtype type);
DS_API const char *ds_dtype_name(ds_dtype type); /* "float32" */

/* What a tensor holds; the numbers are over its finite elements, in double. */
typedef struct ds_tensor_stats {
    size_t n, non_finite;
    double norm, min, max, mean;
} ds_tensor_stats;
DS_API ds_status ds_checkpoint_stats(const ds_checkpoint *self, size_t i,
                                     ds_tensor_stats *out) DS_NODISCARD;
/* Local. Count the finite elements of tensor i in `n_bins` equal bins over [lo, hi], which must
 * hold them all (stats' min and max do); hi itself falls into the last. */
DS_API ds_status ds_checkpoint_histogram(const ds_checkpoint *self, size_t i, double lo, double hi,
                                         size_t n_bins, size_t *count) DS_NODISCARD;
/* How tensor i of a differs from tensor j of b, of the same type and shape: elements whose bits
 * differ, the largest distance (NaN where a difference is none) and that in units of the last
 * place (representable numbers between; for integers the distance itself). */
typedef struct ds_tensor_diff {
    size_t n, differ, first;
    double max_abs;
    uint64_t max_ulp;
} ds_tensor_diff;
DS_API ds_status ds_checkpoint_compare(const ds_checkpoint *a, size_t i, const ds_checkpoint *b,
                                       size_t j, ds_tensor_diff *out) DS_NODISCARD;

/* Local. Attribute of /run, or NULL. Valid while open. */
DS_API const ds_attr *ds_checkpoint_attr(const ds_checkpoint *self, const char *name);
DS_API size_t ds_checkpoint_n_attrs(const ds_checkpoint *self);
DS_API const ds_attr *ds_checkpoint_attr_at(const ds_checkpoint *self, size_t i);

/* Local. CKPT of the command line -> the file: itself, or the latest (else newest) checkpoint of a
 * run's directory or of a folder of checkpoints; not yet verified. Errors: CHECKPOINT. */
DS_API ds_status ds_checkpoint_resolve(const char *argument, size_t room, char *path) DS_NODISCARD;
/* Collective. The newest good checkpoint of DIR: verified by rank 0; damaged ones are reported
 * through ds_log and renamed to NAME.damaged. *found false where there never was one. Errors:
 * CHECKPOINT where all are damaged, one cannot be read or comes from a newer program. */
DS_API ds_status ds_checkpoint_newest(ds_world *world, const char *dir, size_t room, char *path,
                                      bool *found) DS_NODISCARD;
/* Local (rank 0 calls it). Take and release DIR's lock (DIR is made if need be); USAGE when another
 * live process holds it, which it names. A killed process holds nothing. */
DS_API ds_status ds_run_lock(const char *dir, int *handle) DS_NODISCARD;
DS_API void ds_run_unlock(int handle);

#endif
