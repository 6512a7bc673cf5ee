/* What predict reads and how it writes it out. */
#ifndef DS_PREDICTIONS_H
#define DS_PREDICTIONS_H

#include <stdio.h>

#include "descent/trainer.h"

typedef struct predictions {
    size_t rows, cols;  /* samples, or positions of sequences */
    const float *value; /* (rows, cols): probabilities for classes, else outputs */
    bool classes;
    const char *const *class_name; /* (n_names) or NULL */
    size_t n_names;
} predictions;

typedef struct predictions_writer {
    const char *name;
    void (*write)(const predictions *p, FILE *file); /* errors show in ferror */
} predictions_writer;

const predictions_writer *predictions_writer_find(const char *name);
/* Collective. The samples of `path` as the trainer's model takes them; alike on all ranks. "-" is
 * rank 0's standard input. */
ds_status predictions_read(ds_world *world, const char *path, const ds_trainer *trainer,
                           ds_dataset **out) DS_NODISCARD;

#endif
