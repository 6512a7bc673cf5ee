/* Optimizers. One file and one line in optim.list add one. Formulas as torch.optim's. */
#ifndef DS_OPTIM_H
#define DS_OPTIM_H

#include <stdint.h>

#include "descent/kernels.h"
#include "descent/option.h"

/* How much of the model an update must see at once: any slice; whole tensors; or it drives and asks
 * for loss and gradient at points of its choice. */
typedef enum ds_reach { DS_REACH_ELEMENT, DS_REACH_TENSOR, DS_REACH_MODEL } ds_reach;

enum { DS_OPTIM_MAX_SLOTS = 24, DS_OPTIM_MAX_NUMBERS = 16, DS_OPTIM_MAX_WORK = 3 };

/* A tensor as it lies: rows of cols floats every `stride`, padding zero. */
typedef struct ds_matrix {
    size_t rows, cols, stride;
    bool transposed; /* outside it is (cols, rows), else (rows, cols): out first, then in */
    size_t dims;     /* of its shape outside; a tensor of one is a bias or a gain */
} ds_matrix;

/* A layer's statistic of one side, (n, n) at a stride, and the inverse its owner makes of it. */
typedef struct ds_factor {
    size_t n;    /* 0: the side is [ones], a bias's */
    double ones; /* a sample's positions: the sum of a bias's inputs */
    const float *factor;
    float *inverse;
    size_t stride;
} ds_factor;

/* Of a tensor: by its rows as they lie, and by its columns. Groups part the outputs and have
 * factors of their own, inverses one behind the other; `side` is the first one's. */
typedef struct ds_factors {
    bool ready; /* false: there was nothing to invert yet */
    size_t groups;
    ds_factor side[2];
} ds_factors;

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
    const ds_factors *factors; /* NULL: the tensor has none */
    const ds_kernels *kernels;
    float *scratch; /* as many floats as ops->scratch says, contents unspecified */
} ds_update;

/* One step of an optimizer that drives (reach MODEL). Points and gradients are flat blocks of n
 * floats, the same on all ranks; padding and frozen tensors have gradient 0. Everything an
 * optimizer decides from these is the same on all ranks. */
typedef struct ds_drive ds_drive;
struct ds_drive {
    size_t n;
    size_t n_elements;               /* trainable ones, without padding */
    const size_t *at;                /* (n_elements) where they lie */
    float *w;                        /* (n) in: the point; out: the next one */
    float *slot[DS_OPTIM_MAX_SLOTS]; /* (n) state, saved; NULL where `uses` says no */
    double *number;                  /* (n_numbers) state, saved; 0 at first */
    float *work[DS_OPTIM_MAX_WORK];  /* (n) each */
    double *room;                    /* ops->room(n_elements) doubles */
    bool fresh; /* the first step, or another objective: remember nothing of loss and gradient
                 */
    double loss, norm; /* out: at the point where the step began */
    bool done;         /* out: nothing more to gain */
    bool stuck;        /* out, with done: no lower point was found, but the gradient is not small */
    /* Collective. Loss and gradient at w; loss is infinite where one of them is not finite. */
    ds_status (*ask)(ds_drive *self, const float *w, double *loss, float *g);
    /* Sum of a b in double, by blocks of 4096 in order. */
    double (*dot)(ds_drive *self, const float *a, const float *b);
    void *context;
};

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
    /* Local. Of an optimizer that wants layers' factors (NULL: it does not): the part of them that
     * stays in update t, counted from 0; 1: they do not move. Then room(n), doubles that invert
     * takes for the largest; and the damped inverses of both sides, which update the tensors until
     * factors move again: false where there is nothing to invert. */
    double (*keep)(const void *options, int64_t t);
    bool (*invert)(const void *options, const ds_factor *input, const ds_factor *output,
                   double *room);
    /* Collective. With reach MODEL: one step, as many questions as it takes. Errors: those of
     * `ask`; DIVERGED where the step begins at a point that is not finite, or the loss has no lower
     * bound. */
    ds_status (*drive)(const void *options, ds_drive *drive);
    size_t n_numbers, n_work;
    size_t (*room)(size_t n_elements); /* NULL: none */
    size_t max_elements;               /* 0: any */
    /* After ds_options_parse, once: judge and settle what one option alone cannot (adam's `betas`
     * pair). Errors: USAGE. NULL: nothing to do. */
    ds_status (*check)(void *options);
} ds_optim_ops;

DS_API const ds_optim_ops *ds_optim_at(size_t i); /* NULL past the end */
DS_API const ds_optim_ops *ds_optim_find(const char *name);

#endif
