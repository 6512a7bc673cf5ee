/* Optimizers. One file and one line in optim.list add one. Formulas as torch.optim's. */
#ifndef DS_OPTIM_H
#define DS_OPTIM_H

#include <stdint.h>

#include "descent/kernels.h"
#include "descent/option.h"

/* How much of the model an update must see at once: any slice; whole tensors; or it drives and asks
 * for loss and gradient at points of its choice. */
typedef enum ds_reach { DS_REACH_ELEMENT, DS_REACH_TENSOR, DS_REACH_MODEL } ds_reach;

enum { DS_OPTIM_MAX_SLOTS = 4 };

/* A tensor as it lies: rows of cols floats every `stride`, padding zero. */
typedef struct ds_matrix {
    size_t rows, cols, stride;
    bool transposed; /* outside it is (cols, rows), else (rows, cols): out first, then in */
    size_t dims;     /* of its shape outside; a tensor of one is a bias or a gain */
} ds_matrix;

/* One slice of one tensor at one step. g is the gradient summed over samples; g * scale is the mean
 * (clipping included). slot[i] are this slice's state blocks, NULL where `uses` says no. All (n),
 * float32, never overlapping. */
typedef struct ds_update {
    size_t n;
    float *w;
    const float *g;
    float *slot[DS_OPTIM_MAX_SLOTS];
    float scale;
    double lr;
    int64_t t; /* updates done, this one included: from 1 */
    /* Only with reach TENSOR, n = rows * stride: */
    ds_matrix matrix;
    const ds_kernels *kernels;
    float *scratch; /* as many floats as ops->scratch says, contents unspecified */
} ds_update;

typedef struct ds_optim_ops {
    const char *name;
    const char *help;
    const ds_option *options; /* without lr and clip_norm, which are common */
    size_t options_size;
    ds_reach reach;
    size_t n_slots;
    const char *slot_name[DS_OPTIM_MAX_SLOTS]; /* in the checkpoint: "momentum", "exp_avg", ... */
    void (*step)(const void *options, const ds_update *update);
    /* Local. Is that slot of that tensor in use? It is saved only then. NULL: always. */
    bool (*uses)(const void *options, size_t slot, const ds_matrix *matrix);
    /* Local. With reach TENSOR: floats of scratch (NULL: none); cost of an update in any unit, by
     * which ranks share the tensors (NULL: its floats). */
    size_t (*scratch)(const void *options, const ds_matrix *matrix);
    double (*cost)(const void *options, const ds_matrix *matrix);
    /* After ds_options_parse, once: judge and settle what one option alone cannot (adam's `betas`
     * pair). Errors: USAGE. NULL: nothing to do. */
    ds_status (*check)(void *options);
} ds_optim_ops;

DS_API const ds_optim_ops *ds_optim_at(size_t i); /* NULL past the end */
DS_API const ds_optim_ops *ds_optim_find(const char *name);

#endif
