/* Shapes: dimensions from the slowest to the fastest. */
#ifndef DS_SHAPE_H
#define DS_SHAPE_H

#include <stdbool.h>

#include "descent/status.h"

enum { DS_MAX_DIMS = 8, DS_SHAPE_TEXT = 96 };

typedef struct ds_shape {
    size_t n; /* 0: a scalar */
    size_t dim[DS_MAX_DIMS];
} ds_shape;

DS_API size_t ds_shape_elements(const ds_shape *self); /* 1 for a scalar */
DS_API bool ds_shape_equal(const ds_shape *a, const ds_shape *b);
/* Local. "[1, 28, 28]"; returns text. */
DS_API const char *ds_shape_text(const ds_shape *self, char text[DS_SHAPE_TEXT]);
/* Local. Floats from row to row of a matrix `width` wide: a multiple of 16, never a multiple of 256
 * (strides of 1 KiB fall on the same cache sets and cost a GEMM 10-40 %). width 0 gives 16. */
DS_API size_t ds_stride_for(size_t width);
/* Local. Floats from sample to sample: ds_stride_for of a vector; of planes and sequences their
 * elements, rounded up to 16, so that all samples' positions mostly lie row behind row. */
DS_API size_t ds_shape_stride(const ds_shape *self);

#endif
