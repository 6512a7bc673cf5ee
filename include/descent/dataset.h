/* Data in memory: n samples with an input shape and targets. Every rank holds all of it (each reads
 * the files itself, so a file that one rank cannot read is found), and fetches the rows it needs.
 */
#ifndef DS_DATASET_H
#define DS_DATASET_H

#include "descent/config.h"
#include "descent/world.h"

typedef struct ds_dataset {
    size_t n;
    ds_shape input;       /* of one sample: [cols], or [C, H, W] */
    const uint8_t *bytes; /* (n, elements): image bytes, or NULL */
    const float *values;  /* (n, elements): anything else, or NULL */
    ds_target_kind kind;
    const int32_t *label; /* (n, n_labels), CLASS */
    size_t n_labels;      /* of one sample: 1, or one a position of a sequence */
    size_t padded;        /* positions at the end of the last sample that no token fills */
    size_t n_classes;
    const char *const *class_name; /* (n_classes), NULL when classes are plain numbers */
    bool declares_classes; /* the source itself says that its targets are classes, however many */
    const float *target;   /* (n, n_targets), REAL */
    size_t n_targets;
    const char *const *column; /* names of the input elements (csv), or NULL */
    const char *const *target_column;
    uint64_t identity; /* XXH3-64 over inputs and targets */
    ds_arena *arena;
} ds_dataset;

/* Affine normalisation, per element or per channel: x' = (x - mean) / std. Kept in the checkpoint
 * as /input/mean, std, which say it all: `unit` is mean 0 and deviation 255. */
typedef struct ds_normalizer {
    size_t n;                /* 0: none (identity); else channels of the input, or elements */
    float scale;             /* values are multiplied by this first; 1 */
    const float *mean, *std; /* (n) */
} ds_normalizer;

/* Inputs that are read when they are wanted, front to back: for data larger than memory. */
typedef struct ds_input_stream {
    bool bytes;                                            /* uint8, else float32 */
    ds_status (*next)(void *context, size_t n, void *out); /* n samples, (n, elements); all of them
                                                              together are data->n */
    void (*close)(void *context);
    void *context;
} ds_input_stream;
DS_API void ds_input_stream_close(ds_input_stream *stream);

/* What a reader is asked for. */
typedef struct ds_read_request {
    const ds_value *source; /* the config's map, `format` included */
    ds_target_kind kind;    /* what the loss wants */
    const ds_shape *input;  /* the model's input, for messages and reshaping; elements must agree */
    size_t n_classes;       /* 0: find out */
    const char *const *class_name; /* a known mapping (from the training split or a checkpoint):
                                      text classes must be in it */
    const char *const
        *column; /* (n_columns) names of the inputs, where known: a table with a
                    header     is then read by name, in this order; else by position */
    size_t n_columns;
    const char *const *target_column; /* (n_target_columns) where known; no inputs even when the
                                         targets are not read */
    size_t n_target_columns;
    bool targets_optional;   /* predict: a file without targets is fine; of a text all tokens */
    ds_input_stream *inputs; /* where not NULL, a format that can sets it and leaves bytes and
                                values NULL; who asked closes it, also after a failure */
    uint64_t seed;           /* synthetic */
    const char *split;       /* "train", "test", "validation" for messages and synthetic streams */
} ds_read_request;

typedef struct ds_format_ops {
    const char *name;
    const char *help;
    const ds_option *options; /* without `format` */
    size_t options_size;
    ds_status (*read)(const void *options, const ds_read_request *request, ds_dataset *out);
    bool labels; /* targets are classes, however many; else whole numbers may be measured values */
} ds_format_ops;

DS_API const ds_format_ops *ds_format_at(size_t i); /* NULL past the end */
DS_API const ds_format_ops *ds_format_find(const char *name);

/* Local. Read one source. Errors: DATA naming file, place, found, expected; USAGE for what the
 * config's map says. */
DS_API ds_status ds_dataset_read(const ds_read_request *request, ds_dataset **out) DS_NODISCARD;
/* Local. Read a file whose format is guessed from its content and name; "-" is a csv (or libsvm,
 * text, tokens) on stdin. request->source may be NULL, or the map of a source like it: its options,
 * and its format where the file has no mark of its own (libsvm, cifar10, text, tokens). Errors:
 * DATA. */
DS_API ds_status ds_dataset_read_file(const char *path, const ds_read_request *request,
                                      ds_dataset **out) DS_NODISCARD;
/* Local. An empty dataset in an arena of its own, for readers and for samples from memory. */
DS_API ds_status ds_dataset_create(ds_dataset **out) DS_NODISCARD;
/* Local. Refuse numbers that are not finite (DATA, with sample and column) and set the identity. */
DS_API ds_status ds_dataset_judge(ds_dataset *self, const char *split) DS_NODISCARD;
/* Local. As an HDF5 file that format hdf5 reads back bit for bit: `inputs`, `targets`, names as
 * their attributes. Inputs come from `inputs` where that has been set; NULL: from memory. The file
 * is whole or not there; one that stands at `path` is replaced. Errors: WRITE; DATA from the
 * stream. */
DS_API ds_status ds_dataset_write_hdf5(const ds_dataset *self, const ds_input_stream *inputs,
                                       const char *path) DS_NODISCARD;
DS_API void ds_dataset_destroy(ds_dataset **dataset);

/* The splits of a run. validation and test may be NULL. */
typedef struct ds_splits {
    ds_dataset *train, *validation, *test;
    ds_normalizer normalizer; /* over the training split only */
    ds_arena *arena;
} ds_splits;
/* Collective. Reads all sources on every rank, cuts off the validation fraction (by a keyed order),
 * computes the normalisation by the ranks together in fixed blocks. All ranks succeed or all fail
 * alike. A loss with CLASS targets and `kept` (class names, normaliser) from a checkpoint use those
 * instead of computing; NULL: compute. Its columns stand in where the training data are not read.
 */
typedef struct ds_kept_data {
    const ds_normalizer *normalizer;
    size_t n_classes;
    const char *const *class_name;
    size_t n_columns, n_target_columns;
    const char *const *column, *const *target_column;
} ds_kept_data;
DS_API ds_status ds_splits_read(ds_world *world, const ds_config *config, const ds_shape *input,
                                const ds_kept_data *kept, ds_splits **out) DS_NODISCARD;
/* Local. No splits yet, no normalisation, in an arena of their own. */
DS_API ds_status ds_splits_create(ds_splits **out) DS_NODISCARD;
DS_API void ds_splits_destroy(ds_splits **splits);

/* Local. Samples index[0..n) normalised into x (n, elements, row stride) and their targets: label
 * (n, n_labels) or value (n, n_targets), the other may be NULL. */
DS_API void ds_dataset_fetch(const ds_dataset *self, const ds_normalizer *normalizer, size_t n,
                             const uint64_t *index, float *x, size_t stride, int32_t *label,
                             float *value);

/* What training does to images (data.augment), keyed by seed, epoch and sample, so that neither the
 * rank, the batch nor a restart changes a bit: rows x (n, elements, row stride) hold the fetched
 * samples index[0..n). Mirrored and moved as before normalisation (what comes in from outside is
 * 0, black; `shift` is a random crop out of an image padded by as much); noise is added after it.
 */
typedef struct ds_augment_job {
    const ds_augment *how;
    const ds_normalizer *normalizer; /* as they were fetched with; may be NULL */
    const ds_shape *input;
    uint64_t seed, epoch;
} ds_augment_job;
DS_API void ds_augment_rows(const ds_augment_job *self, size_t n, const uint64_t *index, float *x,
                            size_t stride);
static inline bool ds_augment_any(const ds_augment *self)
{
    return self->flip || self->shift > 0 || self->noise > 0;
}
/* Local. Can samples of that shape, [H, W] or [C, H, W], be given that? USAGE at the config's `at`.
 */
DS_API ds_status ds_augment_check(const ds_augment *self, const ds_shape *input,
                                  const ds_value *at) DS_NODISCARD;

/* The order of an epoch: a keyed bijection of [0, n) (cycle-walking Feistel network over Philox).
 */
typedef struct ds_order {
    uint64_t n;
    unsigned low_bits, high_bits, rounds;
    uint32_t key[12]; /* a round each */
} ds_order;
DS_API ds_order ds_order_for(uint64_t seed, uint64_t epoch, uint64_t n);
DS_API uint64_t ds_order_at(const ds_order *self, uint64_t position);

#endif
